// SPDX-License-Identifier: Apache-2.0
// Compaction: trees that erases have left sparse take, after a walk, about as many pages as if what is left
// had been put into a new store, and hold the same; beside others' changes, with a hundredth of the data in
// memory, and over a crash at every change of the disk.
#include <gtest/gtest.h>
#include <algorithm>

#include "base/checksum.h"
#include "io/sim/thinning.h"
#include "nss/partition_workload.h"

namespace fb {
namespace {

std::string folder_key(uint64_t i) {
  return fmt::format("photos/{:04}/{:02}/IMG_{:06}.jpeg", i * 7 % 300, i % 12, i * 7919 % 1'000'000);
}
std::string hashed_key(uint64_t i) {
  const std::string text = std::to_string(i);
  return fmt::format("{:016x}", xxh3(std::as_bytes(std::span(text))));
}
using KeyOf = std::string (*)(uint64_t);

std::string record_of(const std::string& key, std::mt19937_64& random, size_t bytes_max = 300) {
  return inline_object(key + std::string(random() % bytes_max, '.'));
}

Task<void> put_all(Session& session, const Tree& tree, std::mt19937_64& random) {
  std::vector<std::pair<std::string_view, std::string_view>> entries(tree.begin(), tree.end());
  std::ranges::shuffle(entries, random);
  for (size_t i = 0; i < entries.size(); i += 1000) {
    std::vector<Mutation> puts;
    for (const auto& [key, record] :
         std::span(entries).subspan(i, std::min<size_t>(1000, entries.size() - i)))
      puts.push_back({.key = key, .record = record});
    for (const auto& made : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(made);
  }
}

// All but one in ten, picked at random, two at a time: commits of several keys join no pages on their way.
Task<void> thin_out(Session& session, Tree& tree, std::mt19937_64& random) {
  std::vector<std::string> keys;
  for (const auto& [key, record] : tree) {
    if (random() % 10 != 0) keys.push_back(key);
  }
  std::ranges::shuffle(keys, random);
  for (size_t i = 0; i + 1 < keys.size(); i += 2) {
    const Mutation erases[] = {{.kind = Mutation::Kind::erase, .key = keys[i]},
                               {.kind = Mutation::Kind::erase, .key = keys[i + 1]}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, erases));
    tree.erase(keys[i]);
    tree.erase(keys[i + 1]);
  }
}

Task<void> expect_tree(Session& session, const Tree& tree) {
  auto expected = tree.begin();
  std::string after;
  for (bool more = true; more;) {
    const auto page =
        co_await session.front->list({}, {.bucket = kBucket, .start_after = after, .entries_max = 1000});
    CO_CHECK_OK(page);
    for (const ListEntry& entry : page->entries) {
      CO_CHECK(expected != tree.end());
      CO_CHECK(entry.key == expected->first && entry.record == expected->second);
      ++expected;
    }
    more = page->truncated;
    if (more) after = page->entries.back().key;
  }
  EXPECT_TRUE(expected == tree.end());
}

// How many pages the trees have, once every invariant was found to hold.
Task<uint64_t> count_pages(Session& session) {
  const auto report = co_await session.partition->verify();
  if (!report) {
    ADD_FAILURE() << report.error().to_string();
    co_return 0;
  }
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  co_return report->pages;
}

// Until one has come to its end and no other is due.
Task<void> wait_for_walks(Session& session) {
  for (uint64_t walks = 0, waited = 0;; ++waited) {
    CO_CHECK(waited < 1000);
    (void)co_await sleep_for(session.env, Duration::seconds(3));
    const Partition::Statistics statistics = session.partition->statistics();
    if (!statistics.compacting && statistics.compact_walks != 0 && statistics.compact_walks == walks) break;
    walks = statistics.compact_walks;
  }
}

EngineOptions without_compaction(EngineOptions options) {
  options.compact_erased_min = UINT64_MAX;
  return options;
}

uint64_t pages_of_new_store(const Tree& tree, const EngineOptions& options) {
  World world;
  FakeBlobs blobs;
  uint64_t pages = 0;
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, without_compaction(options)));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    std::mt19937_64 random(2);
    co_await put_all(session, tree, random);
    pages = co_await count_pages(session);
    CO_CHECK_OK(co_await session.close());
  });
  return pages;
}

struct Thinned {
  uint64_t full = 0, sparse = 0, compacted = 0, fresh = 0;
  Partition::Statistics statistics;
};

