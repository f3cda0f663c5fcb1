// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_env.h"

#include <algorithm>
#include <utility>

#include "io/sim/simulation.h"

namespace fb::sim {
namespace {

constexpr uint64_t kSpinNs = 50;
constexpr uint32_t kSpinsEach = 4;  // spins before the time doubles
constexpr uint32_t kSpinsMax = 40;

}  // namespace

SimEnv::SimEnv(Simulation& simulation, SimNode& node, Options options)
    : Env(options), simulation_(simulation), node_(node) {
  simulated_ = true;
}

SimEnv::~SimEnv() { FB_ASSERT(abandoned_ || pooled_free_.size() == pooled_.size(), pooled_.size()); }

// Work of another core reaches this one only through send().
void SimEnv::assert_own_core() const {
  FB_ASSERT(simulation_.current() == nullptr || simulation_.current() == this, core());
}

Instant SimEnv::now() const { return in_turn() ? turn_began_ : simulation_.now(); }
UnixTime SimEnv::wall_clock() const { return simulation_.wall_clock(); }
uint64_t SimEnv::random() { return simulation_.program_random().next(); }
void SimEnv::random_bytes(std::span<std::byte> out) { simulation_.program_random().fill(out); }

void SimEnv::schedule(std::coroutine_handle<> handle) {
  if (abandoned_) return;
  assert_own_core();
  simulation_.make_ready(*this, handle);
}

bool SimEnv::has_ready() { return simulation_.scheduler_random().below(2) == 0; }

void SimEnv::submit(IoRequest& request) {
  if (abandoned_) return;
  assert_own_core();
  node_.submit(*this, request);
}

void SimEnv::cancel(IoRequest& request) {
  if (abandoned_) return;
  assert_own_core();
  node_.cancel(request);
}

void SimEnv::lend_pooled(IoRequest& request) {
  if (pooled_free_.empty()) {
    pooled_free_.push_back(static_cast<uint32_t>(pooled_.size()));
    pooled_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPooledBytesSize));
  }
  request.pooled_id = pooled_free_.back();
  request.pooled_data = pooled_[request.pooled_id].get();
  pooled_free_.pop_back();
}

void SimEnv::release_pooled(uint32_t pooled_id) {
  if (abandoned_) return;
  FB_ASSERT(pooled_id < pooled_.size(), pooled_id, pooled_.size());
  // Code that still reads the bytes must notice that they are gone.
  pooled_[pooled_id] = std::make_unique_for_overwrite<std::byte[]>(kPooledBytesSize);
  pooled_free_.push_back(pooled_id);
}

void SimEnv::send(unsigned core, CoreMessage& message) {
  if (abandoned_) return;
  assert_own_core();
  ++stats_.messages_sent;
  auto& target = static_cast<SimEnv&>(node_.env(core));
  target.inbox_.push_back(&message);
  target.announce_messages();
}

void SimEnv::announce_messages() {
  if (inbox_announced_ || inbox_.empty()) return;
  inbox_announced_ = true;
  simulation_.make_ready(*this, {});
}

void SimEnv::run_messages() {
  inbox_announced_ = false;
  for (uint64_t count = simulation_.scheduler_random().between(1, inbox_.size()); count > 0; --count) {
    if (node_.ending()) return;
    CoreMessage& message = *inbox_.front();
    inbox_.pop_front();
    message.run(message, *this);
  }
  announce_messages();
}

void SimEnv::write_log(std::string_view line) {
  if (abandoned_ || node_.crash_pending()) return;
  simulation_.write_log(node_.name(), line);
}

// --- turns ---

// If no other core could run in between, no fibre is needed.
void SimEnv::run_turn(Fibre::Work work, void* argument) {
  FB_ASSERT(!in_turn(), core());
  if (!simulation_.switches(node_)) {
    SimEnv* const before = simulation_.exchange_current(this);
    work(argument);
    simulation_.exchange_current(before);
    return;
  }
  fibre_ = simulation_.take_fibre();
  turn_began_ = simulation_.now();
  pauses_ = 0;
  SimEnv* const before = simulation_.exchange_current(this);
  fibre_->start(work, argument);
  simulation_.exchange_current(before);
  end_turn();
}

void SimEnv::go_on() {
  FB_ASSERT(in_turn(), core());
  place_ = nullptr;
  SimEnv* const before = simulation_.exchange_current(this);
  fibre_->go_on();
  simulation_.exchange_current(before);
  end_turn();
}

void SimEnv::end_turn() {
  if (fibre_->idle()) simulation_.give_fibre(*std::exchange(fibre_, nullptr));
}

// The event comes too late if a crash has let the turn go on before.
void SimEnv::leave_turn(const char* place, Duration length) {
  FB_ASSERT(simulation_.current() == this, core());
  place_ = place;
  const uint64_t number = ++times_left_;
  simulation_.at(simulation_.now() + length, this, [this, number] {
    if (in_turn() && times_left_ == number) go_on();
  });
  fibre_->leave();
}

// While the process ends, turns go on to their end.
void SimEnv::at_point(const char* name) {
  if (abandoned_) return;
  node_.at_point();
  if (!in_turn() || node_.ending() || !simulation_.draws_switch()) return;
  leave_turn(name, simulation_.draw_absence());
}

// The longer it spins, the longer the others get.
void SimEnv::at_pause() {
  if (!in_turn() || simulation_.turns_under_way() < 2) return;
  const uint32_t spins = std::min(pauses_++, kSpinsMax);
  const auto longest = static_cast<uint64_t>(kSpinNs) << (spins / kSpinsEach);
  leave_turn("spin", Duration::nanoseconds(
                         static_cast<int64_t>(simulation_.scheduler_random().between(kSpinNs, longest))));
}

void SimEnv::abandon() {
  abandoned_ = true;
  timers_.abandon();
  inbox_.clear();
  simulation_.forget(*this);
}

}  // namespace fb::sim
