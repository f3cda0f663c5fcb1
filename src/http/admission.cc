// SPDX-License-Identifier: Apache-2.0
#include "http/admission.h"

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

namespace fb {
namespace {

// The time in which a client must move a sixteenth of the memory it holds: Half if half of the memory is
// used, Short if somebody waits for memory.
constexpr Duration kStepMaxHalf = Duration::seconds(2);
constexpr Duration kStepMaxShort = Duration::milliseconds(500);
// If somebody has waited for memory this long, holders may be cut that need more than a second for all they
// hold.
constexpr Duration kCrowdedAfter = Duration::seconds(1);
constexpr Duration kStepMaxCrowded = Duration::milliseconds(62);
// This time applies if somebody waits for the client's connection, or for its request's place.
constexpr Duration kStepMaxShedding = Duration::seconds(1);
// A pass over all connections that closed too few is not repeated sooner.
constexpr Duration kSheddingPause = Duration::milliseconds(20);
// A client that has just connected, or was just answered, has this long to send a request.
constexpr Duration kQuietMin = Duration::milliseconds(100);

}  // namespace

bool Admission::overdue(const ClientFlow& flow, const CancelSource& cancel, Duration step_max) const {
  return flow.waits() && !cancel.cancelled() && flow.waited_at(env_.now()) >= step_max;
}

void Admission::cut(ConnectionWatch& watch, bool incoming) {
  ++(incoming ? stats_.bodies_cut : stats_.answers_cut);
  watch.time_out(incoming ? watch.receive_cancel : watch.send_cancel);
}

// Requests whose client is waited for hold places of their own, as many as there are for work. So slow
// clients do not keep out requests that arrived whole.
bool Admission::may_begin_request(bool whole) {
  const size_t places = limits_.requests;
  const size_t worked_on = requests_ - std::min(requests_, flows_);
  if (worked_on < places && (whole || requests_ < 2 * places)) [[likely]]
    return true;
  // The slowest ones make room; while they leave, some more than the bound may begin.
  const bool leaving = shed_slow(shed_count()) != 0;
  if (leaving && requests_ < 2 * places + places / 8) return true;
  ++stats_.requests_refused;
  return false;
}

void Admission::begin_request(ConnectionWatch& watch) {
  watch.busy = true;
  watch.held_for_body = 0;
  watch.held_use = BufferUse::incoming;
  watch.in = {};
  watch.out = {};
  ++requests_;
}

void Admission::end_request(ConnectionWatch& watch) {
  watch.busy = false;
  watch.quiet_since = env_.now();
  --requests_;
}

template <class Chosen>
std::vector<Admission::Holder> Admission::slow_holders(Duration step_max, Chosen chosen) {
  const Instant now = env_.now();
  std::vector<Holder> holders;
  watches_.for_each([&](ConnectionWatch& watch) {
    for (const bool incoming : {true, false}) {
      const ClientFlow& flow = incoming ? watch.in : watch.out;
      if (flow.held_bytes == 0 || !chosen(flow)) continue;
      if (!overdue(flow, incoming ? watch.receive_cancel : watch.send_cancel, step_max)) continue;
      holders.push_back({.watch = &watch, .incoming = incoming, .waited = flow.waited_at(now)});
    }
  });
  return holders;
}

void Admission::cut_slowest(std::vector<Holder>& holders, uint64_t bytes_wanted) {
  std::ranges::sort(holders, [](const Holder& a, const Holder& b) {
    return a.heavy != b.heavy ? a.heavy : a.waited > b.waited;
  });
  uint64_t freed = 0;
  for (const Holder& holder : holders) {
    if (freed >= bytes_wanted) break;
    freed += holder.flow().held_bytes;
    cut(*holder.watch, holder.incoming);
  }
}

// Cuts slow holders of each budget that is more than half used, only until it no longer is.
void Admission::sweep() {
  const Instant now = env_.now();
  watches_.for_each([&](ConnectionWatch& watch) { watch.check(now); });
  const auto relieve = [&](uint64_t used, uint64_t bound, auto counts) {
    if (used < bound / 2) return;
    auto slow = slow_holders(kStepMaxHalf, counts);
    cut_slowest(slow, used - bound / 2 + 1);
  };
  const BufferPool& pool = env_.buffers();
  relieve(pool.used_bytes(), pool.limit_bytes(),
          [](const ClientFlow& flow) { return flow.use != BufferUse::text; });
  relieve(pool.used_bytes(BufferUse::text), pool.share_bytes(BufferUse::text),
          [](const ClientFlow& flow) { return flow.use == BufferUse::text; });
  const auto any = [](const ClientFlow&) { return true; };
  relieve(held_bytes_, held_bytes_max(), any);
  if (held_bytes_ > held_bytes_max()) {
    auto slow = slow_holders(kStepMaxShort, any);
    cut_slowest(slow, held_bytes_ - held_bytes_max());
  }
  make_room();
}

void Admission::relieve_shortage() {
  const BufferPool& pool = env_.buffers();
  for (size_t i = 0; i < kBufferUseCount; ++i) {
    const auto wanted = static_cast<BufferUse>(i);
    if (!pool.waits(wanted)) continue;
    auto slow =
        slow_holders(kStepMaxShort, [&](const ClientFlow& flow) { return pool.helps(flow.use, wanted); });
    if (!slow.empty()) {
      cut_slowest(slow, pool.waiting_bytes(wanted, {}));
    } else if (const uint64_t bytes = pool.waiting_bytes(wanted, kCrowdedAfter); bytes != 0) {
      cut_crowding(wanted, bytes);
    }
  }
}

// Many clients that are each just quick enough could together hold a whole share, while others wait in vain
// that would need a block for some milliseconds only. So clients that are slower than a block a second make
// room, first those of a peer that holds more than half.
void Admission::cut_crowding(BufferUse wanted, uint64_t bytes_wanted) {
  const BufferPool& pool = env_.buffers();
  const Instant now = env_.now();
  const auto slowness = [&](const ClientFlow& flow) { return std::max(flow.last_step, flow.waited_at(now)); };
  auto slow = slow_holders({}, [&](const ClientFlow& flow) {
    return pool.helps(flow.use, wanted) && slowness(flow) > kStepMaxCrowded;
  });
  std::map<std::array<uint8_t, 16>, uint64_t> of_address;
  uint64_t all = 0;
  for (Holder& holder : slow) {
    holder.waited = slowness(holder.flow());
    of_address[holder.watch->peer.address] += holder.flow().held_bytes;
    all += holder.flow().held_bytes;
  }
  for (Holder& holder : slow) holder.heavy = of_address[holder.watch->peer.address] > all / 2;
  cut_slowest(slow, bytes_wanted);
}

// Cuts down to seven eighths, so that not every further byte causes a pass over all connections.
void Admission::shed_heads() {
  std::vector<ConnectionWatch*> heads;
  watches_.for_each([&](ConnectionWatch& watch) {
    if (watch.head_bytes != 0 && !watch.leaving && !watch.receive_cancel.cancelled()) heads.push_back(&watch);
  });
  std::ranges::sort(heads, [](const ConnectionWatch* a, const ConnectionWatch* b) {
    if (a->authenticated != b->authenticated) return b->authenticated;
    return a->head_bytes != b->head_bytes ? a->head_bytes > b->head_bytes : a->quiet_since < b->quiet_since;
  });
  uint64_t left = head_bytes_;
  for (ConnectionWatch* const watch : heads) {
    if (left <= head_bytes_max() / 8 * 7) break;
    left -= watch->head_bytes;
    leave(*watch);
    watch->cancel_all();
  }
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

// Connections that never authenticated go first, and of these the ones of an address that has more than half
// of all connections.
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
