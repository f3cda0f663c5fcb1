// SPDX-License-Identifier: Apache-2.0
#include "io/io_awaiter.h"

#include <cerrno>

namespace fb {

IoAwaiter::IoAwaiter(Env& env, const IoLimits& limits) {
  request_.env = &env;
  request_.deadline = limits.deadline;
  request_.cancel = limits.cancel;
}

bool IoAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  FB_ASSERT(request_.state == IoRequest::State::idle, request_.kind);
  Env& env = *request_.env;
  if (request_.cancel != nullptr && request_.cancel->cancelled()) {
    request_.state = IoRequest::State::done;
    request_.result = -ECANCELED;
    return false;
  }
  if (!request_.deadline.is_never()) {
    if (request_.deadline <= env.now()) {
      request_.state = IoRequest::State::done;
      request_.timed_out = true;
      request_.result = -ECANCELED;
      return false;
    }
    env.timers().arm(request_.timer, request_.deadline);
  }
  if (request_.cancel != nullptr) request_.cancel->register_callback(request_.on_cancel);
  request_.waiter = waiter;
  request_.state = IoRequest::State::in_flight;
  ++env.stats().io_submitted;
  env.submit(request_);
  return true;
}

Result<int64_t> IoAwaiter::take_result() const {
  FB_ASSERT(request_.state == IoRequest::State::done, request_.state, request_.kind);
  if (request_.result >= 0) [[likely]]
    return request_.result;
  const auto os_errno = static_cast<int>(-request_.result);
  if (os_errno == ECANCELED && request_.timed_out) return Error(IoError::timed_out);
  return io_error(os_errno);
}

}  // namespace fb
