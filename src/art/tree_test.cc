// SPDX-License-Identifier: Apache-2.0
#include "art/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "art/memory_source.h"
#include "art/test_keys.h"
#include "art/tree_check.h"

namespace fb::art {
namespace {

using Model = std::map<std::string, std::string>;

template <bool Swizzles>
struct World {
  explicit World(uint32_t page_bytes) : source(page_bytes), gate(1), tree(source, journal, gate) {}

  std::string get(std::string_view key) {
    std::string value;
    const Answer answer = tree.get(key, [&](uint8_t, std::string_view bytes) { value = bytes; });
    return answer.outcome == Outcome::done ? value : "(" + std::string(to_string(answer.outcome)) + ")";
  }
  void expect(const Model& model) {
    const TreeCheck check = verify_tree(source);
    ASSERT_EQ(check.error, "");
    ASSERT_EQ(check.values, model.size());
    for (const auto& [key, value] : model) ASSERT_EQ(get(key), value) << printable(key);
    expect_many(model);
  }
  // Looks up all keys in one call, and as many absent ones.
  void expect_many(const Model& model) {
    std::vector<std::string> texts;
    for (const auto& [key, value] : model) {
      texts.push_back(key);
      texts.push_back(key + "!absent");
    }
    std::shuffle(texts.begin(), texts.end(), std::mt19937_64(model.size()));
    const std::vector<std::string_view> keys(texts.begin(), texts.end());
    std::vector<Answer> answers(keys.size());
    std::vector<std::string> values(keys.size());
    tree.get_many(keys, answers, [&](size_t i, uint8_t, std::string_view bytes) { values[i] = bytes; });
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto at = model.find(texts[i]);
      ASSERT_EQ(answers[i].outcome, at != model.end() ? Outcome::done : Outcome::absent)
          << printable(keys[i]);
      if (at == model.end()) continue;
      ASSERT_EQ(values[i], at->second) << printable(keys[i]);
      ASSERT_GT(answers[i].lsn, Lsn{});
    }
  }

