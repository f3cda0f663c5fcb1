// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cli/mv_command.h"
#include "io/env.h"

namespace fb {

struct TierMapOptions {
  std::string data_dir;
  std::string device;  // empty: none
  std::string prefix;  // --tier-prefix of the server
};

// Of a server that is stopped: for each object with content in the cloud bucket one line of JSON, with its
// pieces in order.
Task<CommandOutcome> map_directory(Env& env, const TierMapOptions& options,
                                   const std::function<void(std::string_view)>& print);
CommandOutcome run_tier_map(const TierMapOptions& options,
                            const std::function<void(std::string_view)>& print);

}  // namespace fb
