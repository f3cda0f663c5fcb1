// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/format.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr uint64_t kSuperblockMagic = 0x3130425342424c46;  // "FLBBSB01"
constexpr uint64_t kSegmentMagic = 0x3130474553424c46;     // "FLBSEG01"
constexpr uint32_t kDescriptorMagic = 0x43534544;          // "DESC"
constexpr uint32_t kCheckpointMagic = 0x54504b43;          // "CKPT"

struct SuperblockImage {
  uint64_t checksum;
  uint64_t magic;
  uint32_t version;
  uint32_t block_bytes;
  StoreId store_id;
  uint32_t shard_count;
  uint32_t volume;
  uint64_t segment_bytes;
};
static_assert(sizeof(SuperblockImage) == 56);

struct SegmentHeaderImage {
  uint64_t checksum;
  uint64_t magic;
  uint32_t version;
  uint32_t shard;
  StoreId store_id;
  uint32_t segment;
  uint32_t reserved;
  uint64_t segment_bytes;
  uint64_t generation;
  uint64_t nonce;
};
static_assert(sizeof(SegmentHeaderImage) == 72);

template <class T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Checksums stand first in every structure and cover what follows.
uint64_t checksum_behind_itself(std::span<const std::byte> bytes, uint64_t seed = 0) {
  return xxh3(bytes.subspan(sizeof(uint64_t)), seed);
}

std::optional<SegmentHeader> parse_header_copy(std::span<const std::byte> block, const StoreId& store_id,
                                               uint32_t shard, uint32_t segment) {
  const auto header = parse_any_segment_header(block);
  if (!header || header->store_id != store_id || header->shard != shard || header->segment != segment)
    return std::nullopt;
  return header;
}

uint64_t descriptor_seed(const DescriptorPlace& place) {
  const std::array<uint64_t, 3> parts = {place.nonce, place.offset, place.generation};
  return xxh3(std::as_bytes(std::span(parts)));
}

bool valid_entry(const DescriptorEntry& entry, const DescriptorHeader& header) {
  if (entry.kind == EntryKind::tombstone) return entry.length == 0;
  if (entry.kind != EntryKind::put && entry.kind != EntryKind::copy) return false;
  if (entry.length == 0 || entry.length > kBlobBlockSizeMax) return false;
  const uint64_t begin = uint64_t{entry.payload_block} * kBlockBytes;
  return begin >= header.descriptor_bytes && begin + stored_bytes(entry.length) <= header.batch_bytes;
}

bool valid_shape(const DescriptorHeader& header, const DescriptorPlace& place, size_t bytes_available) {
  if (header.magic != kDescriptorMagic || header.version != kFormatVersion) return false;
  if (header.generation != place.generation || header.offset != place.offset || header.shard != place.shard)
    return false;
  if (header.entry_count == 0 || header.entry_count > kBatchEntriesMax) return false;
  if (header.descriptor_bytes != descriptor_bytes_for(header.entry_count)) return false;
  if (header.descriptor_bytes > bytes_available) return false;
  if (header.batch_bytes < header.descriptor_bytes || header.batch_bytes > kBatchBytesMax) return false;
  return is_aligned(header.batch_bytes, kBlockBytes) &&
         place.offset + header.batch_bytes <= place.segment_bytes;
}

}  // namespace

void finish_payload(std::span<std::byte> blocks, uint32_t length, std::span<const uint64_t> sums,
                    std::span<std::byte> own) {
  FB_ASSERT(blocks.size() == payload_bytes(length), blocks.size(), length);
  FB_ASSERT(sums.size() == piece_count(length), sums.size(), length);
  std::ranges::fill(blocks.subspan(length), std::byte{0});
  if (sums.empty()) return;
  const auto bytes = std::as_bytes(sums);
  if (piece_table_fits_behind(length)) {
    std::ranges::copy(bytes, blocks.begin() + static_cast<ptrdiff_t>(piece_table_offset(length)));
    return;
  }
  FB_ASSERT(own.size() == kBlockBytes, own.size());
  std::ranges::fill(own, std::byte{0});
  std::ranges::copy(bytes, own.begin());
}

