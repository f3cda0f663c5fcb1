// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "io/sim/simulation.h"
#include "model.h"
#include "plan.h"
#include "s3_client.h"

namespace fb::sim {

inline constexpr std::string_view kBucket = "bucket";
inline constexpr uint16_t kServerPort = 8080;

// What the clients of one run share: the model of the store, the counts, and the first contradiction found.
struct World {
  Simulation& simulation;
  SimNode& server;
  S3Identity identity;
  Plan plan;

  std::map<std::string, KeyModel> keys;        // of kBucket
  std::map<std::string, uint64_t> operations;  // answered, by name
  uint64_t answered = 0;
  uint64_t unknown = 0;
  uint64_t refused_busy = 0;     // 503
  uint64_t refused_full = 0;     // 507
  uint64_t reported_damage = 0;  // 500 where the disk may fail
  uint64_t next_value = 1;
  Instant server_started;
  bool bucket_made = false;
  bool stopping = false;  // clients end after their present operation
  bool disk_may_be_full = false;
  bool settled = false;  // no faults any more, nor since the server was started
  std::string failure;   // empty: none

  bool failed() const { return !failure.empty(); }
  void fail(std::string what) {
    if (failure.empty()) failure = std::move(what);
  }
  bool loses() const { return plan.loses(); }
  // An error may be the answer to what is not lost: until the faults are over and the server has been started
  // again.
  bool may_fail() const { return plan.disk_fails() && !settled; }
  void process_died() {
    for (auto& [name, key] : keys) key.process_died();
  }
};

}  // namespace fb::sim