// Fills a store, erases nine tenths of it, and lets a walk come by: in the same process, or in the next one,
// which knows only what it sees.
Thinned fill_thin_and_walk(KeyOf key_of, uint64_t count, const EngineOptions& options, bool restarts,
                           size_t record_bytes_max = 300) {
  World world;
  FakeBlobs blobs;
  std::mt19937_64 random(1);
  Tree tree;
  while (tree.size() < count) {
    const std::string key = key_of(tree.size());
    tree[key] = record_of(key, random, record_bytes_max);
  }
  Thinned result;
  const auto walk = [&](Session& session) -> Task<void> {
    co_await wait_for_walks(session);
    result.statistics = session.partition->statistics();
    result.compacted = co_await count_pages(session);
    co_await expect_tree(session, tree);
  };
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, restarts ? without_compaction(options) : options));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    co_await put_all(session, tree, random);
    result.full = co_await count_pages(session);
    EXPECT_EQ(session.partition->statistics().compact_walks, 0u);
    co_await thin_out(session, tree, random);
    result.sparse = co_await count_pages(session);
    if (!restarts) co_await walk(session);
    CO_CHECK_OK(co_await session.close());
  });
  if (restarts) {
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      co_await walk(session);
      // Nothing is erased any more: nothing is looked at.
      const uint64_t looks = session.partition->statistics().compact_looks;
      (void)co_await sleep_for(env, Duration::seconds(60));
      EXPECT_EQ(session.partition->statistics().compact_looks, looks);
      CO_CHECK_OK(co_await session.close());
    });
  }
  // What was joined away has left the store, too.
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, options));
    co_await check_pages(session);
    CO_CHECK_OK(co_await session.close());
  });
  result.fresh = pages_of_new_store(tree, options);
  GTEST_LOG_(INFO) << fmt::format(
      "{} pages, {} after erasing 90 %, {} after {} walks that looked at {}, read {}, joined {}, "
      "divided {} and laid out {}; a new store takes {}",
      result.full, result.sparse, result.compacted, result.statistics.compact_walks,
      result.statistics.compact_looks, result.statistics.compact_reads, result.statistics.compact_joined,
      result.statistics.compact_split, result.statistics.compact_laid_out, result.fresh);
  return result;
}

TEST(PartitionCompact, ASparseTreeTakesNearlyAsFewPagesAsANewOne) {
  for (const KeyOf key_of : {&folder_key, &hashed_key}) {
    for (const bool restarts : {false, true}) {
      const Thinned result = fill_thin_and_walk(key_of, 10'000, small_options(), restarts);
      ASSERT_FALSE(HasFailure());
      EXPECT_GT(result.sparse, result.full / 2);
      EXPECT_LT(result.compacted, result.fresh * 3 / 2);
      EXPECT_GE(result.statistics.compact_looks, result.compacted);
    }
  }
}

// The walk reads nearly every page it looks at.
TEST(PartitionCompact, WithAHundredthOfTheDataInMemory) {
  EngineOptions options = small_options();
  options.memory_bytes = 128 * 4 * kKiB;
  // A tree that keeps fewer than a thousand keys is not walked.
  const uint64_t part = std::min<uint64_t>(sim::kThinning, 5);
  const Thinned result = fill_thin_and_walk(&folder_key, 64'000 / part, options, true, 800);
  EXPECT_GT(result.full * 4 * kKiB, 99 / part * options.memory_bytes);
  EXPECT_LT(result.compacted, result.fresh * 3 / 2);
  EXPECT_GT(result.statistics.compact_reads, result.sparse / 2);
}

// No tick may do more than its share: what is asked for in hundreds of seconds is not done in less.
TEST(PartitionCompact, AWalkKeepsToItsShare) {
  const EngineOptions options = small_options();
  World world;
  FakeBlobs blobs;
  std::mt19937_64 random(1);
  Tree tree;
  for (uint64_t i = 0; i < 12'000; ++i) tree[hashed_key(i)] = record_of(hashed_key(i), random);
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, without_compaction(options)));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    co_await put_all(session, tree, random);
    co_await thin_out(session, tree, random);
    CO_CHECK_OK(co_await session.close());
  });
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, options));
    Partition::Statistics before;
    for (int tick = 0; tick < 600 && before.compact_walks == 0; ++tick) {
      (void)co_await sleep_for(env, options.compact_tick);
      const Partition::Statistics now = session.partition->statistics();
      // Two ticks of the walk's may end in one of these; a step may join several pages.
      EXPECT_LE(now.compact_looks - before.compact_looks, 2u * Partition::kCompactLooks);
      EXPECT_LE(now.compact_reads - before.compact_reads, 2u * Partition::kCompactReads + 4);
      const uint64_t changes = now.compact_joined + now.compact_split + now.compact_laid_out;
      const uint64_t changes_before = before.compact_joined + before.compact_split + before.compact_laid_out;
      EXPECT_LE(changes - changes_before, 2u * Partition::kCompactChanges + 8);
      before = now;
    }
    EXPECT_NE(before.compact_walks, 0u);
    CO_CHECK_OK(co_await session.close());
  });
}

