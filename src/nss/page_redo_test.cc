// SPDX-License-Identifier: Apache-2.0
#include "nss/page_redo.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "client/journal_client.h"

namespace fb {
namespace {

using art::ChangePage;
using art::PageOp;

constexpr uint32_t kPageBytes = 4096;

// A record that sets one value in each of the pages.
std::string change_of(std::initializer_list<ChangePage> pages, std::string_view value) {
  std::string record;
  art::begin_change(record);
  for (ChangePage page : pages) {
    std::string operations;
    PageOp{.kind = PageOp::Kind::set_value, .path = "key", .value_given = true, .value = value}.encode(
        operations);
    if (page.action != ChangePage::Action::retire) page.operations = operations;
    art::append_change(record, page);
  }
  return record;
}

struct Page {
  Page(PageId id, Lsn lsn) {
    editor.format(id);
    editor.header().lsn_epoch = lsn.epoch;
    editor.header().lsn_position = lsn.position;
  }
  alignas(64) std::array<std::byte, kPageBytes> bytes{};
  art::PageEditor editor{bytes.data(), kPageBytes};
};

TEST(PageRedo, MakesInAPageWhatItLacks) {
  PageRedo redo;
  EXPECT_TRUE(redo.empty());
  for (uint64_t i = 1; i <= 9; ++i) {
    const auto action = i == 1 ? ChangePage::Action::create : ChangePage::Action::change;
    ASSERT_TRUE(redo.add(change_of({{PageId{4}, action, {}}, {PageId{2}, ChangePage::Action::change, {}}},
                                   fmt::format("value {}", i)),
                         {1, 100 * i}));
  }
  EXPECT_EQ(redo.pages(), (std::vector<PageId>{{2}, {4}}));
  EXPECT_EQ(redo.oldest_position(), 100u);
  EXPECT_EQ(redo.page_id_max(), 4u);
  EXPECT_TRUE(redo.creates({4}));
  EXPECT_FALSE(redo.creates({2}));
  EXPECT_FALSE(redo.creates({3}));
  // Stored with the first five.
  Page page({2}, {1, 500});
  EXPECT_EQ(*redo.apply({2}, page.editor), 600u);
  EXPECT_EQ(page.editor.view().lsn(), (Lsn{1, 900}));
  EXPECT_FALSE(redo.has({2}));
  EXPECT_EQ(*redo.apply({2}, page.editor), 0u);
  // Stored as it is.
  Page whole({4}, {1, 900});
  EXPECT_EQ(*redo.apply({4}, whole.editor), 0u);
  EXPECT_TRUE(redo.empty());
}

// add() and apply() read the kept copy of a record. It was freed too early once: when the only page so far
// left its tree, while the same record changed another page (AddressSanitizer sees it).
TEST(PageRedo, KeepsAChangeThoughThePagesBeforeItHaveLeftTheirTrees) {
  PageRedo redo;
  const auto change = ChangePage::Action::change;
  ASSERT_TRUE(redo.add(change_of({{PageId{7}, change, {}}}, "gone"), {1, 10}));
  ASSERT_TRUE(redo.add(
      change_of({{PageId{7}, ChangePage::Action::retire, {}}, {PageId{8}, change, {}}}, "kept"), {1, 20}));
  EXPECT_EQ(redo.pages(), (std::vector<PageId>{{8}}));
  redo.added_all();
  Page page({8}, {1, 5});
  const Result<uint64_t> lacked = redo.apply({8}, page.editor);
  ASSERT_TRUE(lacked) << lacked.error().to_string();
  EXPECT_EQ(*lacked, 20u);
  EXPECT_EQ(page.editor.view().lsn(), (Lsn{1, 20}));
  EXPECT_TRUE(redo.empty());
}

TEST(PageRedo, PagesThatLeftTheirTreesNeedNothing) {
  PageRedo redo;
  redo.retire({7});
  const auto change = ChangePage::Action::change;
  ASSERT_TRUE(redo.add(change_of({{PageId{7}, change, {}}, {PageId{8}, change, {}}}, "x"), {1, 10}));
  EXPECT_EQ(redo.pages(), (std::vector<PageId>{{8}}));
  ASSERT_TRUE(redo.add(change_of({{PageId{8}, ChangePage::Action::retire, {}}}, ""), {1, 20}));
  EXPECT_TRUE(redo.empty());
  EXPECT_EQ(redo.retired(), (std::vector<PageId>{{7}, {8}}));
}

TEST(PageRedo, RefusesWhatIsNoChange) {
  PageRedo redo;
  std::string record = change_of({{PageId{8}, ChangePage::Action::change, {}}}, "x");
  record.pop_back();
  EXPECT_TRUE(redo.add(record, {1, 10}).error().is(JournalError::damaged));
  EXPECT_TRUE(redo.add("", {1, 10}).error().is(JournalError::damaged));
  EXPECT_TRUE(redo.empty());
  // Another page than the changes are of.
  ASSERT_TRUE(redo.add(change_of({{PageId{8}, ChangePage::Action::change, {}}}, "x"), {1, 10}));
  Page other({9}, {});
  EXPECT_FALSE(redo.apply({8}, other.editor));
}

}  // namespace
}  // namespace fb
