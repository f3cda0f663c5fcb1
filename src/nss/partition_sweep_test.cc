// SPDX-License-Identifier: Apache-2.0
// What becomes garbage while the sweep marks: it is the ledger's to free, when it is durable and nobody reads
// it, and no sweep may take it for something that no record ever named.
#include <gtest/gtest.h>

#include <random>

#include "base/safeguard.h"
#include "nss/full_journal.h"

namespace fb {
namespace {

constexpr uint64_t kSeeds = 12;
constexpr int kFillers = 1500;
constexpr unsigned kRenamers = 4;
constexpr int kFillerBytes = 800;  // so that the pages do not all stay in memory, and the mark takes a while

// A process that writes many keys, "a-j" and "zzz-k" around them, each naming a blob, and is killed.
struct Killed {
  explicit Killed(uint64_t seed) : world(seed) {
    bool written = false;
    world.node.start([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      const std::string filler = inline_object(std::string(kFillerBytes, '.'));
      std::vector<std::string> keys;
      std::vector<Mutation> puts;
      for (int i = 0; i < kFillers; ++i) keys.push_back("d/" + std::to_string(10'000 + i));
      for (const std::string& key : keys) puts.push_back({.key = key, .record = filler});
      for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
      for (BlobId* blob : {&early, &late}) {
        *blob = blobs.new_blob();
        blobs.write(*blob);
      }
      CO_CHECK_OK(co_await session.put("a-j", object_naming(early)));
      CO_CHECK_OK(co_await session.put("zzz-k", object_naming(late)));
      for (unsigned i = 0; i < kRenamers; ++i) {
        const std::string to_rename = "d/r" + std::to_string(i);
        for (const char* rest : {"", "/a", "/b", "/c"}) {
          named.push_back(blobs.new_blob());
          blobs.write(named.back());
          CO_CHECK_OK(co_await session.put(to_rename + rest, object_naming(named.back())));
        }
      }
      orphan = blobs.new_blob();
      blobs.write(orphan);
      // So that the next process has nothing to redo, and takes no checkpoint, which asks the cores as well.
      CO_CHECK_OK(co_await session.partition->take_checkpoint(true));
      written = true;
      (void)co_await sleep_for(env, Duration::seconds(1000));
    });
    EXPECT_TRUE(world.simulation.run_until([&] { return written; }, Duration::seconds(100)));
    world.node.crash(sim::CrashKind::kill);
  }
  bool has(const BlobId& blob) const { return blobs.live.contains({blob, 0}); }

  World world;
  FakeBlobs blobs;
  EngineOptions options = small_options();
  BlobId early, late;         // of "a-j" and of "zzz-k"
  std::vector<BlobId> named;  // of keys to be renamed
  BlobId orphan;              // of no key
};

Task<void> until_swept(Session& session) {
  while (!session.partition->statistics().sweep_done)
    (void)co_await sleep_for(session.env, Duration::milliseconds(5));
}

// A GET sends the object to a slow client. The freeing task waits for it, with other garbage in its round, so
// that it does not fetch what the overwrite leaves.
bool sweep_spares_the_reader(uint64_t seed) {
  Killed killed(seed);
  bool spared = false;
  killed.world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(killed.blobs, killed.options));
    {
      const auto reading = co_await session.front->get({}, kBucket, Space::objects, "zzz-k");
      CO_CHECK_OK(reading);
      CO_CHECK_OK(co_await session.put("a-j", inline_object("new")));
      (void)co_await sleep_for(env, Duration::milliseconds(4));
      CO_CHECK_OK(co_await session.put("zzz-k", inline_object("new")));
      CO_CHECK(!session.partition->statistics().sweep_done);
      co_await until_swept(session);
      spared = killed.has(killed.late);
    }
    for (int i = 0; i < 100 && killed.has(killed.late); ++i)
      (void)co_await sleep_for(env, Duration::milliseconds(10));
    EXPECT_FALSE(killed.has(killed.late));
    CO_CHECK_OK(co_await session.close());
  });
  return spared;
}

TEST(PartitionSweep, SparesWhatAReaderHoldsAndAnOverwriteReleasedWhileItMarked) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) EXPECT_TRUE(sweep_spares_the_reader(seed)) << seed;
}

TEST(PartitionSweep, TakesAReadersBlobIfItDoesNotAskWhatBecameGarbage) {
  if (!kSafeguardsSwitchable) GTEST_SKIP();
  const SafeguardLeftOut left_out(Safeguard::sweep_asks_cores);
  uint64_t taken = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) taken += !sweep_spares_the_reader(seed);
  EXPECT_EQ(taken, kSeeds);
}

