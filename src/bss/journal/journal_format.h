// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/units.h"

// Bytes of a journal segment; docs/formats/journal.md.
//
//     0            4096                                                    segment size
//     +------------+-----------------+-----------------+------------------+
//     | header     | group           | group           | zeros, or stale  |
//     +------------+-----------------+-----------------+------------------+
//                    header, frames, zeros up to a multiple of 4096
//
// A group is what one durable write carries. Its checksum is seeded with the store, the segment's generation
// and nonce and the group's offset, so that nothing stale, copied or written by a user ever passes for a
// group.

namespace fb {

using StoreId = std::array<uint8_t, 16>;

inline constexpr uint32_t kJournalVersion = 2;
inline constexpr size_t kJournalBlock = kDirectIoAlignment;

struct SegmentHeader {
  std::array<char, 8> magic{'F', 'B', 'J', 'O', 'U', 'R', 'N', 'L'};
  uint32_t version = kJournalVersion;
  uint32_t block_bytes = kJournalBlock;
  StoreId store_id{};
  uint64_t generation = 0;
  uint64_t nonce = 0;  // random: for the seed of this generation's checksums
  uint64_t segment_bytes = 0;
  uint64_t checksum = 0;  // of everything before
};
static_assert(sizeof(SegmentHeader) == 64);

struct GroupHeader {
  static constexpr uint32_t kMagic = 0x47424621;
  uint32_t magic = kMagic;
  uint32_t frame_count = 0;  // 0: a mark that proves what came before durable
  uint64_t checksum = 0;     // XXH3 of the group with this field 0
  uint64_t epoch = 0;
  uint64_t first_sequence = 0;    // of its first frame; that of the next frame where it has none
  uint64_t durable_sequence = 0;  // highest frame known durable when the group was written
  uint32_t size_bytes = 0;        // header and frames, without padding
  // Blocks in front of it, in its segment, that were not known durable when it was written.
  uint32_t unproven_blocks = 0;
};
static_assert(sizeof(GroupHeader) == 48);
// Each frame: its length as u32, then its payload.
inline constexpr size_t kFrameHeaderSize = sizeof(uint32_t);

enum class HeaderState { valid, blank, not_ours, other_version, other_store, damaged };
// `block` is the first block of a segment.
HeaderState read_segment_header(std::span<const std::byte> block, const StoreId& store_id,
                                SegmentHeader& out);
void write_segment_header(const SegmentHeader& header, std::span<std::byte> block);
std::string describe(HeaderState state);

uint64_t group_seed(const SegmentHeader& header);
// Sets the checksum of the group at the start of `group`, which is as long as it says.
void seal_group(std::span<std::byte> group, uint64_t seed, uint64_t offset);
// Whether a whole and intact group stands at the start of `bytes`, which were read from `offset` of the
// segment.
bool read_group(std::span<std::byte> bytes, uint64_t offset, uint64_t seed, GroupHeader& out);

}  // namespace fb
