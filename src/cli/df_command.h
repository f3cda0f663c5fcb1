// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command_line.h"

namespace fb {

// `fractalbits df`: shows the use of a store's bytes. If the server is stopped, from its data directory; if
// it runs, from the metrics of its management port.

void add_df_command(CommandLine& line);

}  // namespace fb
