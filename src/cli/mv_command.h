// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/aws_settings.h"
#include "io/env.h"

namespace fb {

// `fractalbits mv`: renames an object, or a directory with all that lies beneath it, in one request.

struct MvOptions {
  std::string source;       // s3://bucket/key, or s3://bucket/directory/
  std::string destination;  // the same
  bool no_clobber = false;
  bool quiet = false;
  AwsFlags aws;
};

// Beside those of every command (server_command.h).
inline constexpr int kExitNoSource = 3;
inline constexpr int kExitDestinationTaken = 4;

struct CommandOutcome {
  int status = 0;
  std::string message;  // one line; for standard output where the status is 0, else for standard error
};

// On a core of its own, until it is done.
CommandOutcome run_mv(const MvOptions& options, const EnvironmentLookup& environment);
// The same on an environment that is there.
Task<CommandOutcome> move_objects(Env& env, const MvOptions& options, const EnvironmentLookup& environment);

}  // namespace fb
