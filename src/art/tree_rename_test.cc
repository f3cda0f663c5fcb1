// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "art/cursor.h"
#include "art/memory_source.h"
#include "art/test_keys.h"
#include "art/tree.h"
#include "art/tree_check.h"

namespace fb::art {
namespace {

using Model = std::map<std::string, std::string>;

// A journal that is durable up to the place that a test sets.
struct JournalToWaitFor : MemoryJournal {
  uint64_t durable() const { return durable_; }
  void settle() { durable_ = count(); }

 private:
  uint64_t durable_ = 0;
};

// Now and then a page is not in memory.
class HidingSource : public MemorySource<false> {
 public:
  using MemorySource::MemorySource;
  Frame* find(PageId id) {
    if (hide_ && id.value != loaded_ && random_() % 24 == 0) return nullptr;
    return MemorySource::find(id);
  }
  void load(PageId id) { loaded_ = id.value; }
  void hide(bool on) { hide_ = on; }

 private:
  std::mt19937_64 random_{11};
  uint64_t loaded_ = 0;
  bool hide_ = false;
};

template <class Source>
struct World {
  explicit World(uint32_t page_bytes, TreeOptions options = {})
      : source(page_bytes), gate(1), tree(source, journal, gate, options) {}

  // Loads missing pages until the operation ends.
  template <class Operation>
  Outcome until(Operation&& operation) {
    for (;;) {
      const Answer answer = operation();
      if (answer.outcome != Outcome::missing) return answer.outcome;
      if constexpr (requires { source.load(answer.page); }) source.load(answer.page);
    }
  }
  Outcome rename(std::string_view from, std::string_view to) {
    return until([&] { return tree.rename_prefix(from, to); });
  }
  Outcome put(std::string_view key, std::string_view value) {
    return until([&] { return tree.put(key, value); });
  }
  void hide(bool on) {
    if constexpr (requires { source.hide(on); }) source.hide(on);
  }
  void expect(const Model& model) {
    hide(false);
    const TreeCheck check = verify_tree(source);
    ASSERT_EQ(check.error, "");
    Cursor cursor(source, gate);
    cursor.begin();
    Model found;
    for (Answer answer = cursor.seek(""); answer.outcome == Outcome::done; answer = cursor.next()) {
      found.emplace(cursor.key(), cursor.value());
    }
    ASSERT_EQ(found.size(), model.size());
    ASSERT_EQ(found, model);
    hide(true);
  }

