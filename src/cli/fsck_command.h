// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/units.h"
#include "cli/aws_settings.h"
#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits fsck`: checks a store. If the server is stopped, in its data directory; if it runs, over its
// management port.

struct FsckOptions {
  std::string data_dir = "./fractalbits-data";
  std::string device;    // the store's device; empty: none
  std::string mgmt_url;  // empty: the data directory
  uint64_t memory_bytes = kGiB;
  AwsFlags aws;
};

void add_fsck_command(CommandLine& line);
// `message` is the report if there is one.
Task<CommandOutcome> check_directory(Env& env, const FsckOptions& options);

}  // namespace fb
