// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "base/units.h"
#include "client/blob_checksum.h"
#include "client/types.h"

// What stands on disk, byte for byte: see docs/formats/segment.md. All numbers are little endian. Encoding
// and parsing only; nothing here does I/O. Parsers take any bytes and answer nothing where they are not
// valid.

namespace fb::bss {

inline constexpr uint32_t kFormatVersion = 3;
inline constexpr size_t kBlockBytes = kDirectIoAlignment;
inline constexpr uint32_t kShardCountMax = 1024;
inline constexpr uint64_t kSegmentBytesMin = 64 * kKiB;
inline constexpr uint64_t kSegmentBytesMax = kGiB;
inline constexpr size_t kSegmentDataOffset = 2 * kBlockBytes;  // behind two copies of the header
inline constexpr size_t kBatchEntriesMax = 256;
inline constexpr size_t kDescriptorBytesMax = 4 * kBlockBytes;
inline constexpr size_t kBatchPayloadBytesMax = 2 * (kBlobBlockSizeMax + kBlockBytes);  // two of the largest
inline constexpr size_t kBatchBytesMax = kBatchPayloadBytesMax + kDescriptorBytesMax;
// How far batches may run ahead of the oldest one that is not durable, that one included. Recovery relies on
// the bytes: so far behind what it has found there may be more.
inline constexpr uint64_t kAheadBytesMax = 4 * kBatchBytesMax;
inline constexpr uint64_t kAheadBatchesMax = 64;

// A payload as it stands: padded with zeros to whole blocks, and where it has more than one piece their
// checksums in its last block, behind it where they fit and in a block of their own otherwise.
constexpr uint64_t payload_bytes(uint32_t length) { return align_up(length, kBlockBytes); }
constexpr uint64_t piece_table_bytes(uint32_t length) { return piece_count(length) * sizeof(uint64_t); }
constexpr bool piece_table_fits_behind(uint32_t length) {
  return align_up(length, sizeof(uint64_t)) + piece_table_bytes(length) <= payload_bytes(length);
}
constexpr uint64_t stored_bytes(uint32_t length) {
  return payload_bytes(length) + (piece_table_fits_behind(length) ? 0 : kBlockBytes);
}
// From the payload's beginning; meaningless where there is one piece only.
constexpr uint64_t piece_table_offset(uint32_t length) {
  return piece_table_fits_behind(length) ? align_up(length, sizeof(uint64_t)) : payload_bytes(length);
}
static_assert(sizeof(PieceSums) <= kBlockBytes);
// Writes the padding, and the checksums of the pieces where they fit behind the payload; otherwise into
// `own`.
void finish_payload(std::span<std::byte> blocks, uint32_t length, std::span<const uint64_t> sums,
                    std::span<std::byte> own);

using StoreId = std::array<std::byte, 16>;

struct Superblock {
  StoreId store_id{};
  uint16_t volume = 0;
  uint32_t shard_count = 0;
  uint64_t segment_bytes = 0;
};
std::string encode_superblock(const Superblock& superblock);
enum class SuperblockProblem { none, damaged, other_version };
SuperblockProblem parse_superblock(std::string_view bytes, Superblock* out);

struct SegmentHeader {
  StoreId store_id{};
  uint32_t shard = 0;
  uint32_t segment = 0;
  uint64_t segment_bytes = 0;
  uint64_t generation = 0;  // unique within the shard; a recycled segment gets a new one
  uint64_t nonce = 0;       // keys the checksums of this generation's descriptors
};
// Both copies: fills kSegmentDataOffset bytes.
void encode_segment_header(const SegmentHeader& header, std::span<std::byte> out);
// The valid copy of the higher generation, of exactly this store, shard and segment.
std::optional<SegmentHeader> parse_segment_header(std::span<const std::byte> bytes, const StoreId& store_id,
                                                  uint32_t shard, uint32_t segment);

// One copy, whosever it is.
std::optional<SegmentHeader> parse_any_segment_header(std::span<const std::byte> block);

enum class EntryKind : uint8_t {
  put = 1,
  tombstone = 2,  // other_generation: of the segment that held the put; 0 unknown
  copy = 3,       // moved by compaction; other_generation: of the segment it came from
};

struct DescriptorEntry {
  uint64_t number;
  uint64_t checksum;  // blob_checksum() of the payload
  uint64_t other_generation;
  uint32_t incarnation;
  uint32_t block;
  uint32_t length;         // of the payload in bytes; 0 for a tombstone
  uint32_t payload_block;  // from the batch's beginning, in blocks
  EntryKind kind;
  uint8_t reserved[7];
};
static_assert(sizeof(DescriptorEntry) == 48);

struct DescriptorHeader {
  uint64_t checksum;  // of everything behind it in the descriptor, keyed with nonce and offset
  uint32_t magic;
  uint16_t version;
  uint16_t entry_count;
  uint32_t descriptor_bytes;
  uint32_t batch_bytes;  // descriptor and payloads
  uint64_t generation;
  uint64_t sequence;          // of the batch, grows by one within a shard
  uint64_t durable_sequence;  // every batch up to it had ended when this one was written
  uint64_t offset;            // of the descriptor in its segment
  uint32_t shard;
  uint32_t reserved;
};
static_assert(sizeof(DescriptorHeader) == 64);

constexpr size_t descriptor_bytes_for(size_t entries) {
  return align_up(sizeof(DescriptorHeader) + entries * sizeof(DescriptorEntry), kBlockBytes);
}
static_assert(descriptor_bytes_for(kBatchEntriesMax) <= kDescriptorBytesMax);

// Where a descriptor is expected to stand; it is valid nowhere else.
struct DescriptorPlace {
  uint32_t shard = 0;
  uint64_t generation = 0;
  uint64_t nonce = 0;
  uint64_t offset = 0;
  uint64_t segment_bytes = 0;
};

// `entries` stands at out + sizeof(DescriptorHeader) already; fills the header and zeroes the rest.
void finish_descriptor(const DescriptorPlace& place, uint64_t sequence, uint64_t durable_sequence,
                       size_t entry_count, uint64_t batch_bytes, std::span<std::byte> out);
DescriptorEntry* descriptor_entries(std::span<std::byte> descriptor);

struct DescriptorView {
  DescriptorHeader header;
  std::span<const DescriptorEntry> entries;  // inside the parsed bytes, which must be 8-byte aligned
};
std::optional<DescriptorView> parse_descriptor(std::span<const std::byte> bytes,
                                               const DescriptorPlace& place);

// What looks like a descriptor at `offset`, of any shard and generation: without the nonce its checksum says
// nothing. For showing damaged segments only.
std::optional<DescriptorView> parse_unkeyed_descriptor(std::span<const std::byte> bytes, uint64_t offset,
                                                       uint64_t segment_bytes);

// A checkpoint: one header block, `segment_count` CheckpointSegments, `entry_count` index entries (index.h).
struct CheckpointHeader {
  uint64_t checksum;  // of the rest of the header block
  uint32_t magic;
  uint32_t version;
  StoreId store_id;
  uint32_t shard;
  uint32_t segment_count;
  uint64_t entry_count;
  uint64_t sequence;       // every batch up to it is contained
  uint64_t next_sequence;  // later batches begin here: some above `sequence` may have ended before it did
  uint64_t next_generation;
  uint64_t body_bytes;
  uint64_t body_checksum;
};
static_assert(sizeof(CheckpointHeader) == 88);

struct CheckpointSegment {
  uint32_t segment;
  uint32_t flags;
  uint64_t generation;
  uint64_t nonce;
  uint64_t end;                             // where batches that are not contained begin
  uint64_t tombstones;                      // below `end`
  static constexpr uint32_t kSealed = 1;    // nothing is written behind `end`
  static constexpr uint32_t kMovedOut = 2;  // see Segment::moved_out
  // Not a segment but a batch of it, whose write failed and whose descriptor could not be wiped: `end` is its
  // offset, `tombstones` its sequence. These lines come first: a version that does not know them takes the
  // segment's own line, which follows.
  static constexpr uint32_t kUnwiped = 4;
};
static_assert(sizeof(CheckpointSegment) == 40);

void encode_checkpoint_header(CheckpointHeader header, std::span<std::byte> block);
std::optional<CheckpointHeader> parse_checkpoint_header(std::span<const std::byte> block,
                                                        const StoreId& store_id, uint32_t shard);

}  // namespace fb::bss
