// SPDX-License-Identifier: Apache-2.0
// The radix tree under all cores at once: readers, writers, renames and listings over the same small pages,
// so that latches, splits, merges and the rename gate meet all the time. Run it under ThreadSanitizer, where
// optimistic reads are shared latches. It stands here because src/art knows no threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>

#include "art/cursor.h"
#include "art/tree.h"
#include "art/tree_check.h"
#include "io/runtime.h"

namespace fb::art {
namespace {

#if defined(FB_SANITIZE)
constexpr uint32_t kRounds = 3'000;
#else
constexpr uint32_t kRounds = 20'000;
#endif
constexpr uint32_t kCores = 4;
constexpr uint32_t kPageBytes = 512;
constexpr uint32_t kFramesMax = 100'000;
constexpr uint32_t kPagesMax = 4'000'000;

// Pages of all cores. Frames are never given back, only used again.
struct SharedPages {
  SharedPages() : frames(kFramesMax), bytes(size_t{kFramesMax} * kPageBytes), table(kPagesMax) {
    for (uint32_t i = 0; i < kFramesMax; ++i) {
      frames[i].bytes = bytes.data() + size_t{i} * kPageBytes;
      frames[i].page_bytes = kPageBytes;
    }
  }
  std::vector<Frame> frames;
  std::vector<std::byte> bytes;
  std::vector<std::atomic<Frame*>> table;
  std::atomic<uint32_t> next_frame{0};
  std::atomic<uint64_t> last_id{0};
  Frame* root = nullptr;
};

class CoreSource {
 public:
  static constexpr bool kSwizzles = true;
  explicit CoreSource(SharedPages& shared) : shared_(shared) {}
  Frame* root() { return shared_.root; }
  Frame* find(PageId id) { return shared_.table[id.value].load(std::memory_order_acquire); }
  Frame* create() {
    Frame* frame = nullptr;
    for (size_t i = 0; i < free_.size() && frame == nullptr; ++i) {
      if (!free_[i]->latch.try_exclusive()) continue;
      frame = free_[i];
      free_[i] = free_.back();
      free_.pop_back();
    }
    if (frame == nullptr) {
      const uint32_t next = shared_.next_frame.fetch_add(1);
      if (next >= kFramesMax) return nullptr;
      frame = &shared_.frames[next];
      const bool latched = frame->latch.try_exclusive();
      FB_ASSERT(latched);
    }
    const PageId id{shared_.last_id.fetch_add(1) + 1};
    FB_ASSERT(id.value < kPagesMax, id.value);
    frame->page_id.store(id, std::memory_order_relaxed);
    frame->parent.store(nullptr, std::memory_order_relaxed);
    PageEditor(*frame).format(id);
    shared_.table[id.value].store(frame, std::memory_order_release);
    return frame;
  }
  void discard(Frame& frame) { retire(frame); }
  void retire(Frame& frame) {
    shared_.table[frame.page_id.load(std::memory_order_relaxed).value].store(nullptr,
                                                                             std::memory_order_release);
    frame.page_id.store(PageId{}, std::memory_order_relaxed);
    free_.push_back(&frame);
  }
  void changed(Frame&) {}
  void pause() {
    ++pauses_;
    for (uint32_t i = 0; i < 32; ++i) __builtin_ia32_pause();
  }
  void point(const char*) {}
  uint64_t pauses() const { return pauses_; }

 private:
  SharedPages& shared_;
  std::vector<Frame*> free_;
  uint64_t pauses_ = 0;
};

struct CoreJournal {
  explicit CoreJournal(std::atomic<uint64_t>& position) : end(position) {}
  Lsn append(std::string_view record) {
    const Lsn lsn{1, end.fetch_add(1) + 1};
    records.emplace_back(lsn.position, record);
    return lsn;
  }
  std::atomic<uint64_t>& end;
  std::vector<std::pair<uint64_t, std::string>> records;
};

constexpr uint32_t kFolders = 6;
constexpr uint32_t kMembers = 40;

std::string folder_name(uint32_t folder, uint32_t place) {
  static constexpr const char* kPlaces[] = {"here/", "there/and/further/", "z"};
  return std::string(kPlaces[place]) + "folder-" + std::to_string(folder) + "/";
}
std::string member_name(uint32_t member) { return "m" + std::to_string(member * 37); }

struct SharedRun {
  explicit SharedRun() : gate(kCores) {
    CoreSource source(pages);
    pages.root = source.create();
    pages.root->latch.release();
  }
  SharedPages pages;
  RenameGate gate;
  std::atomic<uint64_t> position{0};
  std::atomic<uint32_t> next_core{0};
  std::atomic<uint32_t> failures{0};
  std::atomic<uint32_t> writing{0};
  std::vector<std::vector<std::pair<uint64_t, std::string>>> records{kCores};
  // What each core knows it has written last.
  std::vector<std::map<std::string, uint64_t>> own{kCores};
  std::vector<std::map<std::pair<uint32_t, uint32_t>, uint64_t>> counters{kCores};
  std::atomic<uint64_t> renames{0};
  std::atomic<uint64_t> listings{0};
  std::atomic<uint64_t> found{0};
};

class Worker {
 public:
  Worker(SharedRun& run, uint32_t core)
      : run_(run),
        core_(core),
        random_(core + 1),
        source_(run.pages),
        journal_(run.position),
        tree_(source_, journal_, run.gate, {.core = core}) {}

