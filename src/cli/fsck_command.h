// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/units.h"
#include "cli/aws_settings.h"
#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits fsck`: checks a store, of a server that is stopped by its data directory, of one that runs
// over its management port.

struct FsckOptions {
  std::string data_dir = "./fractalbits-data";
  std::string device;    // that the store is on; empty: none
  std::string mgmt_url;  // empty: the data directory
  uint64_t memory_bytes = kGiB;
  AwsFlags aws;
};

void add_fsck_command(CommandLine& line);
// `message` is the report where there is one.
Task<CommandOutcome> check_directory(Env& env, const FsckOptions& options);

}  // namespace fb
