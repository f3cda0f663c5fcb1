// SPDX-License-Identifier: Apache-2.0
// Lets another core act exactly at a named point in the middle of an operation.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "art/cursor.h"
#include "art/memory_source.h"
#include "art/tree.h"
#include "art/tree_check.h"

namespace fb::art {
namespace {

// Pages that two cores share; at each point of the first one `at_point` is called.
class SharedSource {
 public:
  static constexpr bool kSwizzles = true;
  explicit SharedSource(MemorySource<true>& pages) : pages_(pages) {}
  Frame* root() { return pages_.root(); }
  Frame* find(PageId id) { return pages_.find(id); }
  Frame* create() { return pages_.create(); }
  void discard(Frame& frame) { pages_.discard(frame); }
  void retire(Frame& frame) { pages_.retire(frame); }
  void changed(Frame& frame) { pages_.changed(frame); }
  void pause() {}
  void point(const char* name) {
    if (at_point) at_point(name);
  }
  std::function<void(std::string_view)> at_point;

 private:
  MemorySource<true>& pages_;
};
using SharedTree = Tree<SharedSource, MemoryJournal>;

struct TwoCores {
  TwoCores()
      : pages(512),
        gate(2),
        source(pages),
        other_source(pages),
        tree(source, journal, gate, {.core = 0}),
        other(other_source, journal, gate, {.core = 1}) {}
  // The other core runs `action` when the first one comes to the point for the n-th time.
  template <class Action>
  void at(std::string_view name, int n, Action action) {
    source.at_point = [this, name, n, action](std::string_view reached) mutable {
      if (reached != name || --n != 0) return;
      happened = true;
      action();
    };
  }
  std::string read(std::string_view key, Answer& answer) {
    std::string value;
    answer = tree.get(key, [&](uint8_t, std::string_view bytes) { value = bytes; });
    return value;
  }
  MemorySource<true> pages;
  MemoryJournal journal;
  RenameGate gate;
  SharedSource source, other_source;
  SharedTree tree, other;
  bool happened = false;
};

std::string key_of(int i) { return "key/" + std::to_string(100 + i); }
std::string value_of(int i) { return std::string(30, static_cast<char>('a' + i % 26)); }
constexpr int kKeys = 60;

void fill(TwoCores& cores, int keys = kKeys) {
  for (int i = 0; i < keys; ++i) ASSERT_EQ(cores.other.put(key_of(i), value_of(i)).outcome, Outcome::done);
  ASSERT_GT(cores.pages.pages(), 3u);
}
// Leaves only one key: pages leave the tree.
void erase_others(TwoCores& cores, int kept) {
  for (int i = 0; i < kKeys; ++i) {
    if (i == kept) continue;
    ASSERT_EQ(cores.other.erase(key_of(i)).outcome, Outcome::done);
  }
}

// A page that leaves its tree between the read of its link and the look for its frame must not be reported
// missing: the store does not have it.
TEST(TreePoints, APageThatLeavesTheTreeIsNotMissing) {
  // With shared reads (ThreadSanitizer) the read under way holds its page, and both cores here are one
  // thread.
  if (kSharedReads) GTEST_SKIP() << "the other core would wait for this one";
  int found = 0;
  for (int i = 0; i < kKeys; ++i) {
    for (int n = 1; n <= 2; ++n) {
      TwoCores reading;
      fill(reading);
      reading.at("art.find", n, [&] { erase_others(reading, i); });
      Answer answer;
      EXPECT_EQ(reading.read(key_of(i), answer), value_of(i));
      EXPECT_EQ(answer.outcome, Outcome::done) << i;
      found += reading.happened;

      TwoCores writing;
      fill(writing);
      writing.at("art.find", n, [&] { erase_others(writing, i); });
      EXPECT_EQ(writing.tree.put(key_of(i), "new").outcome, Outcome::done) << i;
      EXPECT_EQ(writing.read(key_of(i), answer), "new");

      TwoCores listing;
      fill(listing);
      listing.at("art.find", n, [&] { erase_others(listing, i); });
      Cursor cursor(listing.source, listing.gate);
      cursor.begin();
      EXPECT_EQ(cursor.seek(key_of(i)).outcome, Outcome::done) << i;
      EXPECT_EQ(cursor.key(), key_of(i));

      TwoCores many;
      fill(many);
      many.at("art.find", n, [&] { erase_others(many, i); });
      const std::string key = key_of(i);
      const std::string_view keys[] = {key};
      Answer answers[1];
      many.tree.get_many(keys, answers, [](size_t, uint8_t, std::string_view) {});
      EXPECT_EQ(answers[0].outcome, Outcome::done) << i;
    }
  }
  EXPECT_GT(found, 5);
}

// A rename of the folder at any point of an operation on a key in it takes effect before or after the
// operation, never in between.
TEST(TreePoints, ARenameComesBeforeOrAfter) {
  // With shared reads (ThreadSanitizer) the read under way holds its page, and both cores here are one
  // thread.
  if (kSharedReads) GTEST_SKIP() << "the other core would wait for this one";
  constexpr int kMoreKeys = 400;  // three levels of pages; the rename changes the first
  for (const bool writes : {false, true}) {
    std::map<std::string, int> points;
    {
      TwoCores cores;
      fill(cores, kMoreKeys);
      ASSERT_GE(verify_tree(cores.pages).depth_pages, 3u);
      cores.source.at_point = [&](std::string_view name) { ++points[std::string(name)]; };
      if (writes) {
        EXPECT_EQ(cores.tree.put(key_of(7), "new").outcome, Outcome::done);
      } else {
        Answer answer;
        EXPECT_EQ(cores.read(key_of(7), answer), value_of(7));
      }
    }
    ASSERT_GE(points.size(), 3u);
    for (const auto& [name, count] : points) {
      // At these points the first core holds its slot, or a latch that the rename needs, and the test cannot
      // wait for it.
      if (name.starts_with("art.gate") || name.starts_with("art.mutate") || name.starts_with("art.swizzle"))
        continue;
      for (int n = 1; n <= count; ++n) {
        TwoCores cores;
        fill(cores, kMoreKeys);
        const std::string moved = "moved/there/" + key_of(7).substr(4);
        cores.at(name, n, [&] {
          EXPECT_EQ(cores.other.rename_prefix("key/", "moved/there/").outcome, Outcome::done);
          EXPECT_EQ(cores.other.put(moved, "newer").outcome, Outcome::done);
        });
        Answer answer;
        if (writes) {
          EXPECT_EQ(cores.tree.put(key_of(7), "new").outcome, Outcome::done);
          EXPECT_TRUE(cores.happened);
          cores.source.at_point = nullptr;
          EXPECT_EQ(cores.read(key_of(7), answer), "new") << name << " " << n;
          EXPECT_EQ(cores.read(moved, answer), "newer");
        } else {
          // An answer from the page that moved with the folder would be the value that was put elsewhere.
          (void)cores.read(key_of(7), answer);
          EXPECT_TRUE(cores.happened);
          EXPECT_EQ(answer.outcome, Outcome::absent) << name << " " << n;
          EXPECT_GE(answer.lsn, cores.gate.last_rename());
        }
        EXPECT_EQ(verify_tree(cores.pages).error, "");
      }
    }
  }
}

}  // namespace
}  // namespace fb::art
