// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include "io/env.h"
#include "io/teardown.h"

// Waiting among coroutines of one core. None of these crosses cores; all are FIFO; none allocates.

namespace fb {

namespace detail {
struct WaitNode {
  std::coroutine_handle<> handle;
  WaitNode* next = nullptr;
};
class WaitList {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(WaitNode& node);
  WaitNode* pop();
  WaitNode* front() const { return first_; }

 private:
  WaitNode* first_ = nullptr;
  WaitNode* last_ = nullptr;
};
}  // namespace detail

// A condition to wait for: notify_all() wakes everyone who waits now. Look at the condition again after
// waking.
class Notification {
 public:
  explicit Notification(Env& env) : env_(env) {}
  void notify_all();
  void notify_one();
  bool has_waiters() const { return !waiters_.empty(); }
  struct Awaiter : detail::WaitNode {
    explicit Awaiter(Notification& owner_in) : owner(owner_in) {}
    Notification& owner;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      handle = waiter;
      owner.waiters_.push(*this);
    }
    void await_resume() const noexcept {}
  };
  Awaiter wait() { return Awaiter(*this); }

 private:
  Env& env_;
  detail::WaitList waiters_;
};

// Counted units; acquire() waits in order of arrival. Units is returned by RAII.
class Semaphore {
 public:
  Semaphore(Env& env, uint64_t units) : env_(env), available_(units) {}

  class Units {
   public:
    Units() = default;
    Units(Semaphore& owner, uint64_t count) : owner_(&owner), count_(count) {}
    Units(Units&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), count_(other.count_) {}
    Units& operator=(Units&& other) noexcept {
      reset();
      owner_ = std::exchange(other.owner_, nullptr);
      count_ = other.count_;
      return *this;
    }
    ~Units() { reset(); }
    void reset() {
      Semaphore* owner = std::exchange(owner_, nullptr);
      if (owner != nullptr && !detail::teardown_in_progress) owner->release(count_);
    }
    explicit operator bool() const { return owner_ != nullptr; }

   private:
    Semaphore* owner_ = nullptr;
    uint64_t count_ = 0;
  };

  struct Awaiter : detail::WaitNode {
    Awaiter(Semaphore& owner_in, uint64_t count_in) : owner(owner_in), count(count_in) {}
    Semaphore& owner;
    uint64_t count;
    bool await_ready() const noexcept { return owner.waiters_.empty() && owner.available_ >= count; }
    void await_suspend(std::coroutine_handle<> waiter) {
      handle = waiter;
      granted = false;
      owner.waiters_.push(*this);
    }
    [[nodiscard]] Units await_resume() {
      if (granted) owner.available_ -= count;
      return Units(owner, count);
    }
    bool granted = true;  // false: release() has taken the units already
  };
  // `count` must not exceed the units that the semaphore was made with.
  Awaiter acquire(uint64_t count = 1) { return Awaiter(*this, count); }
  // Empty Units if it would have to wait.
  Units try_acquire(uint64_t count = 1);
  uint64_t available() const { return available_; }

 private:
  void release(uint64_t count);
  Env& env_;
  uint64_t available_;
  detail::WaitList waiters_;
};

// Mutual exclusion across awaits of one core's coroutines: `auto held = co_await mutex.acquire();`.
class AsyncMutex {
 public:
  explicit AsyncMutex(Env& env) : semaphore_(env, 1) {}
  auto acquire() { return semaphore_.acquire(1); }

 private:
  Semaphore semaphore_;
};

}  // namespace fb
