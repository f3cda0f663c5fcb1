// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "cli/mv_command.h"
#include "cli/store_tuning.h"
#include "io/env.h"

namespace fb {

struct TierMapOptions {
  std::string data_dir;
  std::string device;  // empty: none
  std::string prefix;  // --tier-prefix of the server
  uint64_t namespace_memory_bytes = 256 * kMiB;
  StoreTuning tuning{};
};

// An object with content in the cloud bucket, and its pieces in order.
struct MappedObject {
  struct Piece {
    std::string cloud_key;  // empty: it is kept here
    uint64_t size_bytes = 0;
  };
  std::string bucket;
  std::string key;
  std::string etag;
  uint64_t size_bytes = 0;
  std::vector<Piece> pieces;
};

// Of a server that is stopped.
Task<CommandOutcome> map_directory(Env& env, const TierMapOptions& options,
                                   const std::function<void(const MappedObject&)>& take);
// Prints a line of JSON for each.
CommandOutcome run_tier_map(const TierMapOptions& options,
                            const std::function<void(std::string_view)>& print);

}  // namespace fb
