// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "io/sim/simulation.h"

// For tests of stores: a simulated machine.

namespace fb {

#define CO_CHECK(condition)                 \
  if (!(condition)) {                       \
    ADD_FAILURE() << "failed: " #condition; \
    co_return;                              \
  }
#define CO_CHECK_OK(...)                                                      \
  do {                                                                        \
    if (const auto& fb_checked = (__VA_ARGS__); !fb_checked) {                \
      ADD_FAILURE() << #__VA_ARGS__ " is " << fb_checked.error().to_string(); \
      co_return;                                                              \
    }                                                                         \
  } while (false)

// One machine that runs one process after the other.
class World {
 public:
  explicit World(uint64_t seed = 1, unsigned cores = 1, bool power_loss_protection = false)
      : simulation(seed),
        node(simulation.add_node(
            {.name = "nss", .cores = cores, .disk = {.power_loss_protection = power_loss_protection}})) {
    simulation.set_switch_chance(kSwitchPpm);
  }
  static constexpr uint32_t kSwitchPpm =
      30'000;  // of points in latched sections, where there are several cores
  // Runs `main` to its end, or to a planned crash.
  void run(std::function<Task<void>(Env&)> main) {
    node.start(std::move(main));
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::seconds(3600)))
        << node.describe_waiting();
  }
  std::string log() const {
    std::string text;
    for (const std::string& line : simulation.log()) text += line + "\n";
    return text;
  }
  sim::Simulation simulation;
  sim::SimNode& node;
};

}  // namespace fb
