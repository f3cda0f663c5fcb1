// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/mv_command.h"

namespace fb {

// `fractalbits fsck`: checks a store, of a server that is stopped by its data directory, of one that runs
// over its management port.

struct FsckOptions {
  std::string data_dir;
  std::string device;    // that the store is on; empty: none
  std::string mgmt_url;  // empty: the data directory
  uint64_t memory_bytes = 0;
  AwsFlags aws;
};

inline constexpr int kExitDamaged = 4;

// `message` is the report where there is one.
CommandOutcome run_fsck(const FsckOptions& options, const EnvironmentLookup& environment);
Task<CommandOutcome> check_directory(Env& env, const FsckOptions& options);

}  // namespace fb
