// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "io/env_test_suite.h"
#include "io/runtime.h"
#include "io/scope.h"
#include "io/sim/simulation.h"

namespace fb::bss {
namespace {

TEST(BlobIndex, AgreesWithAMap) {
  std::mt19937_64 random(1);
  BlobIndex index;
  std::map<std::tuple<uint64_t, uint32_t, uint32_t>, uint64_t> model;
  // Keys that differ in the parts that a slot does not hold itself, too.
  constexpr uint64_t kHigh[] = {0, uint64_t{1} << 40, uint64_t{15} << 48, UINT64_MAX << 40};
  constexpr uint32_t kBlocks[] = {0, 1, 0xffff, 0x10000, kBlockNumberMax};
  for (int step = 0; step < 300'000; ++step) {
    const uint64_t number = random() % 3'000 | kHigh[random() % std::size(kHigh)];
    const auto incarnation = static_cast<uint32_t>(random() % 2 == 0 ? 7 : UINT32_MAX);
    const uint32_t block = kBlocks[random() % std::size(kBlocks)];
    BlobIndex::Found found = index.find(number, incarnation, block);
    const auto expected = model.find({number, incarnation, block});
    ASSERT_EQ(!!found, expected != model.end());
    const uint64_t place =
        IndexEntry::make_place(random() % 1000, (random() % 16384) * 4096, 1 + random() % 4096);
    // Phases in which more come than go, and the other way round.
    const bool filling = step / 50'000 % 2 == 0;
    if (!found) {
      if (!filling && random() % 4 != 0) continue;
      index.insert({.number = number,
                    .checksum = place * 3,
                    .incarnation = incarnation,
                    .block = block,
                    .place = place});
      model[{number, incarnation, block}] = place;
    } else {
      ASSERT_EQ(found.place, expected->second);
      ASSERT_EQ(found.checksum, expected->second * 3);
      if (random() % 8 < (filling ? 1 : 6)) {
        index.erase(found);
        model.erase(expected);
      } else {
        index.set_place(found, place);
        index.set_checksum(found, place * 3);
        expected->second = place;
      }
    }
  }
  EXPECT_EQ(index.size(), model.size());
  EXPECT_TRUE(index.verify());
  std::vector<IndexEntry> entries;
  size_t listed = 0;
  for (size_t table = 0; table < BlobIndex::kTableCount; ++table) {
    index.entries_of(table, entries);
    for (const IndexEntry& entry : entries)
      EXPECT_EQ(model.at({entry.number, entry.incarnation, entry.block}), entry.place);
    listed += entries.size();
  }
  EXPECT_EQ(listed, model.size());
  for (const auto& [key, place] : model)
    index.erase(index.find(std::get<0>(key), std::get<1>(key), std::get<2>(key)));
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(index.memory_bytes(), 0U);
}

IndexEntry numbered(uint64_t number) {
  return {.number = number, .incarnation = 1, .place = IndexEntry::make_place(1, 8192, 4096)};
}

// While it grows, when it has been filled from a checkpoint, and while it shrinks down to half.
TEST(BlobIndex, AtMostThirtyTwoBytesABlob) {
  constexpr uint64_t kCount = 1'000'000;
  BlobIndex grown;
  for (uint64_t number = 1; number <= kCount; ++number) {
    grown.insert(numbered(number));
    if (number >= 100'000 && number % 1000 == 0)
      ASSERT_LE(grown.memory_bytes(), grown.size() * BlobIndex::kBytesPerBlobMax) << number;
  }
  BlobIndex loaded;
  loaded.reserve(kCount);
  for (uint64_t number = 1; number <= kCount; ++number) loaded.insert(numbered(number));
  EXPECT_LE(loaded.memory_bytes(), kCount * BlobIndex::kBytesPerBlobMax);
  EXPECT_TRUE(loaded.verify());
  for (uint64_t number = 1; number <= kCount; ++number) {
    if (number % 8 != 0) grown.erase(grown.find(number, 1, 0));
  }
  EXPECT_LE(grown.memory_bytes(), grown.size() * 2 * BlobIndex::kBytesPerBlobMax);
  EXPECT_TRUE(grown.verify());
}

// What keys share is forgotten with the last of them.
TEST(KeyPrefixes, AreCountedAndReused) {
  KeyPrefixes prefixes;
  const KeyPrefixes::Prefix a{.high = 1 << 16, .incarnation = 1};
  const KeyPrefixes::Prefix b{.high = 1 << 16, .incarnation = 2};
  const uint32_t first = prefixes.take(a);
  EXPECT_NE(first, 0U);
  EXPECT_EQ(prefixes.take(a), first);
  const uint32_t second = prefixes.take(b);
  EXPECT_NE(second, first);
  prefixes.give_back(first);
  EXPECT_EQ(prefixes.find(a), first);
  prefixes.give_back(first);
  EXPECT_EQ(prefixes.find(a), 0U);
  EXPECT_EQ(prefixes.take({.high = 5, .incarnation = 9}), first);
  EXPECT_EQ(prefixes.size(), 2U);
}

// One core changes an index, all others look into it. What an entry says follows from its key, so that a mix
// of two is seen; some keys are always there and some never.
class LookedAtIndex {
 public:
  LookedAtIndex(uint64_t seed, unsigned cores, int steps) : random_(seed), cores_(cores), steps_(steps) {}

  Task<void> run(Env& env) {
    if (env.core() == 0) {
      index_ = std::make_unique<BlobIndex>(&env, cores_);
      for (uint64_t number = 0; number < kSteady; ++number) index_->insert(entry_of(steady(number), 1));
      ready_ = true;
      co_await change(env);
      done_ = true;
      while (ended_ + 1 < cores_) (void)co_await sleep_for(env, Duration::microseconds(10));
      index_->clear();
      EXPECT_EQ(index_->memory_bytes(), 0U);
    } else {
      while (!ready_) (void)co_await sleep_for(env, Duration::microseconds(10));
      co_await look(env);
      ++ended_;
    }
  }

  uint64_t looks() const { return looks_; }
  uint64_t founds() const { return founds_; }

 private:
  static constexpr uint64_t kSteady = 300;
  static constexpr uint64_t kLow = 400;  // numbers that come and go, under each of
  static constexpr uint64_t kHigh = 40;  // so many prefixes
  static constexpr uint64_t kFleeting = 3;

  static BlobKey key(uint64_t number, uint32_t incarnation) {
    return {.id = {.incarnation = {incarnation}, .number = number}};
  }
  static BlobKey steady(uint64_t number) { return key(number, 1); }
  static BlobKey never(uint64_t number) { return key(number, 2); }
  // The same number under one prefix after the other, each of which gets the number of the one before.
  static BlobKey fleeting(uint64_t high) { return key(high % kFleeting << 40, 4); }
  // The same low bits under many prefixes.
  static BlobKey passing(uint64_t low, uint64_t high) { return key(high << 40 | low, 3); }
  static uint64_t checksum_of(const BlobKey& key) {
    return (key.id.number + 1) * 0x9e3779b97f4a7c15ULL ^ key.id.incarnation.value;
  }
  static IndexEntry entry_of(const BlobKey& key, uint64_t turn) {
    const auto length = static_cast<uint32_t>(1 + checksum_of(key) % 4096);
    return {.number = key.id.number,
            .checksum = checksum_of(key),
            .incarnation = key.id.incarnation.value,
            .block = key.block,
            .place = IndexEntry::make_place(static_cast<uint32_t>(checksum_of(key) % 1000),
                                            8192 + turn % 1000 * 4096, length)};
  }

  Task<void> change(Env& env) {
    std::set<std::pair<uint64_t, uint64_t>> there;
    for (int step = 0; step < steps_; ++step) {
      // Many of few prefixes, then few of many, so that tables and prefixes come and go.
      const bool filling = step / 2000 % 2 == 0;
      const uint64_t high = filling ? random_() % 3 : random_() % kHigh;
      const uint64_t low = random_() % kLow;
      const BlobKey passing_key = passing(low, high);
      BlobIndex::Found found = index_->find(passing_key);
      if (!found && (filling || random_() % 2 == 0)) {
        index_->insert(entry_of(passing_key, static_cast<uint64_t>(step)));
        there.emplace(low, high);
      } else if (found && !filling) {
        index_->erase(found);
        there.erase({low, high});
      }
      if (!filling && !there.empty() && random_() % 2 == 0) {
        const auto [other_low, other_high] = *there.begin();
        index_->erase(index_->find(passing(other_low, other_high)));
        there.erase(there.begin());
      }
      if (step > 0) index_->erase(index_->find(fleeting(static_cast<uint64_t>(step - 1))));
      index_->insert(entry_of(fleeting(static_cast<uint64_t>(step)), 1));
      const BlobKey moved = steady(random_() % kSteady);
      BlobIndex::Found entry = index_->find(moved);
      index_->set_place(entry, entry_of(moved, static_cast<uint64_t>(step)).place);
      if (step % 64 == 0) co_await yield(env);
    }
    EXPECT_TRUE(index_->verify());
    EXPECT_EQ(index_->size(), kSteady + there.size() + 1);
  }

  Task<void> look(Env& env) {
    std::mt19937_64 random(env.core());
    while (!done_ && !testing::Test::HasFailure()) {
      for (int i = 0; i < 100; ++i) {
        const uint64_t kind = random() % 10;
        const BlobKey wanted = kind < 3   ? steady(random() % kSteady)
                               : kind < 4 ? never(random() % kSteady)
                               : kind > 7 ? fleeting(random())
                                          : passing(random() % kLow, random() % (kind < 6 ? 3 : kHigh));
        IndexEntry found;
        const BlobIndex::Sight sight = look_once(env, wanted, found);
        if (sight == BlobIndex::Sight::changing) break;
        ++looks_;
        const bool there = sight == BlobIndex::Sight::found;
        founds_ += there;
        if (kind < 3) EXPECT_TRUE(there) << wanted.id.number;
        if (kind == 3) EXPECT_FALSE(there) << wanted.id.number;
        if (!there) continue;
        const IndexEntry expected = entry_of(wanted, 0);
        EXPECT_EQ(found.checksum, expected.checksum);
        EXPECT_EQ(found.length(), expected.length());
        EXPECT_EQ(found.segment(), expected.segment());
      }
      co_await yield(env);
    }
  }
  BlobIndex::Sight look_once(Env& env, const BlobKey& wanted, IndexEntry& found) {
    const ReaderEpochs::Looking looking(index_->epochs(), env.core());
    return index_->look(env, wanted, found);
  }

  std::mt19937_64 random_;
  const unsigned cores_;
  const int steps_;
  std::unique_ptr<BlobIndex> index_;
  std::atomic<bool> ready_ = false;
  std::atomic<bool> done_ = false;
  std::atomic<unsigned> ended_ = 0;
  std::atomic<uint64_t> looks_ = 0;
  std::atomic<uint64_t> founds_ = 0;
};

TEST(BlobIndexThreads, OthersLookWhileItChanges) {
  LookedAtIndex looked(1, 3, 400'000);
  ASSERT_TRUE(run_cores({.cores = 3}, [&](Env& env) { return looked.run(env); }).has_value());
  EXPECT_GT(looked.founds(), 1000U);
  GTEST_LOG_(INFO) << looked.looks() << " looks, " << looked.founds() << " found";
}

// The simulator leaves reader and owner in the middle of either's work.
TEST(BlobIndex, OthersLookWhileItChanges) {
  uint64_t founds = 0;
  for (uint64_t seed = 1; seed <= 10 && !testing::Test::HasFailure(); ++seed) {
    sim::Simulation simulation(seed);
    simulation.set_switch_chance(100'000);
    sim::SimNode& node = simulation.add_node({.name = "node", .cores = 3});
    LookedAtIndex looked(seed, 3, 20'000);
    node.start([&](Env& env) { return looked.run(env); });
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(60)))
        << node.describe_waiting();
    founds += looked.founds();
  }
  EXPECT_GT(founds, 1000U);
}

TEST(IndexEntry, PlaceHoldsItsParts) {
  const IndexEntry entry{.place = IndexEntry::make_place(IndexEntry::kSegmentNumberMax,
                                                         (1u << 18) * 4096ull - 4096, kBlobBlockSizeMax)};
  EXPECT_EQ(entry.segment(), IndexEntry::kSegmentNumberMax);
  EXPECT_EQ(entry.offset_bytes(), (1u << 18) * 4096ull - 4096);
  EXPECT_EQ(entry.length(), kBlobBlockSizeMax);
  EXPECT_TRUE(entry.readable());
}

}  // namespace
}  // namespace fb::bss
