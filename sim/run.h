// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "world.h"

namespace fb::sim {

// A run goes on until it has met so many.
inline constexpr uint64_t kFaultsPerSeedMin = 20;

struct RunOptions {
  uint64_t seed = 1;
  std::optional<Plan> plan;  // nothing: the seed chooses
  OmitFlush omit = OmitFlush::none;
  uint64_t operations = 1'000;
  unsigned clients = 4;
  // How many of a million points in latched sections the server's cores are left at for one another.
  uint32_t switch_ppm = 50'000;
  // One crash, exactly there, instead of crashes at random.
  struct CrashAt {
    SimNode::CrashPoint point;
    uint64_t n;
    CrashKind kind;
  };
  std::optional<CrashAt> crash_at;
  // Large objects go to a cloud bucket, also where the plan does not say so: a second server on a machine of
  // its own.
  bool tier = false;
  bool verbose = false;
};

struct RunResult {
  std::string failure;  // empty: all promises were kept
  Plan plan;
  FaultCounts faults;
  std::map<std::string, uint64_t> crash_points;
  std::map<std::string, uint64_t> operations;
  uint64_t answered = 0;
  uint64_t refused_busy = 0;  // of these: 503
  uint64_t reported_damage = 0;
  uint64_t steps = 0;
  uint64_t switches = 0;
  uint64_t trace = 0;
  bool crashed_as_planned = false;
  bool lost = false;             // ended early: what is damaged is a reason not to start
  std::vector<std::string> log;  // the last lines
};

// One seed: a server and its clients from an empty disk to a last check of everything.
RunResult run_seed(const RunOptions& options);

}  // namespace fb::sim
