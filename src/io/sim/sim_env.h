// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "io/env.h"

namespace fb::sim {

class SimNode;
class Simulation;

// One core of a simulated process. Asserts what the real environments cannot see: that only the core's own
// coroutines schedule and submit here.
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
  void point(const char* name) override;

  // For SimNode, SimNetwork and Simulation.
  SimNode& node() { return node_; }
  void complete_request(IoRequest& request, int64_t result) { complete(request, result); }
  // Gives request a buffer of its own, for receive_pooled.
  void lend_pooled(IoRequest& request);
  // Runs some of the messages that have arrived.
  void run_messages();
  // The process is being torn down: everything from now on is passed over.
  void abandon();

 private:
  void assert_own_core() const;
  void announce_messages();

  Simulation& simulation_;
  SimNode& node_;
  std::deque<CoreMessage*> inbox_;
  bool inbox_announced_ = false;
  std::vector<std::unique_ptr<std::byte[]>> pooled_;
  std::vector<uint32_t> pooled_free_;
};

}  // namespace fb::sim
