// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/sim/sim_network.h"
#include "io/sim/sim_node.h"

namespace fb::sim {

// A world of machines in one thread and in virtual time, wholly decided by its seed: at each step one ready
// coroutine of any core of any node is resumed, or the next event in time happens. A core may be left at a
// point in the middle of a resumption and gone on with later. Nothing looks at a real
// clock, an address or the order of a hash map, so that the same seed gives the same run; trace_hash() covers
// every step, event and byte of I/O and proves it.
//
//     Simulation simulation(seed);
//     SimNode& server = simulation.add_node({.name = "server", .cores = 2});
//     server.start([](Env& env) { return serve(env); });
//     simulation.run_until([&] { return done; }, Duration::seconds(60));
//     server.crash(CrashKind::power_loss);
class Simulation {
 public:
  static constexpr size_t kLogLinesMax = 400;
  static constexpr uint32_t kSwitchPpm = 0;

  explicit Simulation(uint64_t seed, const FaultPlan& plan = {});
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  SimNode& add_node(SimNode::Options options);
  SimNetwork& network() { return network_; }
  const std::vector<std::unique_ptr<SimNode>>& nodes() const { return nodes_; }

  // False if nothing is ready and nothing will ever happen.
  bool step();
  // True once the condition holds; false if `limit` of virtual time has passed or nothing can happen any
  // more.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  void run_for(Duration duration);
  // Calls `action` outside all nodes, `delay` from now.
  void after(Duration delay, std::function<void()> action);

  uint64_t seed() const { return seed_; }
  Instant now() const { return now_; }
  UnixTime wall_clock() const;
  uint64_t trace_hash() const { return trace_; }
  uint64_t steps() const { return steps_; }
  FaultCounts& faults() { return faults_; }
  // The operations under way when nodes crashed: "write journal" -> how often.
  const std::map<std::string, uint64_t>& crash_points() const { return crash_points_; }
  // How many of a million points of a process with several cores are left for another core's turn. 0: cores
  // take turns at awaits only.
  void set_switch_chance(uint32_t ppm) { switch_ppm_ = ppm; }
  uint64_t switches() const { return switches_; }
  // For the driver of the simulation: a stream of chance that no node draws from.
  Random& random() { return driver_random_; }
  // The last lines of all nodes' logs, with virtual time and node.
  const std::deque<std::string>& log() const { return log_; }
  void set_log_sink(std::function<void(const std::string&)> sink) { log_sink_ = std::move(sink); }
  void write_log(std::string_view who, std::string_view line);

  // For the parts of the simulation.
  void make_ready(SimEnv& env, std::coroutine_handle<> handle);  // null: the core's messages
  void at(Instant time, SimEnv* env, std::function<void()> action);
  void forget(const SimEnv& env);
  void trace(uint64_t word);
  void trace_bytes(std::span<const std::byte> bytes);
  void note_crash_point(std::string what) { ++crash_points_[std::move(what)]; }
  SimEnv* current() const { return current_; }
  SimEnv* exchange_current(SimEnv* env) { return std::exchange(current_, env); }
  // Turns that can be left in the middle.
  bool switches(const SimNode& node) const { return switch_ppm_ > 0 && node.cores() > 1; }
  size_t turns_under_way() const { return fibres_.size() - idle_fibres_.size(); }
  Fibre* take_fibre();
  void give_fibre(Fibre& fibre) { idle_fibres_.push_back(&fibre); }
  bool draws_switch();
  Duration draw_absence();
  uint64_t next_operation() { return ++operations_; }
  Random& scheduler_random() { return scheduler_random_; }
  Random& program_random() { return program_random_; }

 private:
  struct Ready {
    SimEnv* env;
    std::coroutine_handle<> handle;
    uint64_t number;
  };
  struct Event {
    Instant time;
    uint64_t number;
    SimEnv* env;  // the event is dropped with it; null for none
    std::function<void()> action;
  };
  static bool later(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.number > b.number;
  }
  SimEnv* next_timer(Instant& time) const;
  size_t runnable();
  void run_ready(size_t index);
  void run_event();
  void settle();

  const uint64_t seed_;
  FaultPlan plan_;
  Random scheduler_random_;
  Random disk_random_;
  Random network_random_;
  Random program_random_;
  Random driver_random_;
  FaultCounts faults_;
  Instant now_{1'000'000'000};
  uint64_t trace_ = 0;
  uint64_t steps_ = 0;
  uint64_t events_made_ = 0;
  uint64_t ready_made_ = 0;
  uint64_t operations_ = 0;
  uint32_t switch_ppm_ = kSwitchPpm;
  uint64_t switches_ = 0;
  SimEnv* current_ = nullptr;
  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Fibre*> idle_fibres_;
  std::vector<Ready> ready_;
  std::vector<Event> events_;  // a heap
  std::map<std::string, uint64_t> crash_points_;
  std::deque<std::string> log_;
  std::function<void(const std::string&)> log_sink_;
  SimNetwork network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace fb::sim
