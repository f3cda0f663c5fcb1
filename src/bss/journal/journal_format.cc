// SPDX-License-Identifier: Apache-2.0
#include "bss/journal/journal_format.h"

#include <xxhash.h>

#include <cstring>

#include "base/assert.h"

namespace fb {
namespace {

constexpr size_t kChecksumOffset = offsetof(GroupHeader, checksum);

uint64_t header_checksum(const SegmentHeader& header) {
  return XXH3_64bits(&header, offsetof(SegmentHeader, checksum));
}

// Leaves the checksum field zero.
uint64_t group_checksum(std::span<std::byte> group, uint64_t seed, uint64_t offset) {
  std::memset(group.data() + kChecksumOffset, 0, sizeof(uint64_t));
  return XXH3_64bits_withSeed(group.data(), group.size(), seed ^ (offset * 0x9e3779b97f4a7c15ull));
}

// Whether the frames' lengths add up.
bool frames_fit(std::span<const std::byte> group, uint32_t frame_count) {
  size_t offset = sizeof(GroupHeader);
  for (uint32_t i = 0; i < frame_count; ++i) {
    uint32_t length = 0;
    if (group.size() - offset < kFrameHeaderSize) return false;
    std::memcpy(&length, group.data() + offset, sizeof(length));
    offset += kFrameHeaderSize;
    if (group.size() - offset < length) return false;
    offset += length;
  }
  return offset == group.size();
}

}  // namespace

HeaderState read_segment_header(std::span<const std::byte> block, const StoreId& store_id,
                                SegmentHeader& out) {
  if (block.size() < sizeof(SegmentHeader)) return HeaderState::damaged;
  std::memcpy(&out, block.data(), sizeof(out));
  if (out.magic != SegmentHeader().magic)
    return out.magic[0] == 0 ? HeaderState::blank : HeaderState::not_ours;
  if (out.version != kJournalVersion && out.version != 0) {
    // A flipped bit in the version is damage, not a version: the checksum is at the same place in every
    // version.
    return out.checksum == header_checksum(out) ? HeaderState::other_version : HeaderState::damaged;
  }
  if (out.checksum != header_checksum(out)) return HeaderState::damaged;
  if (out.store_id != store_id) return HeaderState::other_store;
  if (out.block_bytes != kJournalBlock) return HeaderState::other_version;
  return HeaderState::valid;
}

void write_segment_header(const SegmentHeader& header, std::span<std::byte> block) {
  FB_ASSERT(block.size() >= kJournalBlock, block.size());
  SegmentHeader sealed = header;
  sealed.checksum = header_checksum(sealed);
  std::memset(block.data(), 0, kJournalBlock);
  std::memcpy(block.data(), &sealed, sizeof(sealed));
}

std::string describe(HeaderState state) {
  switch (state) {
    case HeaderState::valid:
      return "valid";
    case HeaderState::blank:
      return "its header is missing";
    case HeaderState::not_ours:
      return "it is not a journal of FractalBits";
    case HeaderState::other_version:
      return "it is of another version of the format than this program reads";
    case HeaderState::other_store:
      return "it belongs to another store";
    case HeaderState::damaged:
      return "its header is damaged";
  }
  return "unknown";
}

uint64_t group_seed(const SegmentHeader& header) {
  struct {
    StoreId store_id;
    uint64_t generation;
    uint64_t nonce;
  } key{header.store_id, header.generation, header.nonce};
  return XXH3_64bits(&key, sizeof(key));
}

void seal_group(std::span<std::byte> group, uint64_t seed, uint64_t offset) {
  const uint64_t checksum = group_checksum(group, seed, offset);
  std::memcpy(group.data() + kChecksumOffset, &checksum, sizeof(checksum));
}

bool read_group(std::span<std::byte> bytes, uint64_t offset, uint64_t seed, GroupHeader& out) {
  if (bytes.size() < sizeof(GroupHeader)) return false;
  std::memcpy(&out, bytes.data(), sizeof(out));
  if (out.magic != GroupHeader::kMagic) return false;
  if (out.size_bytes < sizeof(GroupHeader) || out.size_bytes > bytes.size()) return false;
  const std::span<std::byte> group = bytes.first(out.size_bytes);
  const uint64_t checksum = group_checksum(group, seed, offset);
  std::memcpy(group.data() + kChecksumOffset, &out.checksum, sizeof(out.checksum));
  return checksum == out.checksum && frames_fit(group, out.frame_count);
}

}  // namespace fb
