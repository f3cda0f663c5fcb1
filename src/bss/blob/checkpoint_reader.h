// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "bss/blob/index.h"
#include "bss/blob/shard_context.h"

namespace fb::bss {

// The contents of a checkpoint, without the index.
struct Checkpoint {
  CheckpointHeader header;
  std::vector<CheckpointSegment> segments;
};

// Reads the shard's checkpoint into the empty index. Nothing if it is missing or damaged; then the index is
// empty again.
Task<Result<std::optional<Checkpoint>>> load_checkpoint(const ShardContext& context, BlobIndex& index);

}  // namespace fb::bss
