// SPDX-License-Identifier: Apache-2.0
#include "nss/listing.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace fb {
namespace {

class Listing : public testing::Test {
 protected:
  void add(const std::string& key, Space space = Space::objects) {
    Entry* replaced = map_.put(Entry::make({space, key}, {1}, "r"));
    if (replaced != nullptr) Entry::free(replaced);
    if (space == Space::objects) keys_.insert(key);
  }
  void remove(const std::string& key) {
    Entry::free(map_.remove({Space::objects, key}));
    keys_.erase(key);
  }
  // Every page one after the other; prefixes end in '*'.
  std::vector<std::string> all(std::string_view prefix, std::string_view delimiter, uint32_t page_size) {
    std::vector<std::string> out;
    ListRequest request{.prefix = prefix, .delimiter = delimiter, .entries_max = page_size};
    std::string after;
    for (int pages = 0; pages < 10'000; ++pages) {
      request.start_after = after;
      const ListPage page = list_entries(map_, request);
      EXPECT_LE(page.entries.size(), page_size);
      for (const ListEntry& entry : page.entries) out.push_back(entry.key + (entry.common_prefix ? "*" : ""));
      if (!page.truncated) return out;
      after = page.entries.back().key;
      request.start_past_prefix = page.entries.back().common_prefix;
    }
    ADD_FAILURE() << "the listing does not end";
    return out;
  }
  std::vector<std::string> expected(const std::string& prefix, const std::string& delimiter) const {
    std::vector<std::string> out;
    for (const std::string& key : keys_) {
      if (!key.starts_with(prefix)) continue;
      const size_t found = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
      const std::string item =
          found == std::string::npos ? key : key.substr(0, found + delimiter.size()) + "*";
      if (out.empty() || out.back() != item) out.push_back(item);
    }
    return out;
  }
  using Names = std::vector<std::string>;
  EntryMap map_;
  std::set<std::string> keys_;
};

TEST_F(Listing, DeepTreesGiveTheirKeys) {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "d/";
  add(deep + "key");
  EXPECT_EQ(all("", "", 10), (Names{deep + "key"}));
  EXPECT_EQ(all("", "/", 10), (Names{"d/*"}));
  EXPECT_EQ(all(deep, "/", 10), (Names{deep + "key"}));
}

TEST_F(Listing, APrefixIsGivenOnceHoweverManyKeysItHolds) {
  for (int i = 0; i < 5000; ++i) add("dir/" + std::to_string(i));
  add("e");
  EXPECT_EQ(all("", "/", 1), (Names{"dir/*", "e"}));
}

TEST_F(Listing, NoSyntheticDirectoryKeys) {
  add("a/b");
  EXPECT_EQ(all("", "", 10), (Names{"a/b"}));
  EXPECT_EQ(all("a/", "", 10), (Names{"a/b"}));
}

TEST_F(Listing, NoPhantomPrefixAfterItsLastKeyIsGone) {
  add("a/b");
  add("c");
  remove("a/b");
  EXPECT_EQ(all("", "/", 10), (Names{"c"}));
}

TEST_F(Listing, AKeyIsNotHiddenByLongerOnes) {
  for (const char* key : {"a", "a/", "a/b", "a-b", "a0"}) add(key);
  EXPECT_EQ(all("", "", 1), (Names{"a", "a-b", "a/", "a/b", "a0"}));  // by bytes, not by component
  EXPECT_EQ(all("", "/", 1), (Names{"a", "a-b", "a/*", "a0"}));
  EXPECT_EQ(all("a/", "/", 1), (Names{"a/", "a/b"}));
}

TEST_F(Listing, StartAfterInsideACommonPrefix) {
  for (const char* key : {"a/1", "a/3", "b"}) add(key);
  ListRequest request{.delimiter = "/", .start_after = "a/1"};
  ASSERT_EQ(list_entries(map_, request).entries.size(), 2u);
  EXPECT_EQ(list_entries(map_, request).entries[0].key, "a/");
  request.start_after = "a/3";
  ASSERT_EQ(list_entries(map_, request).entries.size(), 1u);
  request.start_after = "a/";
  request.start_past_prefix = true;
  EXPECT_EQ(list_entries(map_, request).entries[0].key, "b");
}

TEST_F(Listing, OtherSpacesDoNotShow) {
  add("k");
  add("a", Space::uploads);
  EXPECT_EQ(all("", "", 10), (Names{"k"}));
}

TEST_F(Listing, BytesOf255AndEmptyPages) {
  for (const char* key : {"a", "\xff", "\xff\xff", "\xff\xff/x"}) add(key);
  EXPECT_EQ(all("", "\xff", 1), expected("", "\xff"));
  EXPECT_EQ(all("\xff", "", 1), expected("\xff", ""));
  const ListPage none = list_entries(map_, {.entries_max = 0});
  EXPECT_TRUE(none.entries.empty());
  EXPECT_FALSE(none.truncated);
}

TEST_F(Listing, RandomKeysAndDelimitersAgreeWithAModel) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 60; ++i) {
      std::string key;
      for (uint64_t size = 1 + random() % 7; size > 0; --size) key.push_back("ab/\xff-"[random() % 5]);
      add(key);
    }
    for (const std::string delimiter : {"", "/", "a", "//", "ab", "/a"}) {
      for (const std::string prefix : {"", "a", "a/", "/", "\xff", "ab/-"}) {
        for (const uint32_t page_size : {1u, 3u, 1000u}) {
          ASSERT_EQ(all(prefix, delimiter, page_size), expected(prefix, delimiter))
              << prefix << " " << delimiter;
        }
      }
    }
  }
}

}  // namespace
}  // namespace fb
