// SPDX-License-Identifier: Apache-2.0
#include "bss/index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace fb::bss {
namespace {

TEST(BlobIndex, AgreesWithAMap) {
  std::mt19937_64 random(1);
  BlobIndex index;
  std::map<std::pair<uint64_t, uint32_t>, uint64_t> model;
  for (int step = 0; step < 200'000; ++step) {
    const uint64_t number = random() % 20'000;
    const auto block = static_cast<uint32_t>(random() % 2);
    IndexEntry* found = index.find(number, 7, block);
    const auto expected = model.find({number, block});
    ASSERT_EQ(found != nullptr, expected != model.end());
    if (found == nullptr) {
      const uint64_t place =
          IndexEntry::make_place(random() % 1000, (random() % 16384) * 4096, 1 + random() % 4096);
      index.insert(
          {.number = number, .checksum = random(), .incarnation = 7, .block = block, .place = place});
      model[{number, block}] = place;
    } else {
      ASSERT_EQ(found->place, expected->second);
      if (random() % 4 != 0) {
        index.erase(found);
        model.erase(expected);
      }
    }
  }
  EXPECT_EQ(index.size(), model.size());
  EXPECT_TRUE(index.verify());
}

TEST(BlobIndex, CostsAboutThirtyTwoBytesAnEntry) {
  BlobIndex index;
  constexpr uint64_t kCount = 1'000'000;
  for (uint64_t number = 1; number <= kCount; ++number)
    index.insert({.number = number, .incarnation = 1, .place = IndexEntry::make_place(1, 8192, 4096)});
  EXPECT_LT(index.memory_bytes(), kCount * 46);
  EXPECT_TRUE(index.verify());
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