  void populate() {
    for (uint32_t folder = 0; folder < kFolders; ++folder) {
      for (uint32_t member = core_; member < kMembers; member += kCores) {
        check(tree_.put(folder_name(folder, 0) + member_name(member), "0").outcome == Outcome::done);
        run_.counters[core_][{folder, member}] = 0;
      }
    }
  }

  void work() {
    for (uint32_t round = 0; round < kRounds; ++round) {
      switch (random_() % 8) {
        case 0:
        case 1:
          put_own();
          break;
        case 2:
          erase_own();
          break;
        case 3:
        case 4:
          count_up();
          break;
        case 5:
          if (round % 4 == 0) {
            read_many();
          } else {
            read_any();
          }
          break;
        case 6:
          rename_folder();
          break;
        default:
          if (round % 16 == 0) list();
      }
    }
    run_.records[core_] = std::move(journal_.records);
  }

 private:
  void check(bool ok) {
    if (!ok) run_.failures.fetch_add(1);
  }
  std::string own_key() {
    return "own/" + std::to_string(random_() % 400) + "/core" + std::to_string(core_) +
           std::string(random_() % 3, 'x');
  }
  void put_own() {
    const std::string key = own_key();
    const uint64_t value = ++last_;
    check(tree_.put(key, std::to_string(value) + std::string(random_() % 40, ' ')).outcome == Outcome::done);
    run_.own[core_][key] = value;
  }
  void erase_own() {
    const std::string key = own_key();
    const bool there = run_.own[core_].erase(key) == 1;
    check(tree_.erase(key).outcome == (there ? Outcome::done : Outcome::kept));
    uint64_t value = 0;
    check(!read(key, value));
  }
  // Counts a member up wherever its folder is at the moment: never lost, never doubled.
  void count_up() {
    const auto folder = static_cast<uint32_t>(random_() % kFolders);
    const auto member = static_cast<uint32_t>(random_() % (kMembers / kCores) * kCores + core_);
    for (uint32_t place = 0; place < 3; ++place) {
      std::string next;
      const Answer answer =
          tree_.mutate(folder_name(folder, place) + member_name(member), [&](const Present& present) {
            if (!present.exists) return Decision{};
            next = std::to_string(std::stoull(std::string(present.value)) + 1);
            return Decision{.action = Decision::Action::put, .value = next};
          });
      if (answer.outcome == Outcome::done) ++run_.counters[core_][{folder, member}];
    }
  }
  bool read(const std::string& key, uint64_t& value) {
    std::string text;
    const Answer answer = tree_.get(key, [&](uint8_t, std::string_view bytes) { text = bytes; });
    if (answer.outcome != Outcome::done) return false;
    value = std::stoull(text);
    return true;
  }
  // What is read of another core's key never goes back.
  void read_any() {
    const std::string key =
        "own/" + std::to_string(random_() % 400) + "/core" + std::to_string(random_() % kCores);
    uint64_t value = 0;
    if (!read(key, value)) return;
    check(value >= seen_[key]);
    seen_[key] = value;
    run_.found.fetch_add(1);
  }
  // The same of many keys in one call.
  void read_many() {
    std::vector<std::string> texts;
    for (uint32_t i = 0; i < 40; ++i) {
      texts.push_back("own/" + std::to_string(random_() % 400) + "/core" +
                      std::to_string(random_() % kCores));
    }
    const std::vector<std::string_view> keys(texts.begin(), texts.end());
    std::vector<Answer> answers(keys.size());
    std::vector<std::string> values(keys.size());
    tree_.get_many(keys, answers, [&](size_t i, uint8_t, std::string_view bytes) { values[i] = bytes; });
    for (size_t i = 0; i < keys.size(); ++i) {
      check(answers[i].outcome == Outcome::done || answers[i].outcome == Outcome::absent);
      if (answers[i].outcome != Outcome::done) continue;
      const uint64_t value = std::stoull(values[i]);
      check(value >= seen_[texts[i]]);
      run_.found.fetch_add(1);
    }
  }
  void rename_folder() {
    const auto folder = static_cast<uint32_t>(random_() % kFolders);
    const auto from = static_cast<uint32_t>(random_() % 3);
    const uint32_t to = (from + 1 + random_() % 2) % 3;
    const Outcome outcome = tree_.rename_prefix(folder_name(folder, from), folder_name(folder, to)).outcome;
    check(outcome == Outcome::done || outcome == Outcome::source_missing);
    if (outcome == Outcome::done) run_.renames.fetch_add(1);
  }
  // Every member exactly once, wherever it is.
  void list() {
    Cursor cursor(source_, run_.gate);
    for (;;) {
      std::map<std::string, uint32_t> members;
      std::string last;
      bool ordered = true;
      cursor.begin();
      Answer answer = cursor.seek("");
      for (; answer.outcome == Outcome::done; answer = cursor.next()) {
        ordered = ordered && (last.empty() || last < cursor.key());
        last = cursor.key();
        if (const size_t at = last.find("folder-"); at != std::string::npos) ++members[last.substr(at)];
      }
      if (answer.outcome == Outcome::renamed) continue;
      check(answer.outcome == Outcome::absent);
      check(ordered);
      check(members.size() == kFolders * kMembers);
      check(
          std::all_of(members.begin(), members.end(), [](const auto& member) { return member.second == 1; }));
      run_.listings.fetch_add(1);
      return;
    }
  }