// The journal has no room for the record of the overwrite, and power fails before it has: the object that was
// acknowledged before is the one that is found.
struct Overwritten {
  int runs = 0;
  int overwrote_while_marking = 0;
  int not_durable = 0;  // when the sweep was done
  int lost = 0;
};
Task<void> overwrite(Session* session) { (void)co_await session->put("zzz-k", inline_object("new")); }

void overwrite_without_end(uint64_t seed, Overwritten& total) {
  Killed killed(seed);
  killed.options.free_delay = Duration::milliseconds(200);
  killed.options.memory_bytes = 32 * kMiB;
  sim::SimNode& node = killed.world.node;
  bool crash_now = false;
  std::unique_ptr<FullJournal> journal;
  node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await open_over_full_journal(session, killed.blobs, killed.options, journal));
    (void)co_await sleep_for(env, Duration::microseconds(100 + static_cast<int64_t>(40 * seed)));
    total.overwrote_while_marking += session.partition->sweeping();
    journal->full = true;
    const uint64_t before = session.partition->journal_buffer().tail();
    Scope scope(env);
    scope.spawn(&overwrite, &session);
    while (session.partition->journal_buffer().tail() == before)
      (void)co_await sleep_for(env, Duration::microseconds(20));
    const uint64_t tail = session.partition->journal_buffer().tail();
    // Until the sweep is done, or the content is gone, which must not be.
    while (killed.has(killed.late) && !session.partition->statistics().sweep_done)
      (void)co_await sleep_for(env, Duration::microseconds(100));
    total.not_durable += session.partition->journal_buffer().durable() < tail;
    crash_now = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
    co_await scope.join();
  });
  ASSERT_TRUE(killed.world.simulation.run_until([&] { return crash_now; }, Duration::seconds(100)));
  node.crash(sim::CrashKind::power_loss);
  killed.world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(killed.blobs, killed.options));
    {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, "zzz-k");
      CO_CHECK_OK(found);
      ++total.runs;
      total.lost += found->record == object_naming(killed.late) && !killed.has(killed.late);
    }
    CO_CHECK_OK(co_await session.close());
  });
}

TEST(PartitionSweep, KeepsWhatAnOverwriteReleasedThatNeverBecameDurable) {
  Overwritten total;
  for (uint64_t seed = 1; seed <= 2 * kSeeds; ++seed) overwrite_without_end(seed, total);
  EXPECT_EQ(total.lost, 0) << "an acknowledged object lost its content";
  EXPECT_EQ(total.runs, static_cast<int>(2 * kSeeds));
  EXPECT_GT(total.overwrote_while_marking, static_cast<int>(kSeeds));
  EXPECT_GT(total.not_durable, static_cast<int>(kSeeds));
}

TEST(PartitionSweep, LosesAnAcknowledgedObjectIfItDoesNotAskWhatBecameGarbage) {
  if (!kSafeguardsSwitchable) GTEST_SKIP();
  const SafeguardLeftOut left_out(Safeguard::sweep_asks_cores);
  Overwritten total;
  for (uint64_t seed = 1; seed <= kSeeds / 2; ++seed) overwrite_without_end(seed, total);
  EXPECT_GT(total.lost, 0);
}

// Clients that rename back and forth without a pause, a key or all beneath a prefix, until the sweep is done.
struct Renaming {
  uint64_t renamed = 0;
  Duration longest;
  Duration swept_after;
  uint64_t leaked = 0, lost = 0;
};
Task<void> rename_on(Session* session, unsigned client, bool prefix, Renaming* total, bool* stop) {
  const std::string slash = prefix ? "/" : "";
  std::string from = "d/r" + std::to_string(client) + slash;
  std::string to = "y" + std::to_string(client) + slash;
  while (!*stop) {
    const Instant begin = session->env.now();
    const auto made = co_await session->front->rename(
        {.deadline = begin + Duration::seconds(60)},
        {.bucket = kBucket, .source = from, .destination = to, .prefix = prefix});
    CO_CHECK_OK(made);
    ++total->renamed;
    total->longest = std::max(total->longest, session->env.now() - begin);
    std::swap(from, to);
  }
}

constexpr Duration kPatience = Duration::seconds(20);

