// SPDX-License-Identifier: Apache-2.0
#include "nss/entry_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace fb {
namespace {

using Model = std::map<std::pair<uint8_t, std::string>, std::pair<uint64_t, std::string>>;

void expect_equal(const EntryMap& map, const Model& model) {
  map.verify();
  ASSERT_EQ(map.size(), model.size());
  auto expected = model.begin();
  for (auto i = map.begin(); !i.at_end(); i.next(), ++expected) {
    ASSERT_EQ(static_cast<uint8_t>(i->space()), expected->first.first);
    ASSERT_EQ(i->path(), expected->first.second);
    ASSERT_EQ(i->version().value, expected->second.first);
    ASSERT_EQ(i->record(), expected->second.second);
  }
}

std::string random_path(std::mt19937_64& random) {
  std::string path = random() % 3 == 0 ? "" : "a/long/shared/prefix/";
  for (size_t size = random() % 6; size > 0; --size)
    path.push_back(std::string_view("ab/\xff\0", 5)[random() % 5]);
  return path;
}

TEST(EntryMap, RandomOperationsAgreeWithAModel) {
  for (const bool shrinking : {false, true}) {
    std::mt19937_64 random(shrinking);
    EntryMap map;
    Model model;
    for (uint64_t step = 1; step <= 60'000; ++step) {
      const auto space = static_cast<Space>(1 + random() % 3);
      const std::string path = random_path(random);
      const auto key = std::pair(static_cast<uint8_t>(space), path);
      const bool erase = random() % 10 < (shrinking && step > 30'000 ? 9u : 4u);
      if (erase) {
        Entry* removed = map.remove({space, path});
        ASSERT_EQ(removed != nullptr, model.erase(key) == 1);
        if (removed != nullptr) Entry::free(removed);
      } else {
        const std::string record = std::to_string(step);
        Entry* replaced = map.put(Entry::make({space, path}, {step}, record));
        ASSERT_EQ(replaced != nullptr, model.contains(key));
        if (replaced != nullptr) Entry::free(replaced);
        model[key] = {step, record};
      }
      const auto bound = map.lower_bound({space, path});
      const auto expected = model.lower_bound(key);
      ASSERT_EQ(bound.at_end(), expected == model.end());
      if (expected != model.end()) ASSERT_EQ(bound->path(), expected->first.second);
      if (step % 997 == 0) expect_equal(map, model);
    }
    expect_equal(map, model);
  }
}

TEST(EntryMap, AscendingAndDescendingInsertsAndRemovals) {
  for (const bool ascending : {true, false}) {
    EntryMap map;
    const auto name = [&](int i) { return std::to_string(1'000'000 + (ascending ? i : -i)); };
    for (int i = 0; i < 20'000; ++i)
      ASSERT_EQ(map.put(Entry::make({Space::objects, name(i)}, {1}, "")), nullptr);
    map.verify();
    for (int i = 0; i < 20'000; ++i) {
      Entry* removed = map.remove({Space::objects, name(i)});
      ASSERT_NE(removed, nullptr);
      Entry::free(removed);
      if (i % 1000 == 0) map.verify();
    }
    EXPECT_EQ(map.size(), 0u);
    EXPECT_TRUE(map.begin().at_end());
  }
}

}  // namespace
}  // namespace fb
