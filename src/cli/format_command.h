// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "cli/command_line.h"
#include "cli/command_outcome.h"

namespace fb {

// `fractalbits format`: makes a block device, or a file, ready to hold a store.

struct FormatOptions {
  std::string device;
  uint64_t size_bytes = 0;  // size of a file to be made
  bool force = false;
  bool zero = false;
  bool no_zero = false;
};

// A smaller store has no room for a server to work in.
inline constexpr uint64_t kFormatBytesMin = uint64_t{1} << 30;

using FormatProgress = std::function<void(uint64_t done, uint64_t total)>;
void add_format_command(CommandLine& line);
Task<CommandOutcome> format_device(Env& env, const FormatOptions& options, const FormatProgress& on_progress);

}  // namespace fb
