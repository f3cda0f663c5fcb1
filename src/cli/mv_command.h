// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/aws_settings.h"
#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits mv`: renames an object, or a directory with all that lies beneath it, in one request.

struct MvOptions {
  std::string source;       // s3://bucket/key, or s3://bucket/directory/
  std::string destination;  // the same
  bool no_clobber = false;
  bool quiet = false;
  AwsFlags aws;
};

// Beside those of every command.
inline constexpr int kExitNoSource = 3;
inline constexpr int kExitDestinationTaken = 4;

void add_mv_command(CommandLine& line);
// On an environment that is there.
Task<CommandOutcome> move_objects(Env& env, const MvOptions& options, const EnvironmentLookup& environment);

}  // namespace fb