std::string encode_superblock(const Superblock& superblock) {
  std::string block(kBlockBytes, '\0');
  SuperblockImage image{.checksum = 0,
                        .magic = kSuperblockMagic,
                        .version = kFormatVersion,
                        .block_bytes = kBlockBytes,
                        .store_id = superblock.store_id,
                        .shard_count = superblock.shard_count,
                        .volume = superblock.volume,
                        .segment_bytes = superblock.segment_bytes};
  std::memcpy(block.data(), &image, sizeof(image));
  image.checksum = checksum_behind_itself(std::as_bytes(std::span(block)));
  std::memcpy(block.data(), &image.checksum, sizeof(image.checksum));
  return block;
}

SuperblockProblem parse_superblock(std::string_view text, Superblock* out) {
  const auto bytes = std::as_bytes(std::span(text));
  if (bytes.size() != kBlockBytes) return SuperblockProblem::damaged;
  const auto image = load<SuperblockImage>(bytes);
  if (image.magic != kSuperblockMagic || image.checksum != checksum_behind_itself(bytes))
    return SuperblockProblem::damaged;
  if (image.version != kFormatVersion || image.block_bytes != kBlockBytes)
    return SuperblockProblem::other_version;
  if (image.shard_count == 0 || image.shard_count > kShardCountMax || image.volume > UINT16_MAX ||
      image.segment_bytes < kSegmentBytesMin || image.segment_bytes > kSegmentBytesMax ||
      !is_aligned(image.segment_bytes, kBlockBytes))
    return SuperblockProblem::damaged;
  *out = {.store_id = image.store_id,
          .volume = static_cast<uint16_t>(image.volume),
          .shard_count = image.shard_count,
          .segment_bytes = image.segment_bytes};
  return SuperblockProblem::none;
}

void encode_segment_header(const SegmentHeader& header, std::span<std::byte> out) {
  FB_ASSERT(out.size() == kSegmentDataOffset, out.size());
  std::ranges::fill(out, std::byte{0});
  SegmentHeaderImage image{.checksum = 0,
                           .magic = kSegmentMagic,
                           .version = kFormatVersion,
                           .shard = header.shard,
                           .store_id = header.store_id,
                           .segment = header.segment,
                           .reserved = 0,
                           .segment_bytes = header.segment_bytes,
                           .generation = header.generation,
                           .nonce = header.nonce};
  const auto block = out.first(kBlockBytes);
  std::memcpy(block.data(), &image, sizeof(image));
  image.checksum = checksum_behind_itself(block);
  std::memcpy(block.data(), &image.checksum, sizeof(image.checksum));
  std::ranges::copy(block, out.begin() + kBlockBytes);
}

std::optional<SegmentHeader> parse_any_segment_header(std::span<const std::byte> block) {
  if (block.size() != kBlockBytes) return std::nullopt;
  const auto image = load<SegmentHeaderImage>(block);
  if (image.magic != kSegmentMagic || image.version != kFormatVersion) return std::nullopt;
  if (image.checksum != checksum_behind_itself(block)) return std::nullopt;
  if (image.segment_bytes < kSegmentBytesMin || image.segment_bytes > kSegmentBytesMax) return std::nullopt;
  return SegmentHeader{.store_id = image.store_id,
                       .shard = image.shard,
                       .segment = image.segment,
                       .segment_bytes = image.segment_bytes,
                       .generation = image.generation,
                       .nonce = image.nonce};
}

std::optional<SegmentHeader> parse_segment_header(std::span<const std::byte> bytes, const StoreId& store_id,
                                                  uint32_t shard, uint32_t segment) {
  if (bytes.size() < kSegmentDataOffset) return std::nullopt;
  auto first = parse_header_copy(bytes.first(kBlockBytes), store_id, shard, segment);
  auto second = parse_header_copy(bytes.subspan(kBlockBytes, kBlockBytes), store_id, shard, segment);
  if (!first || (second && second->generation > first->generation)) return second;
  return first;
}

DescriptorEntry* descriptor_entries(std::span<std::byte> descriptor) {
  return reinterpret_cast<DescriptorEntry*>(descriptor.data() + sizeof(DescriptorHeader));
}

