// SPDX-License-Identifier: Apache-2.0
#include "art/split.h"

#include <gtest/gtest.h>

#include "art/test_pages.h"

namespace fb::art {
namespace {

constexpr uint32_t kPageBytes = 4096;
constexpr uint32_t kCapacity = kPageBytes - kHeaderBytes;

// A page with `count` children of the root, from `first` on, of `bytes` bytes each.
TestPage page_of(char first, uint32_t count, uint32_t bytes) {
  TestPage page(kPageBytes);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string value(bytes - kLeafFixed, 'v');
    EXPECT_TRUE(page.editor().set_value(std::string(1, static_cast<char>(first + i)), 0, value));
  }
  return page;
}

std::optional<uint8_t> share(const TestPage& page, const TestPage& neighbour, bool upper) {
  return ShareChooser(page.view()).choose(neighbour.view(), upper);
}

TEST(ShareChooser, SmallChildrenGoWhereRoomIsLeft) {
  const TestPage page = page_of('a', 41, 85);
  EXPECT_GT(page.view().live_bytes(), kCapacity / 32 * 30);
  EXPECT_EQ(share(page, page_of('A', 20, 85), false), 'a' + 10);
  EXPECT_EQ(share(page, page_of('A', 20, 85), true), 'a' + 31);
  // Both pages would be so full that sharing would be needed again soon.
  EXPECT_EQ(share(page, page_of('A', 38, 85), false), std::nullopt);
}

TEST(ShareChooser, LargeChildrenFillBothPages) {
  const TestPage page = page_of('a', 6, 640);
  EXPECT_GT(page.view().live_bytes(), kCapacity / 32 * 30);
  const TestPage neighbour = page_of('A', 5, 610);
  // The neighbour is more than seven eighths full with one child more.
  EXPECT_GT(neighbour.view().live_bytes() + 640, kCapacity / 8 * 7);
  EXPECT_EQ(share(page, neighbour, false), 'b');
  EXPECT_EQ(share(page, neighbour, true), 'f');
  // The neighbour would be as full as this page is.
  EXPECT_EQ(share(page, page_of('A', 5, 650), false), std::nullopt);
}

// Ten directories; three have their links in this page. The page is divided between them. A page with one of
// them alone would be sparse, like those of the others.
TEST(ChooseSplitOfLinks, DividesWhatHoldsSparsePages) {
  TestPage page(kPageBytes);
  uint64_t id = 100;
  for (char directory = '0'; directory <= '9'; ++directory) {
    const bool within = directory < '3';
    for (int file = 0; file < (within ? 48 : 1); ++file) {
      const std::string path =
          std::string("class-") + directory + (within ? std::string(1, static_cast<char>('A' + file)) : "");
      ASSERT_TRUE(page.editor().put_link(path, {.word = LinkWord::raw(++id), .bound = 1}));
    }
  }
  const SplitPlan plan = choose_split_of_links(page.view(), true);
  EXPECT_EQ(plan.kind, SplitPlan::Kind::inner_range);
  EXPECT_EQ(plan.path, "class-");
  EXPECT_GT(plan.byte, '0');
  EXPECT_LT(plan.byte, '3');
}

}  // namespace
}  // namespace fb::art