  SharedRun& run_;
  uint32_t core_;
  std::mt19937_64 random_;
  CoreSource source_;
  CoreJournal journal_;
  Tree<CoreSource, CoreJournal> tree_;
  std::map<std::string, uint64_t> seen_;
  uint64_t last_ = 0;
};

Task<void> run_core(SharedRun* run) {
  const uint32_t core = run->next_core.fetch_add(1);
  Worker worker(*run, core);
  worker.populate();
  run->writing.fetch_add(1);
  while (run->writing.load() < kCores) __builtin_ia32_pause();
  worker.work();
  co_return;
}

// The records of all cores in the order of their LSNs, replayed onto nothing, give every page as it is.
void expect_redo(SharedRun& run) {
  std::vector<std::pair<uint64_t, std::string>> records;
  for (auto& each : run.records) std::move(each.begin(), each.end(), std::back_inserter(records));
  std::sort(records.begin(), records.end());
  std::map<uint64_t, std::vector<std::byte>> redone;
  redone[1].resize(kPageBytes);
  PageEditor(redone[1].data(), kPageBytes).format({1});
  for (const auto& [lsn, record] : records) {
    ChangeReader reader(record);
    for (ChangePage change; reader.next(change);) {
      if (change.action == ChangePage::Action::retire) {
        redone.erase(change.page.value);
        continue;
      }
      auto& bytes = redone[change.page.value];
      bytes.resize(kPageBytes);
      const auto result = redo(PageEditor(bytes.data(), kPageBytes), change, {1, lsn});
      ASSERT_TRUE(result) << result.error().to_string();
    }
    ASSERT_TRUE(reader.ok());
  }
  uint32_t pages = 0;
  for (uint64_t id = 1; id <= run.pages.last_id.load(); ++id) {
    const Frame* frame = run.pages.table[id].load();
    if (frame == nullptr) continue;
    ++pages;
    std::vector<std::byte> now(kPageBytes);
    std::vector<std::byte> then(kPageBytes);
    write_page_image(PageView(*frame), now.data());
    ASSERT_TRUE(redone.contains(id)) << id;
    write_page_image(PageView(redone[id].data(), kPageBytes), then.data());
    ASSERT_EQ(now, then) << id;
  }
  EXPECT_EQ(pages, redone.size());
}

TEST(ArtThreads, ReadersWritersRenamesAndListings) {
  SharedRun run;
  const auto ran = run_cores({.cores = kCores}, [&](Env&) { return run_core(&run); });
  ASSERT_TRUE(ran);
  EXPECT_EQ(run.failures.load(), 0u);
  EXPECT_GT(run.renames.load(), 0u);
  EXPECT_GT(run.listings.load(), 0u);
  EXPECT_GT(run.found.load(), 0u);
  CoreSource source(run.pages);
  const TreeCheck check = verify_tree(source);
  ASSERT_EQ(check.error, "");
  uint64_t expected = kFolders * kMembers;
  for (const auto& own : run.own) expected += own.size();
  EXPECT_EQ(check.values, expected);
  std::atomic<uint64_t> unused{0};
  CoreJournal journal(unused);
  Tree<CoreSource, CoreJournal> tree(source, journal, run.gate);
  const auto read = [&](const std::string& key) {
    std::string text;
    return tree.get(key, [&](uint8_t, std::string_view bytes) { text = bytes; }).outcome == Outcome::done
               ? std::optional(std::stoull(text))
               : std::nullopt;
  };
  for (uint32_t core = 0; core < kCores; ++core) {
    for (const auto& [key, value] : run.own[core]) EXPECT_EQ(read(key), value) << key;
    for (const auto& [member, count] : run.counters[core]) {
      std::optional<uint64_t> value;
      for (uint32_t place = 0; place < 3; ++place) {
        const auto here = read(folder_name(member.first, place) + member_name(member.second));
        EXPECT_FALSE(here && value) << "a member is in two places";
        if (here) value = here;
      }
      EXPECT_EQ(value, count) << member.first << " " << member.second;
    }
  }
  expect_redo(run);
}

}  // namespace
}  // namespace fb::art
