// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command_line.h"

namespace fb {

// `fractalbits server`: settings from flags, environment variables and a file, then the server until a signal
// ends it.
void add_server_command(CommandLine& line);

}  // namespace fb
