// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "client/types.h"

// Which shard keeps a block. A blob's first run of blocks is in the shard that its id names, each further run
// in the next one, so that no object is larger than what one shard has room for.

namespace fb::bss {

inline constexpr uint32_t kBlocksPerRun = 64;

constexpr uint32_t shard_of(const BlobKey& key, uint32_t shard_count) {
  if (key.block < kBlocksPerRun) return key.id.shard;
  return (key.id.shard + key.block / kBlocksPerRun) % shard_count;
}

// The shard in the id of a blob whose block `block` is in `shard`.
constexpr uint16_t named_shard_of(uint32_t shard, uint32_t block, uint32_t shard_count) {
  return static_cast<uint16_t>((shard + shard_count - block / kBlocksPerRun % shard_count) % shard_count);
}

}  // namespace fb::bss
