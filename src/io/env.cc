// SPDX-License-Identifier: Apache-2.0
#include "io/env.h"

#include <cerrno>

#include "io/error.h"

namespace fb {
namespace {

void count(EnvStats& stats, const IoRequest& request) {
  const auto bytes = static_cast<uint64_t>(request.result);
  switch (request.kind) {
    case IoKind::read:
      ++stats.file_reads;
      stats.file_read_bytes += bytes;
      break;
    case IoKind::write:
    case IoKind::writev:
      ++stats.file_writes;
      stats.file_write_bytes += bytes;
      if ((request.flags & IoRequest::kDurable) != 0) ++stats.file_durable_writes;
      break;
    case IoKind::sync:
      ++stats.file_syncs;
      break;
    case IoKind::receive:
    case IoKind::receive_pooled:
      ++stats.net_receives;
      stats.net_received_bytes += bytes;
      break;
    case IoKind::send:
      ++stats.net_sends;
      stats.net_sent_bytes += bytes;
      break;
    case IoKind::accept:
      ++stats.accepts;
      break;
    default:
      break;
  }
}

// Waits for a point in time or a cancellation, whichever comes first.
class SleepAwaiter {
 public:
  SleepAwaiter(Env& env, Instant deadline, CancelToken cancel)
      : timer_(this), on_cancel_(this), env_(env), deadline_(deadline), cancel_(cancel) {}

  bool await_ready() {
    cancelled_ = cancel_ != nullptr && cancel_->cancelled();
    return cancelled_;
  }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    if (!deadline_.is_never()) env_.timers().arm(timer_, deadline_);
    if (cancel_ != nullptr) cancel_->register_callback(on_cancel_);
  }
  Result<void> await_resume() const {
    if (cancelled_) return IoError::cancelled;
    return {};
  }

 private:
  struct SleepTimer : Timer {
    explicit SleepTimer(SleepAwaiter* owner_in) : Timer(&SleepTimer::fired), owner(owner_in) {}
    static void fired(Timer& timer) {
      SleepAwaiter& self = *static_cast<SleepTimer&>(timer).owner;
      self.on_cancel_.unregister();
      self.env_.schedule(self.waiter_);
    }
    SleepAwaiter* owner;
  };
  struct SleepCancel : CancelCallback {
    explicit SleepCancel(SleepAwaiter* owner_in) : CancelCallback(&SleepCancel::fired), owner(owner_in) {}
    static void fired(CancelCallback& callback) {
      SleepAwaiter& self = *static_cast<SleepCancel&>(callback).owner;
      self.cancelled_ = true;
      self.env_.timers().stop(self.timer_);
      self.env_.schedule(self.waiter_);
    }
    SleepAwaiter* owner;
  };

  SleepTimer timer_;
  SleepCancel on_cancel_;
  Env& env_;
  Instant deadline_;
  CancelToken cancel_;
  std::coroutine_handle<> waiter_;
  bool cancelled_ = false;
};

}  // namespace

void Env::complete(IoRequest& request, int64_t result) {
  FB_ASSERT(request.state == IoRequest::State::in_flight, request.state, request.kind, result);
  request.result = result;
  request.state = IoRequest::State::done;
  if (request.timer.armed()) timers_.stop(request.timer);
  request.on_cancel.unregister();
  ++stats_.io_completed;
  if (result >= 0) {
    count(stats_, request);
  } else if (result != -ECANCELED) {
    ++stats_.io_errors;
  }
  schedule(request.waiter);
}

Task<Result<void>> sleep_until(Env& env, Instant deadline, CancelToken cancel) {
  co_return co_await SleepAwaiter(env, deadline, cancel);
}

}  // namespace fb
