// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "bss/blob/format.h"
#include "bss/blob/segment.h"
#include "bss/blob/shard_context.h"

namespace fb::bss {

// A batch as its descriptor on the medium tells it.
struct ScannedBatch {
  Segment* segment = nullptr;
  uint64_t sequence = 0;
  uint64_t durable_sequence = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::vector<DescriptorEntry> entries;
};

// Part of a segment.
struct ScanRange {
  uint64_t from = kSegmentDataOffset;
  uint64_t end = 0;
  // False: the scan ends if nothing was found for as far as writes may run ahead.
  bool whole = true;
};

// Appends the batches of the segment's generation that begin in the range, in order of their place. Blocks
// that are no descriptor or cannot be read are passed over. Recovery, compaction and scrubbing call it; the
// segment must not be recycled meanwhile.
Task<Result<void>> scan_batches(const ShardContext& context, Segment& segment, ScanRange range,
                                std::vector<ScannedBatch>& out);

}  // namespace fb::bss