void rename_until_swept(uint64_t seed, bool prefix, Renaming& total) {
  Killed killed(seed);
  bool stop = false;
  killed.world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(killed.blobs, killed.options));
    const Instant begin = env.now();
    Scope scope(env);
    for (unsigned client = 0; client < kRenamers; ++client)
      scope.spawn(&rename_on, &session, client, prefix, &total, &stop);
    while (!session.partition->statistics().sweep_done && env.now() < begin + kPatience)
      (void)co_await sleep_for(env, Duration::milliseconds(5));
    total.swept_after = std::max(total.swept_after, env.now() - begin);
    total.leaked += killed.has(killed.orphan);
    stop = true;
    co_await scope.join();
    for (const BlobId& blob : killed.named) total.lost += !killed.has(blob);
    co_await session.verify();
    CO_CHECK_OK(co_await session.close());
  });
}

Renaming rename_until_swept(uint64_t seeds) {
  Renaming total;
  for (uint64_t seed = 1; seed <= seeds; ++seed) rename_until_swept(seed, seed % 2 == 0, total);
  return total;
}

TEST(PartitionSweep, EndsWhileClientsRename) {
  const Renaming total = rename_until_swept(6);
  EXPECT_EQ(total.leaked, 0u) << "what a dead process wrote was not freed";
  EXPECT_EQ(total.lost, 0u);
  EXPECT_GT(total.renamed, 500u);
  EXPECT_LT(total.swept_after, kPatience);
  EXPECT_LT(total.longest, Duration::seconds(3)) << "a rename was held back for long";
}

TEST(PartitionSweep, DoesNotEndIfRenamesAreNotHeldBack) {
  if (!kSafeguardsSwitchable) GTEST_SKIP();
  const SafeguardLeftOut left_out(Safeguard::sweep_holds_renames);
  EXPECT_GT(rename_until_swept(1).leaked, 0u);
}

// A commit that takes a blob over tells the sweep, and is made when the sweep has begun anew: what was told
// before is forgotten then.
uint64_t lost_by_moves(uint64_t seed) {
  World world(seed, 2);
  FakeBlobs blobs;
  EngineOptions options = small_options();
  options.sweep_blobs_max = 100;  // several passes
  bool written = false;
  std::vector<BlobId> of_key;
  const auto key_of = [](int i, bool moved) { return fmt::format("{}/{:04}", moved ? "a" : "z", i); };
  world.node.start([&](Env& env) -> Task<void> {
    if (env.core() != 0) co_return;
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, options));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    for (int i = 0; i < 400; ++i) {
      of_key.push_back(blobs.new_blob());
      blobs.write(of_key.back());
      CO_CHECK_OK(co_await session.put(key_of(i, false), object_naming(of_key.back())));
    }
    written = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
  });
  EXPECT_TRUE(world.simulation.run_until([&] { return written; }, Duration::seconds(100)));
  world.node.crash(sim::CrashKind::kill);
  struct {
    Partition* partition = nullptr;
    bool done = false;
  } shared;
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    if (env.core() != 0) {
      while (shared.partition == nullptr) (void)co_await sleep_for(env, Duration::microseconds(50));
      session.front = co_await PartitionFront::open(env, *shared.partition);
      session.front->use_blobs(blobs);
      std::mt19937_64 random(seed);
      while (!shared.partition->statistics().sweep_done) {
        // There and back, over and over, as atomic commits.
        const int i = static_cast<int>(random() % of_key.size());
        const bool back = random() % 2 == 0;
        const std::string record = object_naming(of_key[static_cast<size_t>(i)]);
        const std::string from = key_of(i, back);
        const std::string to = key_of(i, !back);
        const Mutation move[] = {
            {.kind = Mutation::Kind::erase, .key = from, .condition = {.kind = Condition::Kind::must_exist}},
            {.key = to, .record = record}};
        const auto moved = co_await session.front->commit({}, kBucket, move);
        CO_CHECK(moved || moved.error().is(NamespaceError::not_found));
      }
      co_await session.front->close();
      shared.done = true;
      co_return;
    }
    CO_CHECK_OK(co_await session.open(blobs, options));
    shared.partition = session.partition;
    while (!shared.done) (void)co_await sleep_for(env, Duration::milliseconds(1));
    co_await session.verify();
    CO_CHECK_OK(co_await session.close());
  });
  uint64_t lost = 0;
  for (const BlobId& blob : of_key) lost += !blobs.live.contains({blob, 0});
  return lost;
}

TEST(PartitionSweep, KeepsWhatMovesFromOnePassToTheNext) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) EXPECT_EQ(lost_by_moves(seed), 0u) << "seed " << seed;
}

}  // namespace
}  // namespace fb
