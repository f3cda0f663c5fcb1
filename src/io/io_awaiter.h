// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <coroutine>

#include "io/env.h"
#include "io/error.h"

namespace fb {

// Bounds of one operation. Both are optional.
struct IoLimits {
  Instant deadline = Instant::never();
  CancelToken cancel = nullptr;
};

// Base of all awaitable operations: owns the IoRequest, submits it, and turns its result into a Result.
class IoAwaiter {
 public:
  explicit IoAwaiter(Env& env, const IoLimits& limits = {});
  // `fill` sets the request's kind and arguments; an awaiter cannot be moved, so the return statement makes
  // it whole.
  template <std::invocable<IoRequest&> Fill>
  IoAwaiter(Env& env, const IoLimits& limits, Fill&& fill) : IoAwaiter(env, limits) {
    fill(request_);
  }
  IoAwaiter(const IoAwaiter&) = delete;
  IoAwaiter& operator=(const IoAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  // False (go on at once, with the error) if the token is cancelled or the deadline has passed already.
  bool await_suspend(std::coroutine_handle<> waiter);

 protected:
  // The request's result as bytes or a handle; IoError::timed_out if the deadline ended it.
  Result<int64_t> take_result() const;
  IoRequest request_;
};

class CountAwaiter : public IoAwaiter {
 public:
  using IoAwaiter::IoAwaiter;
  IoRequest& request() { return request_; }
  Result<size_t> await_resume() const {
    FB_TRY(const int64_t count, take_result());
    return static_cast<size_t>(count);
  }
};

class VoidAwaiter : public IoAwaiter {
 public:
  using IoAwaiter::IoAwaiter;
  IoRequest& request() { return request_; }
  Result<void> await_resume() const {
    FB_CHECK(take_result());
    return {};
  }
};

}  // namespace fb
