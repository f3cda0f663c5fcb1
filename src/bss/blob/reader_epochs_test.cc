// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/reader_epochs.h"

#include <gtest/gtest.h>

#include <optional>

#include "bss/blob/segment_holds.h"

namespace fb::bss {
namespace {

TEST(ReaderEpochs, AnEpochPassesWhenNobodyLooksSinceIt) {
  ReaderEpochs epochs(3);
  EXPECT_TRUE(epochs.passed(epochs.end_epoch()));
  std::optional<ReaderEpochs::Looking> first;
  std::optional<ReaderEpochs::Looking> second;
  first.emplace(epochs, 1);
  const uint64_t old = epochs.end_epoch();
  EXPECT_FALSE(epochs.passed(old));
  second.emplace(epochs, 2);  // later: does not see what was taken out before
  EXPECT_FALSE(epochs.passed(old));
  first.reset();
  EXPECT_TRUE(epochs.passed(old));
  const uint64_t newer = epochs.end_epoch();
  first.emplace(epochs, 1);
  EXPECT_FALSE(epochs.passed(newer));
  second.reset();
  EXPECT_TRUE(epochs.passed(newer));
}

TEST(ReaderEpochs, MemoryStaysWhileSomebodyMayLookAtIt) {
  ReaderEpochs epochs(2);
  epochs.retire(std::make_unique<std::byte[]>(64));
  EXPECT_EQ(epochs.retired(), 0U);
  {
    const ReaderEpochs::Looking looking(epochs, 1);
    epochs.retire(std::make_unique<std::byte[]>(64));
    epochs.retire(std::make_unique<std::byte[]>(64));
    epochs.retire(nullptr);
    EXPECT_EQ(epochs.retired(), 2U);
  }
  epochs.retire(std::make_unique<std::byte[]>(64));
  EXPECT_EQ(epochs.retired(), 0U);
}

TEST(SegmentHolds, CountsEachSegmentOnEachCore) {
  constexpr uint32_t kSegments = 40;
  SegmentHolds holds;
  holds.make_room(3, 0, kSegments);
  holds.take(1, 17);
  holds.take(2, 17);
  holds.take(2, 17);
  holds.take(2, kSegments - 1);
  for (uint32_t segment = 0; segment < kSegments; ++segment)
    EXPECT_EQ(holds.none_of(segment), segment != 17 && segment != kSegments - 1) << segment;
  holds.give_back(1, 17);
  holds.give_back(2, 17);
  EXPECT_FALSE(holds.none_of(17));
  holds.give_back(2, 17);
  EXPECT_TRUE(holds.none_of(17));
  EXPECT_FALSE(holds.none_of(kSegments - 1));
}

}  // namespace
}  // namespace fb::bss
