// SPDX-License-Identifier: Apache-2.0
// What becomes garbage while the sweep marks: it is the ledger's to free, when it is durable and nobody reads
// it, and no sweep may take it for something that no record ever named.
#include <gtest/gtest.h>

#include <random>

#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr uint64_t kSeeds = 12;
constexpr int kFillers = 1500;
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
  BlobId early, late;  // of "a-j" and of "zzz-k"
};

Task<void> until_swept(Session& session) {
  while (!session.partition->statistics().sweep_done)
    (void)co_await sleep_for(session.env, Duration::milliseconds(5));
}

// A GET sends the object to a slow client. The freeing task waits for it, with other garbage in its round, so
// that it does not fetch what the overwrite leaves.
bool sweep_spares_the_reader(uint64_t seed, Partition::LeftOut left_out) {
  Killed killed(seed);
  killed.options.left_out = left_out;
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
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) EXPECT_TRUE(sweep_spares_the_reader(seed, {})) << seed;
}

TEST(PartitionSweep, TakesAReadersBlobIfItDoesNotAskWhatBecameGarbage) {
  uint64_t taken = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed)
    taken += !sweep_spares_the_reader(seed, {.sweep_garbage = true});
  EXPECT_EQ(taken, kSeeds);
}

// The drive takes long over the record of the overwrite, and power fails before it is there: the object that
// was acknowledged before is the one that is found.
struct Overwritten {
  int runs = 0;
  int overwrote_while_marking = 0;
  int lost = 0;
};
Task<void> overwrite(Session* session) { (void)co_await session->put("zzz-k", inline_object("new")); }

void overwrite_without_end(uint64_t seed, Overwritten& total) {
  Killed killed(seed);
  killed.options.free_delay = Duration::milliseconds(200);
  killed.options.memory_bytes = 32 * kMiB;
  sim::SimNode& node = killed.world.node;
  bool crash_now = false;
  node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(killed.blobs, killed.options));
    (void)co_await sleep_for(env, Duration::microseconds(100 + static_cast<int64_t>(40 * seed)));
    total.overwrote_while_marking += session.partition->sweeping();
    node.disk().faults().stall_ppm = 1'000'000;
    node.disk().faults().roles = 1U << static_cast<unsigned>(FileRole::journal);
    const uint64_t before = session.partition->journal_buffer().tail();
    Scope scope(env);
    scope.spawn(&overwrite, &session);
    while (session.partition->journal_buffer().tail() == before)
      (void)co_await sleep_for(env, Duration::microseconds(20));
    const uint64_t tail = session.partition->journal_buffer().tail();
    // Until its content is gone, which must not be, or the record is there.
    while (killed.has(killed.late) && session.partition->journal_buffer().durable() < tail)
      (void)co_await sleep_for(env, Duration::microseconds(20));
    crash_now = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
    co_await scope.join();
  });
  ASSERT_TRUE(killed.world.simulation.run_until([&] { return crash_now; }, Duration::seconds(100)));
  node.crash(sim::CrashKind::power_loss);
  node.disk().faults().stall_ppm = 0;
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
