// SPDX-License-Identifier: Apache-2.0
#include "bss/index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>
#include <vector>

namespace fb::bss {
namespace {

TEST(BlobIndex, AgreesWithAMap) {
  std::mt19937_64 random(1);
  BlobIndex index;
  std::map<std::tuple<uint64_t, uint32_t, uint32_t>, uint64_t> model;
  // Keys that differ in the parts that a slot does not hold itself, too.
  constexpr uint64_t kHigh[] = {0, uint64_t{1} << 40, uint64_t{15} << 48, UINT64_MAX << 40};
  constexpr uint32_t kBlocks[] = {0, 1, 0xffff, 0x10000, kBlockNumberMax};
  for (int step = 0; step < 300'000; ++step) {
    const uint64_t number = random() % 3'000 | kHigh[random() % std::size(kHigh)];
    const auto incarnation = static_cast<uint32_t>(random() % 2 == 0 ? 7 : UINT32_MAX);
    const uint32_t block = kBlocks[random() % std::size(kBlocks)];
    BlobIndex::Found found = index.find(number, incarnation, block);
    const auto expected = model.find({number, incarnation, block});
    ASSERT_EQ(!!found, expected != model.end());
    const uint64_t place =
        IndexEntry::make_place(random() % 1000, (random() % 16384) * 4096, 1 + random() % 4096);
    // Phases in which more come than go, and the other way round.
    const bool filling = step / 50'000 % 2 == 0;
    if (!found) {
      if (!filling && random() % 4 != 0) continue;
      index.insert({.number = number,
                    .checksum = place * 3,
                    .incarnation = incarnation,
                    .block = block,
                    .place = place});
      model[{number, incarnation, block}] = place;
    } else {
      ASSERT_EQ(found.place, expected->second);
      ASSERT_EQ(found.checksum, expected->second * 3);
      if (random() % 8 < (filling ? 1 : 6)) {
        index.erase(found);
        model.erase(expected);
      } else {
        index.set_place(found, place);
        index.set_checksum(found, place * 3);
        expected->second = place;
      }
    }
  }
  EXPECT_EQ(index.size(), model.size());
  EXPECT_TRUE(index.verify());
  std::vector<IndexEntry> entries;
  size_t listed = 0;
  for (size_t table = 0; table < BlobIndex::kTableCount; ++table) {
    index.entries_of(table, entries);
    for (const IndexEntry& entry : entries)
      EXPECT_EQ(model.at({entry.number, entry.incarnation, entry.block}), entry.place);
    listed += entries.size();
  }
  EXPECT_EQ(listed, model.size());
  for (const auto& [key, place] : model)
    index.erase(index.find(std::get<0>(key), std::get<1>(key), std::get<2>(key)));
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(index.memory_bytes(), 0U);
}

IndexEntry numbered(uint64_t number) {
  return {.number = number, .incarnation = 1, .place = IndexEntry::make_place(1, 8192, 4096)};
}

// While it grows, when it has been filled from a checkpoint, and while it shrinks down to half.
TEST(BlobIndex, AtMostThirtyTwoBytesABlob) {
  constexpr uint64_t kCount = 1'000'000;
  BlobIndex grown;
  for (uint64_t number = 1; number <= kCount; ++number) {
    grown.insert(numbered(number));
    if (number >= 100'000 && number % 1000 == 0)
      ASSERT_LE(grown.memory_bytes(), grown.size() * BlobIndex::kBytesPerBlobMax) << number;
  }
  BlobIndex loaded;
  loaded.reserve(kCount);
  for (uint64_t number = 1; number <= kCount; ++number) loaded.insert(numbered(number));
  EXPECT_LE(loaded.memory_bytes(), kCount * BlobIndex::kBytesPerBlobMax);
  EXPECT_TRUE(loaded.verify());
  for (uint64_t number = 1; number <= kCount; ++number) {
    if (number % 8 != 0) grown.erase(grown.find(number, 1, 0));
  }
  EXPECT_LE(grown.memory_bytes(), grown.size() * 2 * BlobIndex::kBytesPerBlobMax);
  EXPECT_TRUE(grown.verify());
}

// What keys share is forgotten with the last of them.
TEST(KeyPrefixes, AreCountedAndReused) {
  KeyPrefixes prefixes;
  const KeyPrefixes::Prefix a{.high = 1 << 16, .incarnation = 1};
  const KeyPrefixes::Prefix b{.high = 1 << 16, .incarnation = 2};
  const uint32_t first = prefixes.take(a);
  EXPECT_NE(first, 0U);
  EXPECT_EQ(prefixes.take(a), first);
  const uint32_t second = prefixes.take(b);
  EXPECT_NE(second, first);
  prefixes.give_back(first);
  EXPECT_EQ(prefixes.find(a), first);
  prefixes.give_back(first);
  EXPECT_EQ(prefixes.find(a), 0U);
  EXPECT_EQ(prefixes.take({.high = 5, .incarnation = 9}), first);
  EXPECT_EQ(prefixes.size(), 2U);
}

TEST(IndexEntry, PlaceHoldsItsParts) {
  const IndexEntry entry{.place = IndexEntry::make_place(IndexEntry::kSegmentNumberMax,
                                                         (1u << 18) * 4096ull - 4096, kBlobBlockSizeMax)};
  EXPECT_EQ(entry.segment(), IndexEntry::kSegmentNumberMax);
  EXPECT_EQ(entry.offset_bytes(), (1u << 18) * 4096ull - 4096);
  EXPECT_EQ(entry.length(), kBlobBlockSizeMax);
  EXPECT_TRUE(entry.readable());
}

}  // namespace
}  // namespace fb::bss
