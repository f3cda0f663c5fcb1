// SPDX-License-Identifier: Apache-2.0
#include "art/page_editor.h"

#include <gtest/gtest.h>

#include <random>

#include "art/page_op.h"
#include "art/test_pages.h"

namespace fb::art {
namespace {

// Keys that have much in common, end inside one another, and use all bytes.
std::string random_key(std::mt19937_64& random, uint32_t bytes_max) {
  static constexpr std::string_view kWords[] = {"a", "ab",      "abc",  "dir/",          "x",
                                                "0", "ordner/", "\xff", "datasets/image"};
  std::string key;
  const uint32_t words = random() % 5;
  for (uint32_t i = 0; i < words; ++i) key += kWords[random() % std::size(kWords)];
  if (random() % 3 == 0) key.push_back(static_cast<char>(random()));
  return key.substr(0, bytes_max);
}

class PageSizes : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, PageSizes, testing::Values(256, 512, 1024, 4096, 16384, 65536));

TEST_P(PageSizes, ValuesAreAMap) {
  std::mt19937_64 random(GetParam());
  TestPage page(GetParam());
  Content model;
  uint32_t refused = 0;
  for (uint32_t i = 0; i < 20'000; ++i) {
    const std::string key = random_key(random, 60);
    if (random() % 3 != 0) {
      const std::string value(random() % (GetParam() / 16), static_cast<char>('a' + random() % 26));
      const std::vector<std::byte> before = page.bytes();
      if (const auto set = page.editor().set_value(key, 0, value)) {
        model[key] = value;
      } else {
        ASSERT_TRUE(set.error().is(OpError::no_room));
        ASSERT_EQ(before, page.bytes());
        ++refused;
      }
    } else {
      const auto erased = page.editor().erase_value(key);
      ASSERT_EQ(erased.has_value(), model.erase(key) == 1);
    }
    ASSERT_EQ(verify_page(page.view()), "") << page_to_string(page.view());
    if (i % 16 == 0) ASSERT_EQ(content_of(page.view()), model) << page_to_string(page.view());
  }
  if (GetParam() < 4096) EXPECT_GT(refused, 0u);
  ASSERT_TRUE(page.editor().compact(true));
  ASSERT_EQ(content_of(page.view()), model);
  while (!model.empty()) {
    ASSERT_TRUE(page.editor().erase_value(model.begin()->first));
    model.erase(model.begin());
  }
  EXPECT_EQ(content_of(page.view()), model);
  EXPECT_EQ(page.view().entries(), 0u);
  ASSERT_EQ(verify_page(page.view()), "");
}

TEST(PageEditor, EveryByteIsAChild) {
  TestPage page(16384);
  Content model;
  for (uint32_t i = 0; i < 256; ++i) {
    const std::string key = std::string("node") + static_cast<char>(i * 37 % 256) + "x";
    ASSERT_TRUE(page.editor().set_value(key, 0, std::to_string(i)));
    model[key] = std::to_string(i);
    ASSERT_EQ(verify_page(page.view()), "");
    ASSERT_EQ(content_of(page.view()), model);
  }
  for (uint32_t i = 0; i < 256; ++i) {
    const std::string key = std::string("node") + static_cast<char>(i * 11 % 256) + "x";
    ASSERT_TRUE(page.editor().erase_value(key));
    model.erase(key);
    ASSERT_EQ(verify_page(page.view()), "");
    ASSERT_EQ(content_of(page.view()), model);
  }
}

// Nodes that are added after a page was laid out lie with the others, before all leaves. The gap is kept for
// them alone, and given up when the page is full.
TEST(PageEditor, NodesStayTogether) {
  TestPage page(4096);
  for (const char* key : {"a/1", "a/2", "b/1", "b/2"}) ASSERT_TRUE(page.editor().set_value(key, 0, key));
  ASSERT_TRUE(page.editor().compact(true));
  const uint32_t begin = page.view().header().gap_begin;
  const uint32_t end = page.view().header().gap_end;
  EXPECT_GT(end - begin, 4096u / 10);
  for (uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(page.editor().set_value("c/" + std::to_string(i), 0, "v"));
  ASSERT_EQ(verify_page(page.view()), "");
  EXPECT_GT(page.view().header().gap_begin, begin);
  EXPECT_EQ(page.view().header().gap_end, end);
  const Stop stop = walk(page.view(), "c/");
  EXPECT_LT(stop.block, end);
  EXPECT_GE(walk(page.view(), "c/1").block, end);
  std::vector<std::byte> broken = page.bytes();
  PageEditor(broken.data(), 4096).header().gap_begin -= node4::kFixed;
  EXPECT_NE(verify_page({broken.data(), 4096}), "");
  // A page made from an image gets a gap of its own; a full page has none left.
  TestPage image(4096);
  ASSERT_TRUE(image.editor().extract(page.view(), page.view().root()));
  EXPECT_EQ(image.view().gap_bytes(), 0u);
  TestPage other(4096);
  ASSERT_TRUE(other.editor().set_image(image.view()));
  EXPECT_GT(other.view().gap_bytes(), 0u);
  ASSERT_EQ(verify_page(other.view()), "") << page_to_string(other.view());
  EXPECT_EQ(content_of(other.view()), content_of(page.view()));
  uint32_t keys = 0;
  while (other.editor().set_value("d/" + std::to_string(keys), 0, std::string(100, 'v'))) ++keys;
  ASSERT_EQ(verify_page(other.view()), "");
  EXPECT_GT(other.view().live_bytes(), other.view().capacity_bytes() - 200);
}

// A split copies some children, and no value.
TEST_P(PageSizes, SomeChildrenAreExtracted) {
  std::mt19937_64 random(GetParam() + 1);
  for (uint32_t round = 0; round < 200; ++round) {
    TestPage page(GetParam());
    for (uint32_t i = 0; i < 40; ++i) {
      (void)page.editor().set_value(random_key(random, 30), 0, std::string(random() % 8, 'v'));
      const std::string key = std::string(1, static_cast<char>(random())) + "k";
      (void)page.editor().set_value(key, 0, "v");
    }
    const auto first = static_cast<uint8_t>(1 + random() % 128);
    const auto last = static_cast<uint8_t>(first + random() % 100);
    Content expected;
    for (const auto& [key, value] : content_of(page.view())) {
      const bool in =
          !key.empty() && static_cast<uint8_t>(key[0]) >= first && static_cast<uint8_t>(key[0]) <= last;
      if (in) expected[key] = value;
    }
    TestPage image(GetParam());
    const auto copied = image.editor().extract(page.view(), page.view().root(), first, last);
    ASSERT_EQ(copied.has_value(), !expected.empty());
    if (!copied) continue;
    ASSERT_EQ(verify_page(image.view()), "") << page_to_string(image.view());
    ASSERT_EQ(content_of(image.view()), expected);
    EXPECT_EQ(image.view().header().garbage_bytes, 0u);
  }
}

TEST(PageEditor, SubtreesGoByTheirPrefix) {
  TestPage page(4096);
  for (const char* key : {"a", "a/", "a/b", "a/c/d", "ab", "b"})
    ASSERT_TRUE(page.editor().set_value(key, 0, key));
  ASSERT_TRUE(page.editor().put_link("a/link/x", {LinkWord::of(PageId{7}), 1, 0}));
  ASSERT_TRUE(page.editor().erase_subtree("a/"));
  EXPECT_EQ(content_of(page.view()), (Content{{"a", "a"}, {"ab", "ab"}, {"b", "b"}}));
  EXPECT_EQ(verify_page(page.view()), "");
  EXPECT_TRUE(page.editor().erase_subtree("a/").error().is(OpError::not_found));
  EXPECT_TRUE(page.editor().erase_subtree("").error().is(OpError::malformed));
}

TEST(PageEditor, LinksAndRanges) {
  TestPage page(1024);
  auto editor = page.editor();
  ASSERT_TRUE(editor.set_value("dir", 0, "v"));
  for (const char* key : {"dir/a1", "dir/a2", "dir/b"}) ASSERT_TRUE(editor.set_value(key, 0, key));
  ASSERT_TRUE(editor.replace_by_link("dir/a", {LinkWord::of(PageId{9}), 2, 1}));
  EXPECT_EQ(content_of(page.view()), (Content{{"dir", "v"}, {"dir/a@", "9"}, {"dir/b", "dir/b"}}));
  EXPECT_TRUE(editor.set_value("dir/a3", 0, "").error().is(OpError::wrong_page));
  EXPECT_TRUE(editor.put_link("dir/a", {LinkWord::of(PageId{8})}).error().is(OpError::occupied));
  std::string intervals;
  range_node::pack(intervals, {'0', 1, 0, 20});
  range_node::pack(intervals, {'m', 2, 0, 21});
  ASSERT_TRUE(editor.make_range("dir/a", {true, 0, "own"}, intervals));
  ASSERT_EQ(verify_page(page.view()), "") << page_to_string(page.view());
  EXPECT_TRUE(editor.insert_interval("dir/a", {'m', 0, 0, 22}).error().is(OpError::occupied));
  ASSERT_TRUE(editor.insert_interval("dir/a", {'c', 3, 0, 22}));
  EXPECT_EQ(content_of(page.view()), (Content{{"dir", "v"},
                                              {"dir/a", "own"},
                                              {std::string("dir/a[\0", 7), "20"},
                                              {"dir/a[c", "22"},
                                              {"dir/a[m", "21"},
                                              {"dir/b", "dir/b"}}));
  ASSERT_TRUE(editor.set_bound("dir/a", 'd', 9, 4));
  ASSERT_TRUE(editor.erase_link("dir/a", 'z'));
  ASSERT_TRUE(editor.erase_link("dir/a", '0'));
  EXPECT_EQ(link_at(page.view(), walk(page.view(), "dir/a0")).bound, 9);
  ASSERT_TRUE(editor.set_value("dir/a", 0, std::string(100, 'w')));
  ASSERT_TRUE(editor.erase_link("dir/a", 'q'));
  EXPECT_EQ(content_of(page.view()),
            (Content{{"dir", "v"}, {"dir/a", std::string(100, 'w')}, {"dir/b", "dir/b"}}));
  ASSERT_EQ(verify_page(page.view()), "") << page_to_string(page.view());
}

TEST(PageEditor, ExtractAndGraft) {
  TestPage page(2048);
  Content model;
  for (const char* key : {"k", "key", "key/1", "key/2", "key/30", "key/31", "keyed", "z"}) {
    ASSERT_TRUE(page.editor().set_value(key, 0, key));
    model[key] = key;
  }
  const Stop stop = walk(page.view(), "key/");
  ASSERT_EQ(stop.kind, StopKind::value);
  TestPage child(2048, {2});
  ASSERT_TRUE(child.editor().extract(page.view(), stop.block));
  ASSERT_EQ(verify_page(child.view()), "");
  EXPECT_EQ(content_of(child.view()),
            (Content{{"1", "key/1"}, {"2", "key/2"}, {"30", "key/30"}, {"31", "key/31"}}));
  ASSERT_TRUE(page.editor().replace_by_link("key/", {LinkWord::of(PageId{2}), 1, 0}));
  ASSERT_TRUE(page.editor().graft("key/", child.view()));
  EXPECT_EQ(content_of(page.view()), model);
  ASSERT_EQ(verify_page(page.view()), "");
  ASSERT_TRUE(page.editor().graft("other/place/", child.view()));
  for (const char* end : {"1", "2", "30", "31"})
    model[std::string("other/place/") + end] = std::string("key/") + end;
  EXPECT_EQ(content_of(page.view()), model);
  EXPECT_TRUE(page.editor().graft("key", child.view()).error().is(OpError::occupied));
  // A page cut in two by its root's bytes, and joined again.
  TestPage left(2048, {3});
  ASSERT_TRUE(left.editor().graft("x", page.view()));
  const Content all = content_of(page.view());
  TestPage right(2048, {4});
  ASSERT_TRUE(right.editor().set_image(page.view()));
  ASSERT_TRUE(right.editor().keep_children('l', 255));
  ASSERT_TRUE(page.editor().keep_children(0, 'k'));
  ASSERT_EQ(verify_page(page.view()), "");
  ASSERT_EQ(verify_page(right.view()), "");
  ASSERT_TRUE(page.editor().graft_root(right.view()));
  EXPECT_EQ(content_of(page.view()), all);
  ASSERT_EQ(verify_page(page.view()), "");
}

TEST(PageEditor, BordersOfIntervalsMove) {
  TestPage page(1024);
  std::string intervals;
  for (const uint8_t first : {0, 50, 100}) range_node::pack(intervals, {first, 1, 0, 10u + first});
  ASSERT_TRUE(page.editor().put_link("dir/", {LinkWord::of(PageId{9}), 1, 0}));
  ASSERT_TRUE(page.editor().make_range("dir/", {}, intervals));
  const auto page_of = [&](uint8_t byte) {
    const std::string path = std::string("dir/") + static_cast<char>(byte);
    return link_at(page.view(), walk(page.view(), path)).word.page_id().value;
  };
  EXPECT_EQ(page_of(49), 10U);
  EXPECT_EQ(page_of(50), 60U);
  ASSERT_TRUE(page.editor().move_interval("dir/", 50, 40));
  EXPECT_EQ(page_of(39), 10U);
  EXPECT_EQ(page_of(40), 60U);
  ASSERT_TRUE(page.editor().move_interval("dir/", 40, 99));
  EXPECT_EQ(page_of(98), 10U);
  EXPECT_EQ(page_of(99), 60U);
  EXPECT_EQ(page_of(100), 110U);
  EXPECT_EQ(verify_page(page.view()), "");
  const std::vector<std::byte> before = page.bytes();
  EXPECT_TRUE(page.editor().move_interval("dir/", 99, 100).error().is(OpError::occupied));
  EXPECT_TRUE(page.editor().move_interval("dir/", 99, 0).error().is(OpError::occupied));
  EXPECT_TRUE(page.editor().move_interval("dir/", 0, 7).error().is(OpError::not_found));
  EXPECT_TRUE(page.editor().move_interval("dir/", 98, 97).error().is(OpError::not_found));
  EXPECT_TRUE(page.editor().move_interval("elsewhere/", 99, 97).error().is(OpError::not_found));
  EXPECT_EQ(page.bytes(), before);
}

class Ops : public testing::TestWithParam<PageOp::Kind> {};
INSTANTIATE_TEST_SUITE_P(OfIntervals, Ops,
                         testing::Values(PageOp::Kind::insert_interval, PageOp::Kind::move_interval));
TEST_P(Ops, EncodingGoesBothWays) {
  const PageOp op{.kind = GetParam(),
                  .path = "p/q",
                  .page = {77},
                  .bound = 3,
                  .link_flags = 1,
                  .byte = 200,
                  .first = 190};
  std::string bytes;
  op.encode(bytes);
  const size_t size = bytes.size();
  bytes += "rest";
  std::string_view rest = bytes;
  const auto parsed = PageOp::parse(rest);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(rest, "rest");
  std::string again;
  parsed->encode(again);
  EXPECT_EQ(again, bytes.substr(0, size));
  for (size_t cut = 0; cut < size; ++cut) {
    std::string_view part = std::string_view(bytes).substr(0, cut);
    EXPECT_FALSE(PageOp::parse(part)) << cut;
  }
}

TEST(PageCheck, ImagesAreSummed) {
  TestPage page(512);
  ASSERT_TRUE(page.editor().set_value("k", 0, "v"));
  std::vector<std::byte> image(512);
  write_page_image(page.view(), image.data());
  EXPECT_EQ(check_page_image({image.data(), 512}, {1}), "");
  EXPECT_EQ(check_page_image({image.data(), 512}, {2}), "this is page 1");
  image[100] ^= std::byte{1};
  EXPECT_EQ(check_page_image({image.data(), 512}, {1}), "checksum");
}

// With any bytes in place of a page, showing, walking and verifying end.
TEST(PageView, TornBytesAreHarmless) {
  std::mt19937_64 random(5);
  TestPage page(1024);
  for (uint32_t i = 0; i < 40; ++i) (void)page.editor().set_value(random_key(random, 60), 0, "value");
  for (uint32_t round = 0; round < 5000; ++round) {
    std::vector<std::byte> torn = page.bytes();
    for (uint32_t i = 0; i < 1 + round % 50; ++i) {
      torn[sizeof(uint64_t) * 4 + random() % (1024 - 32)] = static_cast<std::byte>(random());
    }
    const PageView view(torn.data(), 1024);
    (void)verify_page(view);
    (void)page_to_string(view);
    (void)walk(view, random_key(random, 60));
  }
}

}  // namespace
}  // namespace fb::art
