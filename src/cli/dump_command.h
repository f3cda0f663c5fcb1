// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits dump-segment FILE`: shows a segment of the blob store, damaged or not. Status kExitDamaged if
// something in it is not intact; the outcome's message is the summary.
void add_dump_command(CommandLine& line);
Task<CommandOutcome> dump_segment_file(Env& env, const std::string& path,
                                       const std::function<void(std::string_view)>& line);

}  // namespace fb