  Source source;
  MemoryJournal journal{true};
  RenameGate gate;
  Tree<Source, MemoryJournal> tree;
};

Outcome model_rename(Model& model, const std::string& from, const std::string& to) {
  const auto has = [&](const std::string& prefix) {
    const auto at = model.lower_bound(prefix);
    return at != model.end() && at->first.starts_with(prefix);
  };
  if (from.empty()) return Outcome::source_missing;
  if (to.starts_with(from)) return Outcome::into_itself;
  if (to.empty()) return Outcome::destination_occupied;
  if (!has(from)) return Outcome::source_missing;
  if (has(to)) return Outcome::destination_occupied;
  Model moved;
  for (auto at = model.lower_bound(from); at != model.end() && at->first.starts_with(from);) {
    moved[to + at->first.substr(from.size())] = at->second;
    at = model.erase(at);
  }
  model.merge(moved);
  return Outcome::done;
}

template <class Source>
void random_renames(uint32_t page_bytes, uint32_t rounds) {
  std::mt19937_64 random(page_bytes);
  World<Source> world(page_bytes);
  Model model;
  std::map<Outcome, uint32_t> outcomes;
  for (uint32_t i = 0; i < rounds; ++i) {
    for (uint32_t k = 0; k < 4; ++k) {
      const std::string key = make_key(k % 2 == 0 ? TestKeys::paths : TestKeys::dates, random);
      const std::string value(random() % 30, 'v');
      ASSERT_EQ(world.put(key, value), Outcome::done);
      model[key] = value;
    }
    const auto at = std::next(model.begin(), static_cast<long>(random() % model.size()));
    std::string from = at->first.substr(0, random() % (at->first.size() + 1));
    if (const size_t slash = from.rfind('/'); slash != std::string::npos && random() % 4 != 0)
      from.resize(slash + 1);
    std::string to = make_key(TestKeys::paths, random) + (random() % 2 == 0 ? "/" : "");
    if (random() % 3 == 0)
      to = std::next(model.begin(), static_cast<long>(random() % model.size()))->first + "x" +
           std::to_string(random() % 100) + "/";
    // Keys grow with each rename into a deeper place.
    if (to.size() > 200) to.resize(10);
    Model after = model;
    const Outcome expected = model_rename(after, from, to);
    const bool too_long =
        std::any_of(after.begin(), after.end(), [](const auto& e) { return e.first.size() > kKeyBytesMax; });
    const Outcome outcome = world.rename(from, to);
    ASSERT_EQ(to_string(outcome), to_string(too_long ? Outcome::key_too_long : expected))
        << printable(from) << " to " << printable(to);
    ++outcomes[outcome];
    if (outcome == Outcome::done) model = std::move(after);
    if (i % 20 == 0) world.expect(model);
    if (testing::Test::HasFatalFailure()) return;
    if (i % 50 == 49) {
      for (uint32_t k = 0; k < 150 && !model.empty(); ++k) {
        const auto victim = std::next(model.begin(), static_cast<long>(random() % model.size()));
        ASSERT_EQ(world.until([&] { return world.tree.erase(victim->first); }), Outcome::done);
        model.erase(victim);
      }
    }
  }
  world.expect(model);
  EXPECT_GT(outcomes[Outcome::done], rounds / 10);
  EXPECT_GT(outcomes[Outcome::destination_occupied], 0u);
  EXPECT_GT(outcomes[Outcome::into_itself], 0u);
}

TEST(Rename, OfRandomPrefixes256) { random_renames<MemorySource<true>>(256, 1000); }
TEST(Rename, OfRandomPrefixes512) { random_renames<MemorySource<true>>(512, 1000); }
TEST(Rename, OfRandomPrefixes4096) { random_renames<MemorySource<true>>(4096, 1000); }
TEST(Rename, WithPagesMissing) { random_renames<HidingSource>(512, 800); }

TEST(Rename, KeepsWhatIsBeside) {
  World<MemorySource<true>> world(1024);
  for (const char* key : {"dir", "dir/", "dir/a", "dir/b/c", "dir2/x", "other"})
    ASSERT_EQ(world.put(key, key), Outcome::done);
  EXPECT_EQ(world.rename("dir/", "moved/"), Outcome::done);
  world.expect({{"dir", "dir"},
                {"dir2/x", "dir2/x"},
                {"moved/", "dir/"},
                {"moved/a", "dir/a"},
                {"moved/b/c", "dir/b/c"},
                {"other", "other"}});
  EXPECT_EQ(world.rename("moved/", "dir2/"), Outcome::destination_occupied);
  EXPECT_EQ(world.rename("moved/", "moved/b/"), Outcome::into_itself);
  EXPECT_EQ(world.rename("moved/b/", "moved/"), Outcome::destination_occupied);
  EXPECT_EQ(world.rename("nothing/", "else/"), Outcome::source_missing);
  EXPECT_EQ(world.rename("mov", "remov"), Outcome::done);
  EXPECT_EQ(world.rename("removed/b/", "b/"), Outcome::done);
  world.expect({{"b/c", "dir/b/c"},
                {"dir", "dir"},
                {"dir2/x", "dir2/x"},
                {"other", "other"},
                {"removed/", "dir/"},
                {"removed/a", "dir/a"}});
}

TEST(Rename, ChangesFewPagesWhateverLiesBeneath) {
  World<MemorySource<true>> world(1024);
  for (uint32_t i = 0; i < 20'000; ++i)
    ASSERT_EQ(world.put("big/" + std::to_string(i * 7919 % 20'000), "value of it"), Outcome::done);
  ASSERT_EQ(world.put("other/x", ""), Outcome::done);
  const uint64_t before = world.journal.count();
  ASSERT_EQ(world.rename("big/", "moved/away/"), Outcome::done);
  ASSERT_EQ(world.journal.count(), before + 1);
  uint32_t pages = 0;
  ChangeReader reader(world.journal.records().back());
  for (ChangePage change; reader.next(change);) ++pages;
  EXPECT_LE(pages, 4u);
  EXPECT_LT(world.journal.records().back().size(), 1200u);
  EXPECT_EQ(verify_tree(world.source).error, "");
}

TEST(Rename, LimitOfLength) {
  constexpr uint32_t kMax = 200;
  World<MemorySource<true>> world(512, {.key_bytes_max = kMax});
  Model model;
  for (uint32_t i = 0; i < 300; ++i) {
    const std::string key = "d/" + std::to_string(i) + std::string(i % 100, 'x');
    ASSERT_EQ(world.put(key, "v"), Outcome::done);
    model[key] = "v";
  }
  size_t longest = 0;
  for (const auto& [key, value] : model) longest = std::max(longest, key.size());
  for (size_t extra = 0; extra < kMax; ++extra) {
    const std::string to = std::string(extra, 'e') + "/";
    const Outcome outcome = world.rename("d/", to);
    const bool fits = longest - 2 + to.size() <= kMax;
    ASSERT_EQ(outcome, fits ? Outcome::done : Outcome::key_too_long) << extra;
    if (fits) ASSERT_EQ(world.rename(to, "d/"), Outcome::done);
  }
  world.expect(model);
}

// Moves objects and their versions, and writes a note about it, in one record; there need not be versions.
TEST(Rename, SeveralMovesAndKeysInOneRecord) {
  World<MemorySource<true>> world(512);
  Model model;
  for (uint32_t i = 0; i < 200; ++i) {
    for (const char* space : {"1dir/", "2dir/", "1other/"}) {
      const std::string key = space + std::to_string(i);
      ASSERT_EQ(world.put(key, "v"), Outcome::done);
      model[key] = "v";
    }
  }
  for (const bool versions : {true, false}) {
    const PrefixMove moves[] = {{versions ? "1dir/" : "1other/", versions ? "1new/" : "1newer/"},
                                {versions ? "2dir/" : "2other/", versions ? "2new/" : "2newer/", true}};
    KeyEdit edit{.key = "5token"};
    const uint64_t before = world.journal.count();
    Answer answer;
    do {
      answer = world.tree.commit({&edit, 1}, moves, [](std::span<KeyEdit> edits) {
        edits[0].decision = {.action = Decision::Action::put, .value = "renamed"};
        return true;
      });
    } while (answer.outcome == Outcome::missing);
    ASSERT_EQ(answer.outcome, Outcome::done);
    EXPECT_GE(world.journal.count(), before + 1);
    model["5token"] = "renamed";
    for (const PrefixMove& move : moves)
      (void)model_rename(model, std::string(move.from), std::string(move.to));
    world.expect(model);
  }
  const PrefixMove nothing{"2absent/", "2there/", true};
  EXPECT_EQ(world.tree.commit({}, {&nothing, 1}, [](std::span<KeyEdit>) { return true; }).outcome,
            Outcome::kept);
}

TEST(Rename, OfAKey) {
  World<MemorySource<true>> world(512);
  Model model;
  for (uint32_t i = 0; i < 500; ++i) {
    ASSERT_EQ(world.put("k" + std::to_string(i), std::to_string(i)), Outcome::done);
    model["k" + std::to_string(i)] = std::to_string(i);
  }
  const auto always = [](const Present&, const Present&) { return true; };
  const auto if_free = [](const Present&, const Present& there) { return !there.exists; };
  EXPECT_EQ(world.tree.rename_key("k7", "k8", if_free).outcome, Outcome::kept);
  EXPECT_EQ(world.tree.rename_key("k7", "k8", always).outcome, Outcome::done);
  EXPECT_EQ(world.tree.rename_key("k7", "k9", always).outcome, Outcome::source_missing);
  EXPECT_EQ(world.tree.rename_key("k9", "new/place", if_free).outcome, Outcome::done);
  model["k8"] = model["k7"];
  model["new/place"] = model["k9"];
  model.erase("k7");
  model.erase("k9");
  world.expect(model);
}

template <class Source>
void random_walks(uint32_t page_bytes, TestKeys keys) {
  std::mt19937_64 random(page_bytes);
  World<Source> world(page_bytes);
  Model model;
  for (uint32_t i = 0; i < 3000; ++i) {
    const std::string key = make_key(keys, random);
    ASSERT_EQ(world.put(key, std::to_string(i)), Outcome::done);
    model[key] = std::to_string(i);
  }
  world.hide(true);
  Cursor cursor(world.source, world.gate);
  for (uint32_t round = 0; round < 300; ++round) {
    std::string goal = make_key(keys, random);
    goal.resize(random() % (goal.size() + 1));
    cursor.begin();
    auto at = model.lower_bound(goal);
    Answer answer = cursor.seek(goal);
    for (uint32_t step = 0; step < 40; ++step) {
      while (answer.outcome == Outcome::missing) {
        if constexpr (requires { world.source.load(answer.page); }) world.source.load(answer.page);
        answer = cursor.again();
      }
      ASSERT_EQ(answer.outcome, at == model.end() ? Outcome::absent : Outcome::done);
      if (at == model.end()) break;
      ASSERT_EQ(cursor.key(), at->first);
      ASSERT_EQ(cursor.value(), at->second);
      // The tree changes under the cursor, not at its key.
      if (random() % 8 == 0) {
        const std::string key = make_key(keys, random);
        if (key != at->first && !model.contains(key)) {
          ASSERT_EQ(world.put(key, "new"), Outcome::done);
          model[key] = "new";
        }
      }
      if (random() % 3 == 0) {
        const auto prefix = static_cast<uint32_t>(random() % (at->first.size() + 1));
        const std::string shared = at->first.substr(0, prefix);
        while (at != model.end() && at->first.starts_with(shared)) ++at;
        answer = cursor.skip(prefix);
      } else {
        ++at;
        answer = cursor.next();
      }
    }
  }
}

TEST(Cursor, WalksAndSkips) {
  for (const TestKeys keys :
       {TestKeys::paths, TestKeys::dates, TestKeys::prefixes, TestKeys::bytes, TestKeys::long_ones}) {
    random_walks<MemorySource<true>>(512, keys);
    random_walks<MemorySource<true>>(4096, keys);
  }
}
TEST(Cursor, WithPagesMissing) { random_walks<HidingSource>(512, TestKeys::paths); }

TEST(Cursor, SeesARenameBetween) {
  World<MemorySource<true>> world(512);
  for (uint32_t i = 0; i < 100; ++i) ASSERT_EQ(world.put("a/" + std::to_string(i), ""), Outcome::done);
  Cursor cursor(world.source, world.gate);
  cursor.begin();
  ASSERT_EQ(cursor.seek("a/").outcome, Outcome::done);
  ASSERT_EQ(world.rename("a/", "b/"), Outcome::done);
  EXPECT_EQ(cursor.next().outcome, Outcome::renamed);
}

// An answer waits only for those renames, among the ones that are not durable, that moved its key.
TEST(Rename, ReadsDependOnRenamesOfTheirKeys) {
  constexpr uint32_t kFolders = 40;
  constexpr uint32_t kKeys = 40;
  MemorySource<true> source(512);
  RenameGate gate(1);
  JournalToWaitFor journal;
  Tree<MemorySource<true>, JournalToWaitFor> tree(source, journal, gate);
  const auto folder = [](char first, uint32_t i) { return fmt::format("{}/{:02}/", first, i); };
  for (uint32_t i = 0; i < kFolders * kKeys; ++i)
    ASSERT_EQ(tree.put(folder('d', i / kKeys) + std::to_string(i), "value").outcome, Outcome::done);
  journal.settle();
  const auto depends_on = [&](const std::string& key) {
    Answer many;
    const std::string_view view = key;
    tree.get_many({&view, 1}, {&many, 1}, [](size_t, uint8_t, std::string_view) {});
    const Answer one = tree.get(key, [](uint8_t, std::string_view) {});
    EXPECT_EQ(many.lsn, one.lsn) << key;
    return one.lsn.position;
  };
  // How many of the keys outside the first `moved` folders wait for `position` or a later one.
  const auto others_waiting = [&](uint32_t moved, uint64_t position) {
    uint32_t waiting = 0;
    for (uint32_t i = moved * kKeys; i < kFolders * kKeys; ++i)
      waiting += depends_on(folder('d', i / kKeys) + std::to_string(i)) >= position;
    return waiting;
  };
  const uint64_t first = tree.rename_prefix(folder('d', 0), folder('e', 0)).lsn.position;
  for (uint32_t i = 0; i < kKeys; ++i) EXPECT_EQ(depends_on(folder('e', 0) + std::to_string(i)), first);
  EXPECT_EQ(depends_on(folder('e', 0) + "absent"), first);
  EXPECT_EQ(depends_on(folder('d', 0) + "0"), first);
  EXPECT_LT(others_waiting(1, first), kFolders * kKeys / 10);  // the pages that changed
  // So many renames that the first is not remembered.
  uint64_t last = 0;
  for (uint32_t i = 1; i < kFolders / 2; ++i) {
    last = tree.rename_prefix(folder('d', i), folder('e', i)).lsn.position;
    EXPECT_EQ(depends_on(folder('e', i) + std::to_string(i * kKeys)), last);
  }
  EXPECT_GE(depends_on(folder('e', 0) + "0"), first);
  EXPECT_EQ(others_waiting(kFolders / 2, first), kFolders / 2 * kKeys);
  journal.settle();
  for (uint32_t i = 0; i < kKeys; ++i) EXPECT_LE(depends_on(folder('e', 1) + std::to_string(i)), last);
}

}  // namespace
}  // namespace fb::art
