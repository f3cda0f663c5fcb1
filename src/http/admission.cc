// SPDX-License-Identifier: Apache-2.0
#include "http/admission.h"

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

namespace fb {
namespace {

// In which a client must move a sixteenth of what it holds: where half of the memory is used, and where
// somebody waits for it.
constexpr Duration kStepMaxHalf = Duration::seconds(2);
constexpr Duration kStepMaxShort = Duration::milliseconds(500);
// And where somebody waits for its connection, or for its request's place.
constexpr Duration kStepMaxShedding = Duration::seconds(1);
// A look at all connections that closed too few is not repeated sooner.
constexpr Duration kSheddingPause = Duration::milliseconds(20);
// Who has just come, or was just answered, may speak first.
constexpr Duration kQuietMin = Duration::milliseconds(100);

}  // namespace

bool Admission::overdue(const ClientFlow& flow, const CancelSource& cancel, Duration step_max) const {
  return flow.waits() && !cancel.cancelled() && flow.waited_at(env_.now()) >= step_max;
}

void Admission::cut(ConnectionWatch& watch, bool incoming) {
  ++(incoming ? stats_.bodies_cut : stats_.answers_cut);
  watch.time_out(incoming ? watch.receive_cancel : watch.send_cancel);
}

bool Admission::may_begin_request() {
  if (requests_ < limits_.requests) [[likely]]
    return true;
  // The slowest ones make room; while they leave, some more than the bound may begin.
  const bool leaving = shed_slow(shed_count()) != 0;
  if (leaving && requests_ < limits_.requests + limits_.requests / 8) return true;
  ++stats_.requests_refused;
  return false;
}

void Admission::begin_request(ConnectionWatch& watch) {
  watch.busy = true;
  watch.held_for_body = 0;
  watch.in = {};
  watch.out = {};
  ++requests_;
}

void Admission::end_request(ConnectionWatch& watch) {
  watch.busy = false;
  watch.quiet_since = env_.now();
  --requests_;
}

void Admission::sweep() {
  const Instant now = env_.now();
  const bool half = !env_.buffers().calm() || held_bytes_ > held_bytes_max() / 2;
  watches_.for_each([&](ConnectionWatch& watch) {
    watch.check(now);
    if (!half) return;
    if (overdue(watch.in, watch.receive_cancel, kStepMaxHalf)) cut(watch, true);
    if (overdue(watch.out, watch.send_cancel, kStepMaxHalf)) cut(watch, false);
  });
  if (held_bytes_ > held_bytes_max()) cut_slowest(held_bytes_ - held_bytes_max());
  make_room();
}

bool Admission::cut_slowest(uint64_t bytes_wanted) {
  struct Holder {
    ConnectionWatch* watch;
    bool incoming;
    Duration waited;
  };
  const Instant now = env_.now();
  std::vector<Holder> holders;
  watches_.for_each([&](ConnectionWatch& watch) {
    if (overdue(watch.in, watch.receive_cancel, kStepMaxShort))
      holders.push_back({.watch = &watch, .incoming = true, .waited = watch.in.waited_at(now)});
    if (overdue(watch.out, watch.send_cancel, kStepMaxShort))
      holders.push_back({.watch = &watch, .incoming = false, .waited = watch.out.waited_at(now)});
  });
  std::ranges::sort(holders, std::ranges::greater(), &Holder::waited);
  uint64_t freed = 0;
  for (const Holder& holder : holders) {
    if (freed >= bytes_wanted) break;
    freed += (holder.incoming ? holder.watch->in : holder.watch->out).held_bytes;
    cut(*holder.watch, holder.incoming);
  }
  return freed != 0;
}

void Admission::leave(ConnectionWatch& watch) {
  if (watch.leaving) return;
  watch.leaving = true;
  ++leaving_;
  ++stats_.connections_shed;
}

void Admission::shed_connections() {
  if (env_.now() < next_shedding_) return;
  const size_t count = shed_count();
  size_t shed = shed_quiet(count);
  if (shed < count) shed += shed_slow(count - shed);
  if (shed < count) next_shedding_ = env_.now() + kSheddingPause;
}

// Those that never authenticated go first, and of these the ones of an address that has most connections.
size_t Admission::shed_quiet(size_t count) {
  struct Quiet {
    ConnectionWatch* watch;
    int rank;
  };
  std::map<std::array<uint8_t, 16>, size_t> of_address;
  std::vector<Quiet> quiet;
  const Instant now = env_.now();
  watches_.for_each([&](ConnectionWatch& watch) {
    ++of_address[watch.peer.address];
    if (watch.busy || watch.receive_cancel.cancelled() || now - watch.quiet_since < kQuietMin) return;
    quiet.push_back({.watch = &watch, .rank = 0});
  });
  for (Quiet& each : quiet) {
    const bool heavy = of_address[each.watch->peer.address] > watches_.size() / 2;
    each.rank = each.watch->authenticated ? 2 : heavy ? 0 : 1;
  }
  const auto sooner = [](const Quiet& a, const Quiet& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.watch->quiet_since < b.watch->quiet_since;
  };
  count = std::min(count, quiet.size());
  std::ranges::partial_sort(quiet, quiet.begin() + static_cast<std::ptrdiff_t>(count), sooner);
  for (size_t i = 0; i < count; ++i) {
    leave(*quiet[i].watch);
    quiet[i].watch->cancel_all();
  }
  return count;
}

size_t Admission::shed_slow(size_t count) {
  struct Slow {
    ConnectionWatch* watch;
    bool incoming;
    Duration waited;
  };
  const Instant now = env_.now();
  std::vector<Slow> slow;
  watches_.for_each([&](ConnectionWatch& watch) {
    if (!watch.busy) return;
    const bool incoming = watch.in.waits();
    const ClientFlow& flow = incoming ? watch.in : watch.out;
    if (overdue(flow, incoming ? watch.receive_cancel : watch.send_cancel, kStepMaxShedding))
      slow.push_back({.watch = &watch, .incoming = incoming, .waited = flow.waited_at(now)});
  });
  count = std::min(count, slow.size());
  const auto end = slow.begin() + static_cast<std::ptrdiff_t>(count);
  std::ranges::partial_sort(slow, end, std::ranges::greater(), &Slow::waited);
  for (size_t i = 0; i < count; ++i) {
    leave(*slow[i].watch);
    cut(*slow[i].watch, slow[i].incoming);
  }
  return count;
}

}  // namespace fb
