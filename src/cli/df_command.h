// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command_line.h"

namespace fb {

// `fractalbits df`: where the bytes of a store are, of a server that is stopped by its data directory, of one
// that runs by the metrics of its management port.

void add_df_command(CommandLine& line);

}  // namespace fb
