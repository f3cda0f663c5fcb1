// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/assert.h"
#include "io/cancel.h"
#include "io/env.h"

namespace fb {

// A connection as its server's sweep sees it. A receive or send arms no timer: it writes its deadline here,
// and the sweep, once per HttpLimits::timeout_resolution, cancels what is over its time. Both directions have
// their own token, so that a request that came too slowly can still be answered.
struct ConnectionWatch {
  CancelSource receive_cancel;
  CancelSource send_cancel;
  Instant receive_deadline = Instant::never();
  Instant send_deadline = Instant::never();
  bool timed_out = false;  // a deadline or a handler, not the server's stop, fired a token
  bool idle = false;       // between two requests: closed at once when the server stops
  ConnectionWatch* previous = nullptr;
  ConnectionWatch* next = nullptr;

  void check(Instant now) {
    if (receive_deadline <= now && !receive_cancel.cancelled()) {
      timed_out = true;
      receive_cancel.cancel();
    }
    if (send_deadline <= now && !send_cancel.cancelled()) {
      timed_out = true;
      send_cancel.cancel();
    }
  }
  void cancel_all() {
    if (!receive_cancel.cancelled()) receive_cancel.cancel();
    if (!send_cancel.cancelled()) send_cancel.cancel();
  }
};

// The watched connections of one server.
class WatchList {
 public:
  void add(ConnectionWatch& watch) {
    watch.next = first_;
    if (first_ != nullptr) first_->previous = &watch;
    first_ = &watch;
  }
  void remove(ConnectionWatch& watch) {
    if (watch.previous != nullptr) {
      watch.previous->next = watch.next;
    } else {
      FB_ASSERT(first_ == &watch);
      first_ = watch.next;
    }
    if (watch.next != nullptr) watch.next->previous = watch.previous;
  }
  // `visit` resumes no coroutine (cancellation only schedules), so the list stands still.
  template <class Visit>
  void for_each(Visit visit) {
    for (ConnectionWatch* watch = first_; watch != nullptr; watch = watch->next) visit(*watch);
  }

 private:
  ConnectionWatch* first_ = nullptr;
};

}  // namespace fb
