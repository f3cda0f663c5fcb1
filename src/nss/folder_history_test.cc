// SPDX-License-Identifier: Apache-2.0
#include "nss/folder_history.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

using Kind = FolderOperation::Kind;
using End = FolderOperation::End;

FolderOperation put(unsigned slot, uint32_t value, uint64_t began, uint64_t ended, uint32_t existed = 0) {
  return {.kind = Kind::put,
          .slot = slot,
          .value = value,
          .began = began,
          .end = ended == 0 ? End::never : End::done,
          .seen = existed,
          .ended = ended};
}
FolderOperation get(unsigned slot, uint32_t seen, uint64_t began, uint64_t ended) {
  return {.kind = Kind::get, .slot = slot, .began = began, .end = End::done, .seen = seen, .ended = ended};
}
FolderOperation move(unsigned from, unsigned to, End end, uint64_t began, uint64_t ended) {
  return {.kind = Kind::rename_folder, .slot = from, .other = to, .began = began, .end = end, .ended = ended};
}
bool holds(const std::vector<FolderOperation>& operations) {
  return FolderChecker().feed(operations).empty();
}

TEST(FolderHistory, ReadsSeeWhatWasPutAndNothingGoesBack) {
  EXPECT_TRUE(holds({put(3, 7, 1, 2), get(3, 7, 3, 4)}));
  EXPECT_FALSE(holds({put(3, 7, 1, 2), get(3, 0, 3, 4)}));
  EXPECT_FALSE(holds({put(3, 7, 1, 2), put(3, 8, 3, 4, 1), get(3, 7, 5, 6)}));
  EXPECT_FALSE(holds({put(3, 7, 1, 2), put(3, 8, 3, 4, 0)}));  // it was there
  // While a put is under way either may be seen, but not the old one after the new one.
  EXPECT_TRUE(holds({put(3, 7, 1, 9), get(3, 0, 2, 3), get(3, 7, 4, 5)}));
  EXPECT_FALSE(holds({put(3, 7, 1, 9), get(3, 7, 2, 3), get(3, 0, 4, 5)}));
}

TEST(FolderHistory, APutThatRacesARenameEndsAtOnePlace) {
  const unsigned here = slot_of(0, 2);
  const unsigned there = slot_of(1, 2);
  const std::vector<FolderOperation> race = {put(slot_of(0, 0), 5, 1, 2), put(here, 7, 3, 9),
                                             move(0, 1, End::done, 4, 8)};
  const auto with = [&race](std::vector<FolderOperation> more) {
    more.insert(more.begin(), race.begin(), race.end());
    return holds(more);
  };
  EXPECT_TRUE(with({get(here, 7, 10, 11), get(there, 0, 12, 13)}));
  EXPECT_TRUE(with({get(here, 0, 10, 11), get(there, 7, 12, 13)}));
  EXPECT_FALSE(with({get(here, 7, 10, 11), get(there, 7, 12, 13)}));
  EXPECT_FALSE(with({get(here, 0, 10, 11), get(there, 0, 12, 13)}));
  EXPECT_FALSE(with({get(slot_of(0, 0), 5, 10, 11)}));
  EXPECT_TRUE(holds({put(here, 1, 1, 2), put(there, 2, 3, 4), move(0, 1, End::occupied, 5, 6)}));
  EXPECT_FALSE(holds({put(here, 1, 1, 2), move(0, 1, End::occupied, 5, 6)}));
  EXPECT_FALSE(holds({put(here, 1, 1, 2), move(0, 1, End::absent, 5, 6)}));
}

TEST(FolderHistory, WhatHadNoAnswerHappenedOrNot) {
  for (const uint32_t seen : {0u, 7u}) {
    FolderChecker checker;
    EXPECT_EQ(checker.feed({put(3, 7, 1, 0)}), "");
    EXPECT_EQ(checker.feed({get(3, seen, 2, 3), get(3, seen, 4, 5)}), "");
    EXPECT_NE(checker.feed({get(3, 7 - seen, 6, 7)}), "");
  }
  // What was answered from a change under way makes that change.
  FolderChecker checker;
  EXPECT_EQ(checker.feed({put(3, 7, 1, 0), get(3, 7, 2, 3)}), "");
  EXPECT_NE(checker.feed({get(3, 0, 4, 5)}), "");
}

}  // namespace
}  // namespace fb
