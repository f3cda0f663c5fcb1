// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "base/assert.h"
#include "base/units.h"
#include "io/cancel.h"
#include "io/env.h"

namespace fb {

// One direction of a connection while its client is waited for, with the memory that waits. A client moves
// this memory in steps, each a sixteenth of it. The time it has been waited for since its last step tells
// whether it is too slow for the memory it holds, however quick it was before.
struct ClientFlow {
  uint64_t held_bytes = 0;
  BufferUse use = BufferUse::request;  // the use of that memory
  Instant since = Instant::never();    // when the wait under way began; never: nothing waits
  uint64_t moved_bytes = 0;            // since the last step
  Duration waited;
  Duration last_step;  // the time that the last step took

  static constexpr uint64_t kSteps = 16;
  static constexpr uint64_t kStepBytesMin = 2 * kKiB;

  bool waits() const { return !since.is_never(); }
  // The time since the last step, counted only while the client was waited for.
  Duration waited_at(Instant now) const { return waits() ? waited + (now - since) : waited; }
  void note(Instant now, uint64_t bytes) {
    waited = waited_at(now);
    moved_bytes += bytes;
    const uint64_t step_bytes = std::max(kStepBytesMin, held_bytes / kSteps);
    if (moved_bytes < step_bytes) return;
    last_step = {waited.ns / static_cast<int64_t>(moved_bytes / step_bytes)};
    waited = {};
    moved_bytes %= step_bytes;
  }
};

// A connection as its server's sweep sees it. A receive or send arms no timer: it writes its deadline here,
// and the sweep, once per HttpLimits::timeout_resolution, cancels operations that are over their time. Both
// directions have their own token, so that a request that came too slowly can still be answered.
struct ConnectionWatch {
  CancelSource receive_cancel;
  CancelSource send_cancel;
  Instant receive_deadline = Instant::never();
  Instant send_deadline = Instant::never();
  ClientFlow in;
  ClientFlow out;
  Endpoint peer;
  Instant quiet_since;         // accepted, or the end of its last request
  uint64_t held_for_body = 0;  // as the handler stated
  BufferUse held_use = BufferUse::incoming;
  size_t head_bytes = 0;       // size of the array that holds an unfinished head
  bool timed_out = false;      // a deadline or a handler, not the server's stop, fired a token
  bool idle = false;           // between two requests: closed at once when the server stops
  bool busy = false;           // a request of it is being handled
  bool authenticated = false;  // a request on it was authenticated
  bool leaving = false;        // to be closed to make room for others
  ConnectionWatch* previous = nullptr;
  ConnectionWatch* next = nullptr;

  void check(Instant now) {
    if (receive_deadline <= now) time_out(receive_cancel);
    if (send_deadline <= now) time_out(send_cancel);
  }
  void time_out(CancelSource& direction) {
    if (direction.cancelled()) return;
    timed_out = true;
    direction.cancel();
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
    ++size_;
  }
  void remove(ConnectionWatch& watch) {
    if (watch.previous != nullptr) {
      watch.previous->next = watch.next;
    } else {
      FB_ASSERT(first_ == &watch);
      first_ = watch.next;
    }
    if (watch.next != nullptr) watch.next->previous = watch.previous;
    --size_;
  }
  size_t size() const { return size_; }
  // `visit` resumes no coroutine (cancellation only schedules), so the list stands still.
  template <class Visit>
  void for_each(Visit visit) {
    for (ConnectionWatch* watch = first_; watch != nullptr; watch = watch->next) visit(*watch);
  }

 private:
  ConnectionWatch* first_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fb
