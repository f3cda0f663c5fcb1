// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/config.h"
#include "cli/command_outcome.h"

// The edge of the process: terminal, environment variables, and the file that is read before there is an Env.

namespace fb {

// Empty if it is not set.
std::string environment(const char* name);
ConfigResult<std::string> read_config_file(const std::string& path);

void print(std::string_view text);  // on standard output, as it is, at once
void print_line(std::string_view line);
void print_error(std::string_view text);
bool output_is_terminal();
bool errors_are_terminal();

// Each prints its message and returns the exit status.
int complain(std::string_view message, int status);
int finish(const CommandOutcome& outcome);
// For commands that look for damage: their report goes to standard output even if something is damaged.
int finish_check(const CommandOutcome& outcome);

}  // namespace fb