// Puts and erases of keys that nobody else touches.
Task<void> write_on(Session* session, Tree* tree, unsigned number, uint64_t seed, int steps) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
    const std::string key = hashed_key(random() % 3000) + std::to_string(number);
    if (random() % 3 == 0) {
      const auto erased = co_await session->erase(key);
      CO_CHECK_OK(erased);
      CO_CHECK(erased->existed == (tree->erase(key) != 0));
    } else {
      const std::string record = record_of(key, random);
      CO_CHECK_OK(co_await session->put(key, record));
      (*tree)[key] = record;
    }
    (void)co_await sleep_for(session->env, Duration::milliseconds(1));
  }
}

TEST(PartitionCompact, BesideWritersOnAllCores) {
  uint64_t joined_beside = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    World world(seed, 2);
    FakeBlobs blobs;
    EngineOptions options = small_options();
    options.compact_tick = Duration::milliseconds(10);
    std::mt19937_64 random(seed);
    Tree trees[3];  // of two writers, and what nobody writes to
    for (uint64_t i = 0; i < 9000; ++i) {
      const std::string key = hashed_key(i % 3000) + std::to_string(i / 3000);
      trees[i / 3000][key] = record_of(key, random);
    }
    struct Shared {
      Partition* partition = nullptr;
      bool done = false;
    } shared;
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      if (env.core() != 0) {
        while (shared.partition == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
        session.front = co_await PartitionFront::open(env, *shared.partition);
        co_await write_on(&session, &trees[1], 1, seed + 100, 2000);
        co_await session.front->close();
        shared.done = true;
        co_return;
      }
      CO_CHECK_OK(co_await session.open(blobs, options));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      for (Tree& tree : trees) co_await put_all(session, tree, random);
      for (Tree& tree : trees) co_await thin_out(session, tree, random);
      const uint64_t joined = session.partition->statistics().compact_joined;
      shared.partition = session.partition;
      co_await write_on(&session, &trees[0], 0, seed + 200, 2000);
      while (!shared.done) (void)co_await sleep_for(env, Duration::milliseconds(1));
      joined_beside += session.partition->statistics().compact_joined - joined;
      co_await wait_for_walks(session);
      Tree all;
      for (Tree& tree : trees) all.merge(tree);
      co_await session.verify();
      co_await expect_tree(session, all);
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
  }
  EXPECT_GT(joined_beside, 100u);
}

// The crash comes at the n-th change of the disk in a process whose walk joins pages beside clients. False
// where the process came to its end before.
bool crash_in_walk(uint64_t n, uint64_t seed, uint64_t& joined) {
  CrashRun run(seed);
  run.options.compact_tick = Duration::milliseconds(1);
  run.options.compact_erased_min = UINT64_MAX;
  run.fills = 100;
  for (Area& area : run.areas) area.width = 10;
  for (Area& area : run.areas) area.thin_percent = 90;
  run.boot(0, false);
  run.fills = 0;
  run.options.compact_erased_min = 20;
  run.awaits_walk = true;
  run.world.node.crash_at(
      n % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after, n,
      (n + seed) % 3 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
  run.boot(10, false);
  const bool crashed = run.world.node.crashed();
  run.world.node.forget_planned_crash();
  run.boot(10, true);
  joined += run.statistics.compact_joined;
  run.awaits_walk = false;
  run.options.compact_erased_min = UINT64_MAX;
  run.boot(0, true, true);
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << " seed " << seed << "\n" << run.world.log();
  return crashed;
}

TEST(PartitionCompact, CrashesAtEveryChangeOfTheDiskDuringAWalk) {
  uint64_t crashes = 0;
  uint64_t joined = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    for (uint64_t n = 1 + seed % sim::kThinning; crash_in_walk(n, seed, joined); n += sim::kThinning) {
      ASSERT_FALSE(HasFailure());
      ASSERT_LT(n, 5000u);
      ++crashes;
    }
    ASSERT_FALSE(HasFailure());
  }
  GTEST_LOG_(INFO) << fmt::format("{} crashes; {} pages joined after them", crashes, joined);
  EXPECT_GT(crashes, 50 / sim::kThinning);
  EXPECT_GT(joined, crashes);
}

}  // namespace
}  // namespace fb