  MemorySource<Swizzles> source;
  MemoryJournal journal{true};
  RenameGate gate;
  Tree<MemorySource<Swizzles>, MemoryJournal> tree;
};

struct Case {
  uint32_t page_bytes;
  TestKeys keys;
};
class Trees : public testing::TestWithParam<std::tuple<uint32_t, TestKeys>> {};
INSTANTIATE_TEST_SUITE_P(All, Trees,
                         testing::Combine(testing::Values(256, 512, 1024, 4096),
                                          testing::Values(TestKeys::paths, TestKeys::urls, TestKeys::uuids,
                                                          TestKeys::dates, TestKeys::unicode,
                                                          TestKeys::prefixes, TestKeys::long_ones,
                                                          TestKeys::bytes)),
                         [](const auto& info) {
                           return std::to_string(std::get<0>(info.param)) + "_" +
                                  std::string(to_string(std::get<1>(info.param)));
                         });

TEST_P(Trees, AreMaps) {
  const auto [page_bytes, keys] = GetParam();
  std::mt19937_64 random(page_bytes * 100 + static_cast<uint32_t>(keys));
  World<true> world(page_bytes);
  Model model;
  const uint32_t rounds = 6000;
  for (uint32_t i = 0; i < rounds; ++i) {
    const std::string key = make_key(keys, random);
    const bool growing = i % 3000 < 2000;
    if (random() % 4 != (growing ? 0 : 1) && (growing || random() % 2 == 0)) {
      const std::string value(random() % (page_bytes / 8), static_cast<char>('a' + random() % 26));
      ASSERT_EQ(world.tree.put(key, value).outcome, Outcome::done) << printable(key);
      model[key] = value;
    } else {
      // A present key, more often than not.
      auto at = model.lower_bound(key);
      const std::string victim = at != model.end() && random() % 8 != 0 ? at->first : key;
      const bool there = model.erase(victim) == 1;
      ASSERT_EQ(world.tree.erase(victim).outcome, there ? Outcome::done : Outcome::kept);
      ASSERT_EQ(world.get(victim), "(absent)");
    }
    if (i % 500 == 0) world.expect(model);
    if (HasFatalFailure()) return;
  }
  world.expect(model);
  while (!model.empty()) {
    const std::string key =
        std::next(model.begin(), static_cast<long>(random() % std::min<size_t>(model.size(), 50)))->first;
    ASSERT_EQ(world.tree.erase(key).outcome, Outcome::done);
    model.erase(key);
  }
  world.expect(model);
  EXPECT_EQ(world.source.pages(), 1u);
}

// Any subset of pages as they were at any earlier time, with the later records redone, gives the same bytes.
TEST(Redo, GivesTheSameBytes) {
  std::mt19937_64 random(7);
  World<true> world(512);
  std::map<uint64_t, std::vector<std::byte>> flushed;
  for (uint32_t i = 0; i < 4000; ++i) {
    const std::string key = make_key(TestKeys::paths, random);
    if (random() % 3 != 0) {
      ASSERT_EQ(world.tree.put(key, std::string(random() % 40, 'v')).outcome, Outcome::done);
    } else {
      (void)world.tree.erase(key);
    }
    if (i % 50 != 0) continue;
    for (const auto& [id, frame] : world.source.frames()) {
      if (random() % 4 == 0) {
        flushed[id].resize(512);
        write_page_image(PageView(*frame), flushed[id].data());
      }
    }
  }
  uint64_t lsn = 0;
  for (const std::string& record : world.journal.records()) {
    ++lsn;
    ChangeReader reader(record);
    for (ChangePage change; reader.next(change);) {
      auto& bytes = flushed[change.page.value];
      bytes.resize(512);
      if (change.action == ChangePage::Action::change && PageView(bytes.data(), 512).header().magic == 0)
        continue;
      const auto redone = redo(PageEditor(bytes.data(), 512), change, {1, lsn});
      ASSERT_TRUE(redone) << redone.error().to_string();
    }
    ASSERT_TRUE(reader.ok());
  }
  for (const auto& [id, frame] : world.source.frames()) {
    std::vector<std::byte> now(512);
    write_page_image(PageView(*frame), now.data());
    auto& then = flushed[id];
    if (PageView(then.data(), 512).header().magic == 0) {
      PageEditor(then.data(), 512).format({id});  // the root page, which no record created
    }
    std::vector<std::byte> redone(512);
    write_page_image(PageView(then.data(), 512), redone.data());
    ASSERT_EQ(now, redone) << page_to_string(PageView(*frame)) << page_to_string(PageView(then.data(), 512));
  }
}

// If pages are divided between many small children, a full page first gives to its neighbours.
TEST(Tree, NeighboursShare) {
  std::mt19937_64 random(2);
  World<true> world(16 * 1024);
  for (uint32_t i = 0; i < 3'000; ++i) {
    std::string key = "k/";
    for (int byte = 0; byte < 12; ++byte) key.push_back(static_cast<char>(random()));
    ASSERT_EQ(world.tree.put(key, std::string(200, 'v')).outcome, Outcome::done);
  }
  const TreeCheck check = verify_tree(world.source);
  ASSERT_EQ(check.error, "");
  EXPECT_GE(check.fill(), 0.77);
  GTEST_LOG_(INFO) << fmt::format("fill {:.3f}, {} pages", check.fill(), check.pages);
}

// Keys of the benchmarks, with directories of 1,000 and of 100: bytes a key in pages of 16 KiB. No page with
// almost only links is left between the directory's pages and the one above.
TEST(Tree, SpaceAfterRandomInserts) {
  for (const uint32_t classes : {100u, 1000u}) {
    constexpr uint32_t kKeys = 200'000;
    std::mt19937_64 random(1);
    World<true> world(16 * 1024);
    for (uint32_t i = 0; i < kKeys; ++i) {
      const std::string key = fmt::format("datasets/imagenet-{:02}/train/class-{:04}/shard-{:03}/{:016x}.jpg",
                                          random() % 2, random() % classes, random() % 100, random());
      ASSERT_EQ(world.tree.put(key, std::string(205, 'v')).outcome, Outcome::done);
    }
    const TreeCheck check = verify_tree(world.source);
    ASSERT_EQ(check.error, "");
    const double bytes = static_cast<double>(check.pages) * 16 * 1024 / kKeys;
    // With shared reads (ThreadSanitizer) a change shares less with neighbours: it holds its path itself.
    if (!kSharedReads) EXPECT_LE(bytes, 332) << classes;
    EXPECT_LE(check.depth_pages, kSharedReads ? 5u : 4u);
    GTEST_LOG_(INFO) << fmt::format("{} classes: {:.1f} bytes/key, fill {:.3f}", classes, bytes,
                                    check.fill());
  }
}

// Pages are two thirds full after random inserts, and do not get nearly empty after random deletes.
TEST(Tree, PagesAreFilled) {
  std::mt19937_64 random(1);
  World<true> world(16 * 1024);
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < 60'000; ++i) {
    keys.push_back(fmt::format("datasets/imagenet-{:02}/train/class-{:04}/{:016x}.jpg", random() % 3,
                               random() % 100, random()));
    ASSERT_EQ(world.tree.put(keys.back(), std::string(200, 'v')).outcome, Outcome::done);
  }
  const TreeCheck full = verify_tree(world.source);
  ASSERT_EQ(full.error, "");
  EXPECT_GE(full.fill(), 2.0 / 3);
  // One page has room for links to all pages, and those beneath for the values; a few directories need a page
  // of their own.
  EXPECT_LE(full.depth_pages, 4u);
  std::shuffle(keys.begin(), keys.end(), random);
  for (uint32_t i = 0; i < 50'000; ++i) ASSERT_EQ(world.tree.erase(keys[i]).outcome, Outcome::done);
  const TreeCheck sparse = verify_tree(world.source);
  ASSERT_EQ(sparse.error, "");
  EXPECT_EQ(sparse.values, 10'000u);
  EXPECT_GE(sparse.fill(), 0.45);
}

// The largest values at the longest keys: a split always makes room in the end.
TEST(Tree, TakesTheLargestValues) {
  for (const uint32_t page_bytes : {256u, 512u, 1024u, 4096u, 16384u, 65536u}) {
    std::mt19937_64 random(page_bytes);
    World<true> world(page_bytes);
    Model model;
    for (uint32_t i = 0; i < 300; ++i) {
      std::string key = make_key(i % 3 == 0 ? TestKeys::prefixes : TestKeys::long_ones, random);
      if (i % 5 == 0) key.resize(kKeyBytesMax, static_cast<char>(random()));
      const std::string value(value_bytes_max(page_bytes), static_cast<char>('a' + i % 26));
      ASSERT_EQ(world.tree.put(key, value).outcome, Outcome::done) << page_bytes << " " << i;
      model[key] = value;
    }
    world.expect(model);
    while (!model.empty()) {
      ASSERT_EQ(world.tree.erase(model.begin()->first).outcome, Outcome::done);
      model.erase(model.begin());
    }
    world.expect(model);
    EXPECT_EQ(world.source.pages(), 1u);
  }
}

// A source that lacks the pages it is told to lack, and lets others act in between.
class DisturbedSource : public MemorySource<true> {
 public:
  using MemorySource::MemorySource;
  Frame* find(PageId id) { return lacks && lacks(id) ? nullptr : MemorySource::find(id); }
  void point(const char* name) {
    if (on_point && std::string_view(name) == "art.get_many") on_point();
  }
  std::function<bool(PageId)> lacks;
  std::function<void()> on_point;
};

struct DisturbedWorld {
  explicit DisturbedWorld(uint32_t keys) {
    for (uint32_t i = 0; i < keys; ++i) {
      texts.push_back("folder/" + std::to_string(i * 7919 % keys) + "/object");
      EXPECT_EQ(tree.put(texts.back(), "first " + texts.back()).outcome, Outcome::done);
    }
    views.assign(texts.begin(), texts.end());
    answers.resize(keys);
    values.resize(keys);
  }
  void get_many() {
    tree.get_many(views, answers, [&](size_t i, uint8_t, std::string_view bytes) { values[i] = bytes; });
  }
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
  std::vector<Answer> answers;
  std::vector<std::string> values;
  DisturbedSource source{512};
  MemoryJournal journal;
  RenameGate gate{2};
  Tree<DisturbedSource, MemoryJournal> tree{source, journal, gate};
};

// Keys change while look-ups take turns: the look-ups start again, and each sees the old value or the new
// one.
TEST(GetMany, MeetsChanges) {
  // With shared reads, the look-ups under way hold the latches that the changes need, and all of it is one
  // thread.
  if (kSharedReads) GTEST_SKIP();
  DisturbedWorld world(1000);
  std::mt19937_64 random(5);
  Tree<DisturbedSource, MemoryJournal> other(world.source, world.journal, world.gate, {.core = 1});
  uint32_t changes = 0;
  world.source.on_point = [&] {
    if (random() % 2 != 0) return;
    ++changes;
    const std::string& key = world.texts[random() % world.texts.size()];
    EXPECT_EQ(other.put(key, "second " + key).outcome, Outcome::done);
    EXPECT_EQ(other.put(key + std::to_string(changes), "another").outcome, Outcome::done);
    if (changes % 16 != 0) return;
    EXPECT_EQ(other.rename_prefix("folder/", "moved/").outcome, Outcome::done);
    EXPECT_EQ(other.rename_prefix("moved/", "folder/").outcome, Outcome::done);
  };
  for (uint32_t round = 0; round < 3; ++round) {
    world.get_many();
    for (size_t i = 0; i < world.texts.size(); ++i) {
      ASSERT_EQ(world.answers[i].outcome, Outcome::done) << world.texts[i];
      const std::string& value = world.values[i];
      ASSERT_TRUE(value == "first " + world.texts[i] || value == "second " + world.texts[i]) << value;
    }
  }
  EXPECT_GT(changes, 100u);
  EXPECT_EQ(verify_tree(world.source).error, "");
}

TEST(GetMany, SomeAreMissingAPage) {
  DisturbedWorld world(1000);
  // A rename's new pages, and links that a split has moved, are page ids until someone has followed them.
  ASSERT_EQ(world.tree.rename_prefix("folder/5", "elsewhere/5").outcome, Outcome::done);
  ASSERT_EQ(world.tree.rename_prefix("elsewhere/5", "folder/5").outcome, Outcome::done);
  world.source.lacks = [](PageId id) { return id.value % 2 == 0; };
  world.get_many();
  uint32_t missing = 0;
  for (size_t i = 0; i < world.texts.size(); ++i) {
    if (world.answers[i].outcome == Outcome::missing) {
      ++missing;
      ASSERT_EQ(world.answers[i].page.value % 2, 0u);
    } else {
      ASSERT_EQ(world.answers[i].outcome, Outcome::done);
      ASSERT_EQ(world.values[i], "first " + world.texts[i]);
    }
  }
  EXPECT_GT(missing, 0u);
  EXPECT_LT(missing, world.texts.size());
  world.source.lacks = nullptr;
  world.get_many();
  for (const Answer& answer : world.answers) EXPECT_EQ(answer.outcome, Outcome::done);
}

// Links carry the flags of all keys beneath them.
TEST(Tree, FlagsStick) {
  World<true> world(512);
  for (uint32_t i = 0; i < 2000; ++i) {
    const std::string key = "f/" + std::to_string(i * 7919 % 2000);
    const uint8_t flags = i == 1000 ? 1 : 0;
    ASSERT_EQ(world.tree
                  .mutate(key,
                          [&](const Present&) {
                            return Decision{
                                .action = Decision::Action::put, .value = "v", .link_flags = flags};
                          })
                  .outcome,
              Outcome::done);
  }
  ASSERT_EQ(world.tree.rename_prefix("f/", "g/h/").outcome, Outcome::done);
  ASSERT_EQ(verify_tree(world.source).error, "");
  Path path;
  Stop stop;
  PageId page;
  const std::string key = "g/h/" + std::to_string(1000u * 7919 % 2000);
  ASSERT_EQ(descend(world.source, key, false, path, stop, page), Found::arrived);
  ASSERT_GT(path.size(), 1u);
  for (size_t i = 1; i < path.size(); ++i) EXPECT_EQ(path[i].flags, 1) << i;
}

TEST(Tree, ConditionsSeeTheValue) {
  World<false> world(1024);
  const auto if_absent = [&](std::string_view key, std::string_view value) {
    return world.tree
        .mutate(key,
                [&](const Present& present) {
                  if (present.exists) return Decision{};
                  return Decision{.action = Decision::Action::put, .value = value};
                })
        .outcome;
  };
  EXPECT_EQ(if_absent("k", "1"), Outcome::done);
  EXPECT_EQ(if_absent("k", "2"), Outcome::kept);
  EXPECT_EQ(world.get("k"), "1");
  EXPECT_EQ(world.tree.put("k", std::string(300, 'x')).outcome, Outcome::too_large);
  EXPECT_EQ(world.tree.put(std::string(kKeyBytesMax + 1, 'k'), "").outcome, Outcome::too_large);
  EXPECT_EQ(world.tree.put("s", "reference", kValueSpilled).outcome, Outcome::done);
  uint8_t flags = 0;
  EXPECT_EQ(world.tree.get("s", [&](uint8_t f, std::string_view) { flags = f; }).outcome, Outcome::done);
  EXPECT_EQ(flags, kValueSpilled);
}

TEST(Tree, SeveralKeysInOneRecord) {
  World<true> world(512);
  Model model;
  std::mt19937_64 random(3);
  for (uint32_t round = 0; round < 2000; ++round) {
    std::vector<std::string> keys;
    for (uint32_t i = 0; i < 1 + random() % 4; ++i) {
      const std::string key = make_key(TestKeys::paths, random);
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
    std::vector<KeyEdit> edits;
    edits.reserve(keys.size());
    for (const std::string& key : keys) edits.push_back({.key = key});
    const bool erase = random() % 3 == 0;
    const std::string value(random() % 50, 'v');
    const uint64_t before = world.journal.count();
    const Answer answer = world.tree.commit(edits, {}, [&](std::span<KeyEdit> all) {
      for (KeyEdit& edit : all) {
        EXPECT_EQ(edit.present.exists, model.contains(std::string(edit.key)));
        edit.decision = {.action = erase ? Decision::Action::erase : Decision::Action::put, .value = value};
      }
      return true;
    });
    for (const std::string& key : keys) {
      if (erase) {
        model.erase(key);
      } else {
        model[key] = value;
      }
    }
    if (answer.outcome == Outcome::done) ASSERT_GT(world.journal.count(), before);
    if (round % 100 == 0) world.expect(model);
    if (HasFatalFailure()) return;
  }
  world.expect(model);
}

}  // namespace
}  // namespace fb::art
