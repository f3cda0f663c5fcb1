// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/aws_settings.h"
#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits mv`: renames an object, or a directory with all objects beneath it, in one request.

struct MvOptions {
  std::string source;       // s3://bucket/key, or s3://bucket/directory/
  std::string destination;  // of the same form
  bool no_clobber = false;
  bool quiet = false;
  AwsFlags aws;
};

// Exit statuses besides those of every command.
inline constexpr int kExitNoSource = 3;
inline constexpr int kExitDestinationTaken = 4;

void add_mv_command(CommandLine& line);
// Runs the command on an existing environment.
Task<CommandOutcome> move_objects(Env& env, const MvOptions& options, const EnvironmentLookup& environment);

}  // namespace fb
