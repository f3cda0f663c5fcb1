// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "io/env.h"

// Structured concurrency: children never outlive their starter.

namespace fb {

namespace detail {

template <class Value>
using StoredValue = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;

template <class Callable>
using TaskValue = typename std::invoke_result_t<Callable&>::value_type;

struct JoinCounter {
  size_t remaining = 0;
  std::coroutine_handle<> parent;
  static void child_done(void* self) {
    auto* counter = static_cast<JoinCounter*>(self);
    if (--counter->remaining == 0 && counter->parent) counter->parent.resume();
  }
};

template <class Callable>
RootTask run_into(Callable& callable, std::optional<StoredValue<TaskValue<Callable>>>& out) {
  if constexpr (std::is_void_v<TaskValue<Callable>>) {
    co_await callable();
    out.emplace();
  } else {
    out.emplace(co_await callable());
  }
}

template <class... Callables>
class WhenAll {
 public:
  explicit WhenAll(Callables... callables) : callables_(std::move(callables)...) {}
  WhenAll(const WhenAll&) = delete;
  bool await_ready() const noexcept { return sizeof...(Callables) == 0; }
  bool await_suspend(std::coroutine_handle<> parent) {
    counter_.remaining =
        sizeof...(Callables) + 1;  // one for this function, so that the parent is not resumed inside it
    start(std::index_sequence_for<Callables...>());
    if (--counter_.remaining == 0) return false;
    counter_.parent = parent;
    return true;
  }
  auto await_resume() {
    return std::apply([](auto&... out) { return std::tuple(std::move(*out)...); }, values_);
  }

 private:
  template <size_t... Is>
  void start(std::index_sequence<Is...>) {
    ((std::get<Is>(roots_) = run_into(std::get<Is>(callables_), std::get<Is>(values_)),
      std::get<Is>(roots_).start(&JoinCounter::child_done, &counter_)),
     ...);
  }
  std::tuple<Callables...> callables_;
  std::tuple<std::optional<StoredValue<TaskValue<Callables>>>...> values_;
  std::tuple<std::conditional_t<true, RootTask, Callables>...> roots_;
  JoinCounter counter_;
};

}  // namespace detail

// auto [a, b] = co_await when_all([&] { return read_a(); }, [&] { return read_b(); });
// Runs the Tasks that the callables make side by side on this core, and gives all their values
// (std::monostate for void) when the last has ended. An error of one does not stop the others; use a
// CancelSource for that.
// Each callable is called once and its Task starts after it has returned: a temporary made in the callable's
// own return statement is gone by then, and a Task that took a reference to it would dangle. Make such a
// callable a coroutine:
//     [&]() -> Task<Result<File>> { co_return co_await File::open(env, folder + "/name", options); }
template <class... Callables>
auto when_all(Callables... callables) {
  return detail::WhenAll<Callables...>(std::move(callables)...);
}

// Children started one by one, for instance a connection each. Every Scope must be joined before it is
// destroyed.
//     Scope scope(env);
//     scope.spawn(&serve_connection, std::ref(server), std::move(socket));
//     co_await scope.join();
// The function takes its arguments by value or reference; spawn() copies or moves them into the child's own
// frame.
class Scope {
 public:
  explicit Scope(Env& env) : env_(env) {}
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // `function` is a plain function or function pointer returning Task<void>: no captures, so nothing but a
  // passed argument can dangle. The child runs until its first suspension before spawn() returns.
  template <class... Parameters, class... Args>
  void spawn(Task<void> (*function)(Parameters...), Args&&... args) {
    Child* child = new Child{.scope = this};
    link(child);
    child->root = run_child(function, std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...));
    child->root.start(&Scope::child_done, child);
  }

  size_t size() const { return count_; }

  struct JoinAwaiter {
    Scope& scope;
    bool await_ready() const noexcept { return scope.count_ == 0; }
    void await_suspend(std::coroutine_handle<> waiter) {
      FB_ASSERT(!scope.joiner_);
      scope.joiner_ = waiter;
    }
    void await_resume() const noexcept {}
  };
  JoinAwaiter join() { return {*this}; }

 private:
  struct Child {
    Scope* scope;
    RootTask root;
    Child* previous = nullptr;
    Child* next = nullptr;
  };
  template <class... Parameters, class Tuple>
  static RootTask run_child(Task<void> (*function)(Parameters...), Tuple args) {
    co_await std::apply([&](auto&... values) { return function(static_cast<Parameters>(pass(values))...); },
                        args);
  }
  // Moves the stored copy into a by-value parameter; unwraps std::ref.
  template <class T>
  static T&& pass(T& value) {
    return static_cast<T&&>(value);
  }
  template <class T>
  static T& pass(std::reference_wrapper<T>& value) {
    return value.get();
  }
  static void child_done(void* child);
  void link(Child* child);

  Env& env_;
  Child* first_ = nullptr;
  size_t count_ = 0;
  std::coroutine_handle<> joiner_;
};

}  // namespace fb
