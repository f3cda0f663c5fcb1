// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "io/env.h"
#include "io/sim/fibre.h"

namespace fb::sim {

class SimNode;
class Simulation;

// One core of a simulated process. Asserts what the real environments cannot see: that only the core's own
// coroutines schedule and submit here.
//
// A *turn* is what the core does from one suspension to the next: one resumption, or a batch of messages. It
// has a fibre for its length, so that it can be left at a point in its middle while other cores have turns;
// until it has ended the core begins no other. Its clock stands still meanwhile, as a real core's does.
class SimEnv final : public Env {
 public:
  SimEnv(Simulation& simulation, SimNode& node, Options options);
  ~SimEnv() override;

  std::string_view name() const override { return "sim"; }
  Instant now() const override;
  UnixTime wall_clock() const override;
  uint64_t random() override;
  void random_bytes(std::span<std::byte> out) override;
  void schedule(std::coroutine_handle<> handle) override;
  bool has_ready() override;
  void submit(IoRequest& request) override;
  void cancel(IoRequest& request) override;
  void release_pooled(uint32_t pooled_id) override;
  void send(unsigned core, CoreMessage& message) override;
  void write_log(std::string_view line) override;

  // For SimNode, SimNetwork and Simulation.
  SimNode& node() { return node_; }
  void complete_request(IoRequest& request, int64_t result) { complete(request, result); }
  // Gives request a buffer of its own, for receive_pooled.
  void lend_pooled(IoRequest& request);
  // Runs some of the messages that have arrived.
  void run_messages();
  // The process is being torn down: everything from now on is passed over.
  void abandon();

  // The core's turn; called by the simulation.
  void run_turn(Fibre::Work work, void* argument);
  void go_on();
  bool in_turn() const { return fibre_ != nullptr; }
  // The place at which the turn was left, for a person to read; null outside turns.
  const char* place() const { return place_; }

 private:
  void at_point(const char* name) override;
  void at_pause() override;
  void leave_turn(const char* place, Duration length);
  void end_turn();
  void assert_own_core() const;
  void announce_messages();

  Simulation& simulation_;
  SimNode& node_;
  std::deque<CoreMessage*> inbox_;
  bool inbox_announced_ = false;
  std::vector<std::unique_ptr<std::byte[]>> pooled_;
  std::vector<uint32_t> pooled_free_;
  Fibre* fibre_ = nullptr;  // belongs to the simulation
  const char* place_ = nullptr;
  Instant turn_began_;
  uint64_t times_left_ = 0;
  uint32_t pauses_ = 0;  // in this turn
};

}  // namespace fb::sim
