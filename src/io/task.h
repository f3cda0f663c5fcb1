// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "io/frame_pool.h"

// Task<T>: a lazy coroutine. It starts when it is awaited, in the expression that made it, and its frame is
// freed at the end of that expression:
//
//     FB_CO_TRY(Buffer page, co_await read_page(file, page_id));
//
// It is immovable and awaited by value, so keeping one in a variable to await later does not compile. That
// makes reference parameters and [&] lambdas safe. Concurrency is only by when_all and Scope (io/scope.h). A
// Task runs on the core that awaits it. Exceptions do not leave a coroutine: an uncaught one aborts the
// process.

namespace fb {

template <class T>
class Task;

namespace detail {

struct TaskPromiseBase {
  std::coroutine_handle<> continuation;

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  static void* operator new(size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, size_t size) noexcept { free_frame(frame, size); }

  template <class U>
  auto await_transform(Task<U> task) noexcept {
    return task.release();
  }
  template <class A>
  A&& await_transform(A&& awaitable) noexcept {
    return std::forward<A>(awaitable);
  }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class U>
    requires std::constructible_from<T, U&&>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    FB_ASSERT(value.has_value());
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;
  using value_type = T;

  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Owns the frame while it runs; lives in the awaiting coroutine's frame, so destroying that one destroys
  // this one.
  class Awaiter {
   public:
    explicit Awaiter(Handle handle) noexcept : handle_(handle) {}
    Awaiter(Awaiter&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Awaiter& operator=(Awaiter&&) = delete;
    ~Awaiter() {
      if (handle_) handle_.destroy();
    }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) noexcept {
      handle_.promise().continuation = continuation;
      return handle_;
    }
    T await_resume() { return handle_.promise().take(); }

   private:
    Handle handle_;
  };

  // For await_transform only: hands the frame to the awaiter.
  Awaiter release() noexcept { return Awaiter(std::exchange(handle_, {})); }

 private:
  friend promise_type;
  explicit Task(Handle handle) noexcept : handle_(handle) {}
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}
}  // namespace detail

// A coroutine that nobody awaits: the root of a core's work and of each child of when_all and Scope. It
// starts at once and its owner destroys it. Not for use outside src/io.
class RootTask {
 public:
  struct promise_type {
    void (*on_done)(void*) = nullptr;
    void* argument = nullptr;

    RootTask get_return_object() noexcept {
      return RootTask(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct FinalAwaiter {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        promise_type& promise = self.promise();
        if (promise.on_done != nullptr) promise.on_done(promise.argument);  // may destroy this frame
      }
      void await_resume() noexcept {}
    };
    FinalAwaiter final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
    static void* operator new(size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, size_t size) noexcept { free_frame(frame, size); }
    template <class U>
    auto await_transform(Task<U> task) noexcept {
      return task.release();
    }
    template <class A>
    A&& await_transform(A&& awaitable) noexcept {
      return std::forward<A>(awaitable);
    }
  };

  RootTask() = default;
  RootTask(RootTask&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  RootTask& operator=(RootTask&& other) noexcept {
    if (this != &other) {
      destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~RootTask() { destroy(); }

  // Runs until the first suspension. on_done is called from inside the last resumption.
  void start(void (*on_done)(void*), void* argument) {
    handle_.promise().on_done = on_done;
    handle_.promise().argument = argument;
    handle_.resume();
  }
  bool done() const { return handle_ && handle_.done(); }
  std::coroutine_handle<> handle() const { return handle_; }
  void destroy() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }

 private:
  explicit RootTask(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace fb
