// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "cli/command_line.h"
#include "cli/command_outcome.h"
#include "io/env.h"
#include "server/store_tuning.h"

namespace fb {

struct TierMapOptions {
  std::string data_dir = "./fractalbits-data";
  std::string device;  // empty: none
  std::string prefix;  // --tier-prefix of the server
  uint64_t namespace_memory_bytes = 256 * kMiB;
  StoreTuning tuning{};
};

// An object with content in the cloud bucket, and its pieces in order.
struct MappedObject {
  struct Piece {
    std::string cloud_key;  // empty: the piece is in the local store
    uint64_t size_bytes = 0;
  };
  std::string bucket;
  std::string key;
  std::string etag;
  uint64_t size_bytes = 0;
  std::vector<Piece> pieces;
};

// Maps the store of a stopped server.
Task<CommandOutcome> map_directory(Env& env, const TierMapOptions& options,
                                   const std::function<void(const MappedObject&)>& take);
// `fractalbits tier-map`: prints a line of JSON for each mapped object.
void add_tier_map_command(CommandLine& line);

}  // namespace fb
