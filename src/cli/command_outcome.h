// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "io/env.h"

namespace fb {

// Exit statuses of every command; a command may have more.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
// The exit status of commands that found damage.
inline constexpr int kExitDamaged = 4;

struct CommandOutcome {
  int status = 0;
  std::string message;  // one line; for standard output if the status is 0, else for standard error
};

// Runs the command on a core of its own, until it is done.
CommandOutcome run_on_core(const std::function<Task<CommandOutcome>(Env&)>& command);

}  // namespace fb