void finish_descriptor(const DescriptorPlace& place, uint64_t sequence, uint64_t durable_sequence,
                       size_t entry_count, uint64_t batch_bytes, std::span<std::byte> out) {
  FB_ASSERT(entry_count > 0 && entry_count <= kBatchEntriesMax, entry_count);
  FB_ASSERT(out.size() == descriptor_bytes_for(entry_count), out.size(), entry_count);
  FB_ASSERT(batch_bytes <= kBatchBytesMax, batch_bytes);
  DescriptorHeader header{.checksum = 0,
                          .magic = kDescriptorMagic,
                          .version = kFormatVersion,
                          .entry_count = static_cast<uint16_t>(entry_count),
                          .descriptor_bytes = static_cast<uint32_t>(out.size()),
                          .batch_bytes = static_cast<uint32_t>(batch_bytes),
                          .generation = place.generation,
                          .sequence = sequence,
                          .durable_sequence = durable_sequence,
                          .offset = place.offset,
                          .shard = place.shard,
                          .reserved = 0};
  const size_t used = sizeof(header) + entry_count * sizeof(DescriptorEntry);
  std::memset(out.data() + used, 0, out.size() - used);
  std::memcpy(out.data(), &header, sizeof(header));
  header.checksum = checksum_behind_itself(out, descriptor_seed(place));
  std::memcpy(out.data(), &header.checksum, sizeof(header.checksum));
}

namespace {

std::optional<DescriptorView> view_of(std::span<const std::byte> descriptor, const DescriptorHeader& header) {
  const std::span entries(
      reinterpret_cast<const DescriptorEntry*>(descriptor.data() + sizeof(DescriptorHeader)),
      header.entry_count);
  for (const DescriptorEntry& entry : entries) {
    if (!valid_entry(entry, header)) return std::nullopt;
  }
  return DescriptorView{.header = header, .entries = entries};
}

}  // namespace

std::optional<DescriptorView> parse_descriptor(std::span<const std::byte> bytes,
                                               const DescriptorPlace& place) {
  if (bytes.size() < kBlockBytes) return std::nullopt;
  const auto header = load<DescriptorHeader>(bytes);
  if (!valid_shape(header, place, bytes.size())) return std::nullopt;
  const auto descriptor = bytes.first(header.descriptor_bytes);
  if (header.checksum != checksum_behind_itself(descriptor, descriptor_seed(place))) return std::nullopt;
  return view_of(descriptor, header);
}

std::optional<DescriptorView> parse_unkeyed_descriptor(std::span<const std::byte> bytes, uint64_t offset,
                                                       uint64_t segment_bytes) {
  if (bytes.size() < kBlockBytes) return std::nullopt;
  const auto header = load<DescriptorHeader>(bytes);
  const DescriptorPlace place{.shard = header.shard,
                              .generation = header.generation,
                              .nonce = 0,
                              .offset = offset,
                              .segment_bytes = segment_bytes};
  if (!valid_shape(header, place, bytes.size())) return std::nullopt;
  return view_of(bytes.first(header.descriptor_bytes), header);
}

void encode_checkpoint_header(CheckpointHeader header, std::span<std::byte> block) {
  FB_ASSERT(block.size() == kBlockBytes, block.size());
  header.magic = kCheckpointMagic;
  header.version = kFormatVersion;
  std::ranges::fill(block, std::byte{0});
  std::memcpy(block.data(), &header, sizeof(header));
  header.checksum = checksum_behind_itself(block);
  std::memcpy(block.data(), &header.checksum, sizeof(header.checksum));
}

std::optional<CheckpointHeader> parse_checkpoint_header(std::span<const std::byte> block,
                                                        const StoreId& store_id, uint32_t shard) {
  if (block.size() != kBlockBytes) return std::nullopt;
  const auto header = load<CheckpointHeader>(block);
  if (header.magic != kCheckpointMagic || header.version != kFormatVersion) return std::nullopt;
  if (header.checksum != checksum_behind_itself(block)) return std::nullopt;
  if (header.store_id != store_id || header.shard != shard) return std::nullopt;
  return header;
}

}  // namespace fb::bss
