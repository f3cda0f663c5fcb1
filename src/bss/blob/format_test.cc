// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace fb::bss {
namespace {

struct alignas(8) Descriptor {
  std::byte bytes[kBlockBytes]{};
};

const DescriptorPlace kPlace{
    .shard = 3, .generation = 7, .nonce = 0x1234, .offset = 8192, .segment_bytes = kMiB};

Descriptor make_descriptor() {
  Descriptor descriptor;
  DescriptorEntry* entries = descriptor_entries(descriptor.bytes);
  entries[0] = {.number = 1, .checksum = 2, .length = 5000, .payload_block = 1, .kind = EntryKind::put};
  entries[1] = {.number = 9, .other_generation = 4, .kind = EntryKind::tombstone};
  finish_descriptor(kPlace, 11, 9, 2, 3 * kBlockBytes, descriptor.bytes);
  return descriptor;
}

TEST(Descriptor, IsReadBack) {
  const Descriptor descriptor = make_descriptor();
  const auto view = parse_descriptor(descriptor.bytes, kPlace);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->header.sequence, 11U);
  EXPECT_EQ(view->header.durable_sequence, 9U);
  ASSERT_EQ(view->entries.size(), 2U);
  EXPECT_EQ(view->entries[0].length, 5000U);
  EXPECT_EQ(view->entries[1].kind, EntryKind::tombstone);
}

TEST(Descriptor, IsValidNowhereElse) {
  const Descriptor descriptor = make_descriptor();
  auto elsewhere = [&](auto change) {
    DescriptorPlace place = kPlace;
    change(place);
    return parse_descriptor(descriptor.bytes, place).has_value();
  };
  EXPECT_TRUE(elsewhere([](DescriptorPlace&) {}));
  EXPECT_FALSE(elsewhere([](DescriptorPlace& place) { place.offset += kBlockBytes; }));
  EXPECT_FALSE(elsewhere([](DescriptorPlace& place) { place.nonce ^= 1; }));
  EXPECT_FALSE(elsewhere([](DescriptorPlace& place) { place.generation ^= 1; }));
  EXPECT_FALSE(elsewhere([](DescriptorPlace& place) { place.shard ^= 1; }));
}

TEST(Descriptor, EveryFlippedBitIsSeen) {
  Descriptor descriptor = make_descriptor();
  for (size_t bit = 0; bit < kBlockBytes * 8; ++bit) {
    descriptor.bytes[bit / 8] ^= std::byte(1 << (bit % 8));
    ASSERT_FALSE(parse_descriptor(descriptor.bytes, kPlace).has_value()) << bit;
    descriptor.bytes[bit / 8] ^= std::byte(1 << (bit % 8));
  }
}

TEST(SegmentHeader, EitherCopyIsEnoughAndTheNewerWins) {
  SegmentHeader header{.shard = 2, .segment = 5, .segment_bytes = kMiB, .generation = 8, .nonce = 99};
  std::vector<std::byte> bytes(kSegmentDataOffset);
  encode_segment_header(header, bytes);
  for (const size_t broken : {size_t{100}, kBlockBytes + 100}) {
    bytes[broken] ^= std::byte{1};
    const auto parsed = parse_segment_header(bytes, {}, 2, 5);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->nonce, 99U);
    bytes[broken] ^= std::byte{1};
  }
  EXPECT_FALSE(parse_segment_header(bytes, {}, 2, 6).has_value());
  std::vector<std::byte> newer(kSegmentDataOffset);
  header.generation = 9;
  encode_segment_header(header, newer);
  std::copy_n(newer.begin() + kBlockBytes, kBlockBytes, bytes.begin() + kBlockBytes);
  EXPECT_EQ(parse_segment_header(bytes, {}, 2, 5)->generation, 9U);
}

TEST(Payload, PiecesStandBehindItOrInABlockOfTheirOwn) {
  for (const uint32_t length :
       {1U, 4096U, kPieceBytes, kPieceBytes + 1, 2 * kPieceBytes, 2 * kPieceBytes - 16, 2 * kPieceBytes - 15,
        kBlobBlockSizeMax - 128, kBlobBlockSizeMax}) {
    std::vector<std::byte> blocks(payload_bytes(length), std::byte{7});
    std::vector<std::byte> own(kBlockBytes);
    PieceSums sums;
    const auto pieces = piece_checksums(std::span(blocks).first(length), sums);
    EXPECT_EQ(pieces.size(), length <= kPieceBytes ? 0 : (length + kPieceBytes - 1) / kPieceBytes);
    const uint64_t checksum = blob_checksum(std::span(blocks).first(length));
    finish_payload(blocks, length, pieces, own);
    EXPECT_EQ(blob_checksum(std::span(blocks).first(length)), checksum) << length;
    std::vector<std::byte> stored = blocks;
    if (stored_bytes(length) > blocks.size()) stored.insert(stored.end(), own.begin(), own.end());
    ASSERT_EQ(stored.size(), stored_bytes(length));
    if (pieces.empty()) continue;
    ASSERT_LE(piece_table_offset(length) + pieces.size_bytes(), stored.size());
    EXPECT_EQ(0, std::memcmp(stored.data() + piece_table_offset(length), pieces.data(), pieces.size_bytes()));
    EXPECT_EQ(checksum, checksum_of_pieces(pieces, length));
  }
}

TEST(Superblock, IsCheckedBeforeItIsBelieved) {
  const Superblock superblock{.volume = 1, .shard_count = 16, .segment_bytes = 64 * kMiB};
  std::string text = encode_superblock(superblock);
  Superblock parsed;
  ASSERT_EQ(parse_superblock(text, &parsed), SuperblockProblem::none);
  EXPECT_EQ(parsed.shard_count, 16U);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_NE(parse_superblock(text, &parsed), SuperblockProblem::none) << bit;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
  }
  EXPECT_EQ(parse_superblock(std::string_view(text).substr(1), &parsed), SuperblockProblem::damaged);
}

}  // namespace
}  // namespace fb::bss
