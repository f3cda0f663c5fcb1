// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "bss/blob/core_context.h"
#include "bss/blob/index.h"
#include "bss/blob/segment.h"
#include "client/blob_client.h"

// Whether a payload on the medium is what was put. Functions without state: reads, scrubbing and recovery
// call them, each on its own core, for a segment that is held meanwhile.

namespace fb::bss {

enum class Verdict : uint8_t { intact, damaged, table_damaged, unreadable, timed_out };

// Bytes of a payload that are read and verified together.
struct PayloadExtent {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint64_t blocks_bytes() const { return align_up(end - begin, kBlockBytes); }
};
// The pieces that a range touches; a payload without pieces is one.
PayloadExtent pieces_of(uint32_t payload, uint32_t offset, uint32_t length);

// Reads an extent on `core` and verifies it against the entry. If it is a part of the payload, the pieces'
// checksums are read as well, and believed only if they have the entry's checksum.
Task<Verdict> read_extent(CoreContext& core, const CallContext& context, Segment& segment,
                          const IndexEntry& entry, PayloadExtent extent, Buffer& buffer);

// Reads a payload as it stands in a batch, with the checksums of its pieces, and verifies both.
Task<Verdict> check_payload(BufferPool& pool, Segment& segment, uint64_t offset, uint32_t length,
                            uint64_t checksum);

// Verifies a payload that was read with its padding and table. A table that is wrong alone is made anew.
Verdict judge_payload(std::span<std::byte> stored, const DescriptorEntry& entry);

}  // namespace fb::bss
