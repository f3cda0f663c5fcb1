// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "http/connection_watch.h"
#include "http/http_stats.h"
#include "http/limits.h"

namespace fb {

// Decides which clients may stay on one core's server if memory, places or connections get short:
// docs/admission.md. It knows the connections, the memory that waits for each client, and how fast each
// client lets go of it. It only fires tokens: the coroutine that serves a connection then ends its work and
// gives back its memory.
class Admission {
 public:
  Admission(Env& env, const HttpLimits& limits, HttpStats& stats)
      : env_(env), limits_(limits), stats_(stats) {}
  Admission(const Admission&) = delete;

  void add(ConnectionWatch& watch) { watches_.add(watch); }
  void remove(ConnectionWatch& watch) {
    watches_.remove(watch);
    head_grows(watch, 0);
    if (watch.leaving) --leaving_;
  }
  WatchList& watches() { return watches_; }

  // A flow begins to wait for its client with `bytes` of memory; the client has moved some; the wait is over.
  // `use` is the use of the memory; 0 bytes: the wait holds next to no memory.
  void begin(ClientFlow& flow, uint64_t bytes, BufferUse use) {
    flow.held_bytes = bytes;
    flow.use = use;
    flow.since = env_.now();
    held_bytes_ += bytes;
    ++flows_;
  }
  void moved(ClientFlow& flow, uint64_t bytes) {
    flow.note(env_.now(), bytes);
    flow.since = env_.now();
  }
  void end(ClientFlow& flow) {
    flow.since = Instant::never();
    held_bytes_ -= flow.held_bytes;
    flow.held_bytes = 0;
    --flows_;
  }
  uint64_t held_bytes() const { return held_bytes_; }
  // An unfinished head lies in an array of `array_bytes`; 0: the head is whole or given up. If all heads
  // together are too large, the largest go.
  void head_grows(ConnectionWatch& watch, size_t array_bytes) {
    if (watch.head_bytes == array_bytes) return;
    head_bytes_ = head_bytes_ - watch.head_bytes + array_bytes;
    watch.head_bytes = array_bytes;
    if (array_bytes != 0 && head_bytes_ > head_bytes_max()) [[unlikely]]
      shed_heads();
  }
  uint64_t head_bytes() const { return head_bytes_; }

  // Whether one more request may be handled; if not, it is answered with 503. `whole`: all of its body has
  // arrived, so that its client is not waited for.
  bool may_begin_request(bool whole);
  void begin_request(ConnectionWatch& watch);
  void end_request(ConnectionWatch& watch);
  size_t requests() const { return requests_; }

  // Called every HttpLimits::timeout_resolution: enforces deadlines, and the minimum rate if half of the
  // memory is used.
  void sweep();
  // Called while somebody waits for memory: cuts the slowest holders whose memory helps the waiters, until
  // that is enough. If somebody has waited for long, it also cuts holders that would otherwise be quick
  // enough.
  void relieve_shortage();
  // Closes as many connections as a 64th of the limit: quiet ones, then slow ones if there are too few.
  void shed_connections();
  void make_room() {
    if (watches_.size() - leaving_ + shed_count() > limits_.connections) [[unlikely]]
      shed_connections();
  }

 private:
  static constexpr uint64_t kHeadBytesMin = 16 * kMiB;
  struct Holder {
    ConnectionWatch* watch;
    bool incoming;
    Duration waited;
    bool heavy = false;  // its peer holds more than half of the memory of all holders
    const ClientFlow& flow() const { return incoming ? watch->in : watch->out; }
  };
  size_t shed_count() const { return std::max<size_t>(1, limits_.connections / 64); }
  uint64_t held_bytes_max() const { return 2 * env_.buffers().limit_bytes(); }
  uint64_t head_bytes_max() const {
    return std::max<uint64_t>(kHeadBytesMin, env_.buffers().limit_bytes() / 4);
  }
  bool overdue(const ClientFlow& flow, const CancelSource& cancel, Duration step_max) const;
  // The flows that `chosen` selects, that hold memory, and that have waited for a step for `step_max`.
  template <class Chosen>
  std::vector<Holder> slow_holders(Duration step_max, Chosen chosen);
  // Cuts the slowest first, until `bytes_wanted` are on their way back.
  void cut_slowest(std::vector<Holder>& holders, uint64_t bytes_wanted);
  void cut_crowding(BufferUse wanted, uint64_t bytes_wanted);
  void shed_heads();
  void cut(ConnectionWatch& watch, bool incoming);
  void leave(ConnectionWatch& watch);
  size_t shed_quiet(size_t count);
  size_t shed_slow(size_t count);

  Env& env_;
  const HttpLimits& limits_;
  HttpStats& stats_;
  WatchList watches_;
  uint64_t held_bytes_ = 0;
  uint64_t head_bytes_ = 0;
  size_t flows_ = 0;  // flows that wait for their clients
  size_t requests_ = 0;
  size_t leaving_ = 0;
  Instant next_shedding_;  // no pass sooner, after one that found too few
};

}  // namespace fb
