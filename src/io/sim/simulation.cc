// SPDX-License-Identifier: Apache-2.0
#include "io/sim/simulation.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace fb::sim {
namespace {

// 2026-01-01T00:00:00Z
constexpr int64_t kEpochNs = 1'767'225'600'000'000'000;
// The virtual time that a resumption takes.
constexpr uint64_t kResumeNsMin = 50;
constexpr uint64_t kResumeNsMax = 1'000;
// How long a core is away from a turn that it has been taken from.
constexpr uint64_t kAbsenceNs = 2'000;
constexpr uint64_t kAbsenceDoublings = 12;

enum Stream : uint64_t { kScheduler = 1, kDisk, kNetwork, kProgram, kDriver };

}  // namespace

Simulation::Simulation(uint64_t seed, const FaultPlan& plan)
    : seed_(seed),
      plan_(plan),
      scheduler_random_(seed, kScheduler),
      disk_random_(seed, kDisk),
      network_random_(seed, kNetwork),
      program_random_(seed, kProgram),
      driver_random_(seed, kDriver),
      network_(*this, network_random_, faults_) {
  network_.faults() = plan.network;
}

Simulation::~Simulation() {
  for (const auto& node : nodes_) {
    if (node->running()) node->crash(CrashKind::kill);
  }
}

SimNode& Simulation::add_node(SimNode::Options options) {
  const auto index = static_cast<unsigned>(nodes_.size());
  nodes_.push_back(std::make_unique<SimNode>(*this, index, std::move(options), disk_random_));
  nodes_.back()->disk().faults() = plan_.disk;
  return *nodes_.back();
}

UnixTime Simulation::wall_clock() const { return {kEpochNs + now_.ns}; }

void Simulation::trace(uint64_t word) { trace_ = std::rotl((trace_ ^ word) * 0x9e3779b97f4a7c15ULL, 29); }

void Simulation::trace_bytes(std::span<const std::byte> bytes) {
  trace(bytes.size());
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    trace(word);
    bytes = bytes.subspan(sizeof(word));
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  trace(rest);
}

void Simulation::write_log(std::string_view who, std::string_view line) {
  trace_bytes(std::as_bytes(std::span(line)));
  while (line.ends_with('\n')) line.remove_suffix(1);
  log_.push_back(fmt::format("{:>12.6f} {}: {}", static_cast<double>(now_.ns) / 1e9, who, line));
  if (log_sink_) log_sink_(log_.back());
  if (log_.size() > kLogLinesMax) log_.pop_front();
}

void Simulation::make_ready(SimEnv& env, std::coroutine_handle<> handle) {
  ready_.push_back({&env, handle, ++ready_made_});
}

void Simulation::at(Instant time, SimEnv* env, std::function<void()> action) {
  events_.push_back({std::max(time, now_), ++events_made_, env, std::move(action)});
  std::ranges::push_heap(events_, later);
}

void Simulation::after(Duration delay, std::function<void()> action) {
  at(now_ + delay, nullptr, std::move(action));
}

void Simulation::forget(const SimEnv& env) {
  std::erase_if(ready_, [&](const Ready& ready) { return ready.env == &env; });
  std::erase_if(events_, [&](const Event& event) { return event.env == &env; });
  std::ranges::make_heap(events_, later);
}

SimEnv* Simulation::next_timer(Instant& time) const {
  SimEnv* earliest = nullptr;
  time = Instant::never();
  for (const auto& node : nodes_) {
    for (unsigned core = 0; core < node->cores(); ++core) {
      SimEnv& env = node->env(core);
      // Timers of a core in the middle of a turn fire when the turn has ended.
      if (env.in_turn() || env.timers().next() >= time) continue;
      time = env.timers().next();
      earliest = &env;
    }
  }
  return earliest;
}

void Simulation::run_ready(size_t index) {
  const Ready ready = ready_[index];
  ready_[index] = ready_.back();
  ready_.pop_back();
  trace(ready.number);
  if (!ready.handle) {
    ready.env->run_turn([](void* env) { static_cast<SimEnv*>(env)->run_messages(); }, ready.env);
  } else if (ready.env->node().before_resume()) {
    ++ready.env->stats().turns;
    ready.env->run_turn([](void* frame) { std::coroutine_handle<>::from_address(frame).resume(); },
                        ready.handle.address());
  }
  now_ = now_ +
         Duration::nanoseconds(static_cast<int64_t>(scheduler_random_.between(kResumeNsMin, kResumeNsMax)));
}

void Simulation::run_event() {
  Instant timer_time;
  SimEnv* timer_env = next_timer(timer_time);
  if (timer_env != nullptr && (events_.empty() || timer_time < events_.front().time)) {
    now_ = std::max(now_, timer_time);
    trace(static_cast<uint64_t>(timer_time.ns));
    current_ = timer_env;
    timer_env->timers().fire(timer_time);
    current_ = nullptr;
    return;
  }
  std::ranges::pop_heap(events_, later);
  const Event event = std::move(events_.back());
  events_.pop_back();
  now_ = std::max(now_, event.time);
  trace(event.number);
  trace(static_cast<uint64_t>(event.time.ns));
  event.action();
}

void Simulation::settle() {
  for (const auto& node : nodes_) {
    if (node->running() && node->ending()) node->settle();
  }
}

// Moves the ready coroutines that could run to the front and counts them. The others belong to cores in the
// middle of a turn.
size_t Simulation::runnable() {
  if (turns_under_way() == 0) return ready_.size();
  const auto waiting =
      std::ranges::partition(ready_, [](const Ready& ready) { return !ready.env->in_turn(); });
  return ready_.size() - waiting.size();
}

Fibre* Simulation::take_fibre() {
  if (idle_fibres_.empty()) {
    fibres_.push_back(std::make_unique<Fibre>());
    return fibres_.back().get();
  }
  Fibre* const fibre = idle_fibres_.back();
  idle_fibres_.pop_back();
  return fibre;
}

bool Simulation::draws_switch() {
  if (!scheduler_random_.chance(switch_ppm_)) return false;
  ++switches_;
  return true;
}

// In half of the cases a few turns of the others, otherwise up to several milliseconds, like a thread that
// the kernel has taken off its CPU.
Duration Simulation::draw_absence() {
  const uint64_t longest =
      scheduler_random_.coin() ? kAbsenceNs : kAbsenceNs << scheduler_random_.below(kAbsenceDoublings);
  return Duration::nanoseconds(static_cast<int64_t>(scheduler_random_.between(kResumeNsMin, longest)));
}

bool Simulation::step() {
  Instant next;
  next_timer(next);
  if (!events_.empty()) next = std::min(next, events_.front().time);
  const bool due = next <= now_;
  const size_t ready = runnable();
  if (ready == 0 && next.is_never()) return false;
  ++steps_;
  const size_t choices = ready + (due ? 1 : 0);
  const size_t choice = choices == 0 ? 0 : scheduler_random_.below(choices);
  if (choice < ready) {
    run_ready(choice);
  } else {
    run_event();
  }
  settle();
  return true;
}

bool Simulation::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = now_ + limit;
  while (!condition()) {
    if (now_ >= end || !step()) return false;
  }
  return true;
}

void Simulation::run_for(Duration duration) {
  const Instant end = now_ + duration;
  at(end, nullptr, [] {});
  run_until([&] { return now_ >= end; }, duration);
}

}  // namespace fb::sim
