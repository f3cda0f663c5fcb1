// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "http/connection_watch.h"
#include "http/http_stats.h"
#include "http/limits.h"

namespace fb {

// Who may stay on one core's server when something gets short: docs/admission.md. It knows the connections,
// the memory that waits for each client, and how fast each client lets go of it. It only fires tokens: the
// coroutine that serves a connection ends what it does and gives back what it holds.
class Admission {
 public:
  Admission(Env& env, const HttpLimits& limits, HttpStats& stats)
      : env_(env), limits_(limits), stats_(stats) {}
  Admission(const Admission&) = delete;

  void add(ConnectionWatch& watch) { watches_.add(watch); }
  void remove(ConnectionWatch& watch) {
    watches_.remove(watch);
    if (watch.leaving) --leaving_;
  }
  WatchList& watches() { return watches_; }

  // A flow begins to wait for its client with `bytes` of memory; the client has moved some; the wait is over.
  void begin(ClientFlow& flow, uint64_t bytes) {
    flow.held_bytes = bytes;
    flow.since = env_.now();
    held_bytes_ += bytes;
  }
  void moved(ClientFlow& flow, uint64_t bytes) {
    flow.note(env_.now(), bytes);
    flow.since = env_.now();
  }
  void end(ClientFlow& flow) {
    flow.since = Instant::never();
    held_bytes_ -= flow.held_bytes;
    flow.held_bytes = 0;
  }
  uint64_t held_bytes() const { return held_bytes_; }

  // Whether one more request may be handled; where not, it is answered with 503.
  bool may_begin_request();
  void begin_request(ConnectionWatch& watch);
  void end_request(ConnectionWatch& watch);
  size_t requests() const { return requests_; }

  // Every HttpLimits::timeout_resolution: deadlines, and the floor where half of the memory is used.
  void sweep();
  // Somebody waits for memory: cuts the slowest holders until their memory is enough. False where all are
  // quick.
  bool cut_slowest(uint64_t bytes_wanted);
  // As many connections as a 64th of the limit are closed: quiet ones, and where there are none, slow ones.
  void shed_connections();
  void make_room() {
    if (watches_.size() - leaving_ + shed_count() > limits_.connections) [[unlikely]]
      shed_connections();
  }

 private:
  size_t shed_count() const { return std::max<size_t>(1, limits_.connections / 64); }
  uint64_t held_bytes_max() const { return 2 * env_.buffers().limit_bytes(); }
  bool overdue(const ClientFlow& flow, const CancelSource& cancel, Duration step_max) const;
  void cut(ConnectionWatch& watch, bool incoming);
  void leave(ConnectionWatch& watch);
  size_t shed_quiet(size_t count);
  size_t shed_slow(size_t count);

  Env& env_;
  const HttpLimits& limits_;
  HttpStats& stats_;
  WatchList watches_;
  uint64_t held_bytes_ = 0;
  size_t requests_ = 0;
  size_t leaving_ = 0;
  Instant next_shedding_;  // not sooner, after one that found too few
};

}  // namespace fb
