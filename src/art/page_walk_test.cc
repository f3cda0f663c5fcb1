// SPDX-License-Identifier: Apache-2.0
#include "art/page_walk.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "art/memory_source.h"
#include "art/test_keys.h"
#include "art/tree.h"
#include "art/tree_check.h"

namespace fb::art {
namespace {

constexpr TestKeys kAllKeys[] = {TestKeys::paths,    TestKeys::urls,      TestKeys::uuids, TestKeys::dates,
                                 TestKeys::prefixes, TestKeys::long_ones, TestKeys::bytes};

struct World {
  explicit World(uint32_t page_bytes) : source(page_bytes), gate(1), tree(source, journal, gate) {}
  using Walk = PageWalk<MemorySource<true>>;

  void fill(TestKeys keys, int count, std::mt19937_64& random) {
    for (int i = 0; i < count; ++i) {
      const std::string key = make_key(keys, random);
      model[key] = std::string(random() % 60, 'v');
      EXPECT_EQ(tree.put(key, model[key]).outcome, Outcome::done);
    }
  }
  // Erases nine tenths of the keys, two in each commit; such commits join no pages.
  void thin_out(std::mt19937_64& random) {
    std::vector<std::string> gone;
    for (const auto& [key, value] : model) {
      if (random() % 10 != 0) gone.push_back(key);
    }
    std::ranges::shuffle(gone, random);
    for (size_t i = 0; i + 1 < gone.size(); i += 2) {
      KeyEdit edits[] = {{.key = gone[i]}, {.key = gone[i + 1]}};
      const Answer erased = tree.commit(edits, {}, [](std::span<KeyEdit> both) {
        for (KeyEdit& edit : both) edit.decision.action = Decision::Action::erase;
        return true;
      });
      EXPECT_EQ(erased.outcome, Outcome::done);
      model.erase(gone[i]);
      model.erase(gone[i + 1]);
    }
  }
  void expect_model() {
    const TreeCheck check = verify_tree(source);
    ASSERT_EQ(check.error, "");
    ASSERT_EQ(check.values, model.size());
    for (const auto& [key, value] : model) {
      std::string found;
      ASSERT_EQ(tree.get(key, [&](uint8_t, std::string_view bytes) { found = bytes; }).outcome,
                Outcome::done);
      ASSERT_EQ(found, value);
    }
  }

  MemorySource<true> source;
  MemoryJournal journal;
  RenameGate gate;
  Tree<MemorySource<true>, MemoryJournal> tree;
  std::map<std::string, std::string> model;
};

TEST(PageWalk, MeetsEveryPageOnceInOrderAndKnowsTheWayToIt) {
  for (const TestKeys keys : kAllKeys) {
    std::mt19937_64 random(1);
    World world(512);
    world.fill(keys, 2000, random);
    World::Walk walk(world.source);
    std::set<uint64_t> met;
    std::string last;
    for (;; walk.pass()) {
      const Answer answer = walk.find();
      if (answer.outcome == Outcome::absent) break;
      ASSERT_EQ(answer.outcome, Outcome::done);
      const auto& place = walk.place();
      ASSERT_TRUE(met.insert(answer.page.value).second) << to_string(keys);
      ASSERT_EQ(place.path.back().frame, world.source.find(answer.page));
      // A byte of zero also stands for the keys that end where a range begins.
      std::string first = place.key;
      if (place.path.back().by_range && first.back() == '\0') first.pop_back();
      ASSERT_GE(first, last);
      last = first;
      Path path;
      Stop stop;
      PageId page;
      ASSERT_EQ(descend(world.source, place.key, false, path, stop, page), Found::arrived);
      ASSERT_GE(path.size(), place.path.size());
      for (size_t i = 0; i < place.path.size(); ++i) ASSERT_EQ(path[i].frame, place.path[i].frame);
    }
    EXPECT_EQ(met.size(), world.source.pages());
  }
}

TEST(PageWalk, JoinsWhatErasesHaveLeftSparse) {
  for (const TestKeys keys : kAllKeys) {
    std::mt19937_64 random(2);
    World world(1024);
    world.fill(keys, 6000, random);
    const size_t full = world.source.pages();
    world.thin_out(random);
    const size_t sparse = world.source.pages();
    World::Walk walk(world.source);
    uint64_t changes = 0;
    for (uint64_t splits = 0;;) {
      const Answer answer = walk.find();
      if (answer.outcome == Outcome::absent) break;
      ASSERT_EQ(answer.outcome, Outcome::done);
      const auto& place = walk.place();
      const uint32_t joined = place.sparse ? world.tree.merge_along(place.path, place.key) : 0;
      changes += joined;
      ASSERT_LT(changes, 2 * full);
      if (joined != 0) continue;
      if (place.sparse && splits++ < 3 && world.tree.split_above(place.path, place.key)) continue;
      splits = 0;
      walk.pass();
    }
    world.expect_model();
    World fresh(1024);
    for (const auto& [key, value] : world.model) fresh.tree.put(key, value);
    GTEST_LOG_(INFO) << fmt::format(
        "{}: {} pages, {} after erasing 90 %, {} after the walk, {} in a new tree", to_string(keys), full,
        sparse, world.source.pages(), fresh.source.pages());
    // With shared reads (ThreadSanitizer) a change shares less with neighbours: it holds its path itself.
    if (!kSharedReads) EXPECT_LE(world.source.pages(), 2 + fresh.source.pages() * 3 / 2);
  }
}

}  // namespace
}  // namespace fb::art
