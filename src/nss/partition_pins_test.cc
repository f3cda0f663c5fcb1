// SPDX-License-Identifier: Apache-2.0
// Reads that last: they hold up the freeing of garbage for kReadEpochMax, and from then on of what they still
// need only. A bucket is dropped without waiting for them.
#include <gtest/gtest.h>

#include <random>

#include "io/sim/thinning.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr int kParts = 6;

std::string object_of(const std::vector<BlobId>& blobs) {
  ObjectRecord record;
  for (const BlobId& blob : blobs) {
    record.size_bytes += 100;
    record.parts.push_back({.number = static_cast<uint16_t>(record.parts.size() + 1),
                            .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 100}});
  }
  return record.encode();
}

// A GET of the parts in order, by a client that takes as long as the test wants.
struct SlowRead final : LongRead::Needs {
  SlowRead(ReadPin pin, std::vector<BlobId> blobs_in)
      : blobs(std::move(blobs_in)), reading(std::move(pin), *this) {}
  void name_blobs(std::vector<BlobId>& out) const override {
    out.insert(out.end(), blobs.begin() + static_cast<ptrdiff_t>(at), blobs.end());
    ++asked;
  }
  void go_on() {
    if (++at == blobs.size()) return reading.release();
    reading.come_to(blobs[at]);
  }
  std::vector<BlobId> blobs;
  size_t at = 0;
  mutable int asked = 0;
  LongRead reading;
};

struct Bucket {
  FakeBlobs blobs;
  Task<std::vector<BlobId>> put_parts(Session& session, std::string_view key) {
    std::vector<BlobId> parts;
    for (int i = 0; i < kParts; ++i) {
      parts.push_back(blobs.new_blob());
      blobs.write(parts.back());
    }
    EXPECT_TRUE(co_await session.put(key, object_of(parts)));
    co_return parts;
  }
  bool has(const BlobId& blob) const { return blobs.live.contains({blob, 0}); }
  uint64_t count(std::span<const BlobId> of) const {
    return static_cast<uint64_t>(std::ranges::count_if(of, [this](const BlobId& blob) { return has(blob); }));
  }
};

TEST(PartitionPins, GarbageOfOthersIsFreedWhileAReadLasts) {
  World world;
  Bucket bucket;
  in_new_bucket(world, bucket.blobs, [&](Session& session) -> Task<void> {
    const std::vector<BlobId> read = co_await bucket.put_parts(session, "read");
    {
      auto found = co_await session.front->get({}, kBucket, Space::objects, "read");
      CO_CHECK_OK(found);
      SlowRead slow(std::move(found->pin), read);
      CO_CHECK_OK(co_await session.put("read", inline_object("new")));
      (void)co_await sleep_for(session.env, Duration::seconds(5));
      EXPECT_EQ(slow.asked, 1);
      // What others leave from now on goes within a moment, over and over.
      for (int i = 0; i < 5; ++i) {
        const std::vector<BlobId> others = co_await bucket.put_parts(session, "other");
        CO_CHECK_OK(co_await session.put("other", inline_object("new")));
        (void)co_await sleep_for(session.env, Duration::seconds(1));
        EXPECT_EQ(bucket.count(others), 0u);
        EXPECT_EQ(bucket.count(read), static_cast<uint64_t>(kParts));
        EXPECT_EQ(session.partition->statistics().held_blobs, static_cast<uint64_t>(kParts));
      }
      for (uint64_t done = 1; done <= kParts; ++done) {
        slow.go_on();
        (void)co_await sleep_for(session.env, Duration::seconds(1));
        EXPECT_EQ(bucket.count(read), kParts - done);
      }
      EXPECT_EQ(slow.asked, 1);
    }
    EXPECT_EQ(session.partition->statistics().ledger_blobs, 0u);
  });
}

TEST(PartitionPins, AShortReadIsNotAskedAndPinsWithoutNeedsAreWaitedFor) {
  World world;
  Bucket bucket;
  in_new_bucket(world, bucket.blobs, [&](Session& session) -> Task<void> {
    const std::vector<BlobId> first = co_await bucket.put_parts(session, "a");
    {
      auto found = co_await session.front->get({}, kBucket, Space::objects, "a");
      CO_CHECK_OK(found);
      SlowRead quick(std::move(found->pin), first);
      CO_CHECK_OK(co_await session.put("a", inline_object("new")));
      (void)co_await sleep_for(session.env, Duration::seconds(1));
      EXPECT_EQ(quick.asked, 0);
      EXPECT_EQ(bucket.count(first), static_cast<uint64_t>(kParts));
    }
    (void)co_await sleep_for(session.env, Duration::milliseconds(200));
    EXPECT_EQ(bucket.count(first), 0u);
    const std::vector<BlobId> second = co_await bucket.put_parts(session, "b");
    {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, "b");
      CO_CHECK_OK(found);
      CO_CHECK_OK(co_await session.put("b", inline_object("new")));
      (void)co_await sleep_for(session.env, Duration::seconds(10));
      EXPECT_EQ(bucket.count(second), static_cast<uint64_t>(kParts));
    }
    (void)co_await sleep_for(session.env, Duration::milliseconds(200));
    EXPECT_EQ(bucket.count(second), 0u);
  });
}

// Aborted uploads and completed ones have left something detached: the drop clears that away itself.
TEST(PartitionPins, ABucketIsDroppedWithoutWaitingForAReader) {
  World world;
  Bucket bucket;
  in_new_bucket(world, bucket.blobs, [&](Session& session) -> Task<void> {
    const BucketId other{8};
    CO_CHECK_OK(co_await session.front->create_tree({}, other));
    const std::vector<BlobId> read = co_await bucket.put_parts(session, "read");
    std::vector<BlobId> parts;
    {
      auto found = co_await session.front->get({}, kBucket, Space::objects, "read");
      CO_CHECK_OK(found);
      SlowRead slow(std::move(found->pin), read);
      CO_CHECK_OK(co_await session.put("read", inline_object("new")));
      // The freeing task has something to wait for.
      (void)co_await sleep_for(session.env, Duration::milliseconds(100));
      for (int i = 0; i < 20; ++i) {
        parts.push_back(bucket.blobs.new_blob());
        bucket.blobs.write(parts.back());
        const std::string key = "u/" + std::to_string(i);
        const std::string record =
            PartRecord{.size_bytes = 5,
                       .content = {.kind = Locator::Kind::blob, .blob = parts.back(), .length_bytes = 5}}
                .encode();
        CO_CHECK_OK(
            co_await session.front->apply({}, other, {.space = Space::parts, .key = key, .record = record}));
      }
      CO_CHECK_OK(co_await session.front->apply(
          {}, other, {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "u/"}));
      const Instant before = session.env.now();
      CO_CHECK_OK(co_await session.front->drop_tree({.deadline = before + Duration::seconds(1)}, other));
      EXPECT_LT(session.env.now() - before, Duration::milliseconds(200));
      EXPECT_EQ(bucket.count(read), static_cast<uint64_t>(kParts));
    }
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_EQ(bucket.count(parts), 0u);
  });
}

// Readers on one core, of random patience, and a writer that overwrites and renames what they read on
// another; processes are killed. No reader loses a blob that it needs, and all that is not named goes.
struct Crowd {
  explicit Crowd(uint64_t seed) : world(seed, 2), random(seed) {
    options.read_epoch_max = Duration::milliseconds(5);
  }
  World world;
  Bucket bucket;
  EngineOptions options = small_options();
  std::mt19937_64 random;
  Partition* partition = nullptr;
  unsigned readers = 0;
  bool reading_over = false, writing_over = false;
  uint64_t reads = 0, slow_reads = 0, overwritten = 0;
  static std::string key(uint64_t n) { return "k" + std::to_string(n % 8); }
};

Task<void> read_slowly(Crowd* crowd, Session* session, uint64_t n, uint64_t pace_us) {
  auto found = co_await session->front->get({}, kBucket, Space::objects, Crowd::key(n));
  if (found) {
    const auto record = ObjectRecord::decode(found->record);
    CO_CHECK_OK(record);
    std::vector<BlobId> blobs;
    for (const RecordPart& part : record->parts) blobs.push_back(part.content.blob);
    if (!blobs.empty()) {
      SlowRead slow(std::move(found->pin), blobs);
      for (size_t i = 0; i < blobs.size(); ++i) {
        (void)co_await sleep_for(session->env, Duration::microseconds(static_cast<int64_t>(pace_us)));
        EXPECT_TRUE(crowd->bucket.has(blobs[i])) << "a reader lost part " << i;
        slow.go_on();
      }
      ++crowd->reads;
      crowd->slow_reads += slow.asked != 0;
    }
  } else {
    CO_CHECK(found.error().is(NamespaceError::not_found));
  }
  --crowd->readers;
}

Task<void> read_on(Crowd* crowd, Session* session) {
  Scope scope(session->env);
  for (int i = 0; i < 60; ++i) {
    ++crowd->readers;
    scope.spawn(&read_slowly, crowd, session, crowd->random(), crowd->random() % 8000);
    (void)co_await sleep_for(session->env,
                             Duration::microseconds(static_cast<int64_t>(crowd->random() % 3000)));
  }
  co_await scope.join();
}

Task<void> write_on(Crowd* crowd, Session* session) {
  while (!crowd->reading_over && !testing::Test::HasFailure()) {
    const std::string key = Crowd::key(crowd->random());
    if (crowd->random() % 4 == 0) {
      (void)co_await session->front->rename(
          {}, {.bucket = kBucket, .source = key, .destination = Crowd::key(crowd->random())});
    } else {
      (void)co_await crowd->bucket.put_parts(*session, key);
      ++crowd->overwritten;
    }
    (void)co_await sleep_for(session->env,
                             Duration::microseconds(static_cast<int64_t>(crowd->random() % 2000)));
  }
}

void boot(Crowd& crowd, bool settles) {
  crowd.partition = nullptr;
  crowd.reading_over = crowd.writing_over = false;
  crowd.readers = 0;
  crowd.world.run([&crowd, settles](Env& env) -> Task<void> {
    Session session(env);
    if (env.core() != 0) {
      while (crowd.partition == nullptr) (void)co_await sleep_for(env, Duration::microseconds(100));
      session.front = co_await PartitionFront::open(env, *crowd.partition);
      session.front->use_blobs(crowd.bucket.blobs);
      co_await read_on(&crowd, &session);
      crowd.reading_over = true;
      while (!crowd.writing_over) (void)co_await sleep_for(env, Duration::milliseconds(1));
      co_await session.front->close();
      crowd.partition = nullptr;
      co_return;
    }
    CO_CHECK_OK(co_await session.open(crowd.bucket.blobs, crowd.options));
    (void)co_await session.front->create_tree({}, kBucket);
    crowd.partition = session.partition;
    co_await write_on(&crowd, &session);
    while (settles && !session.partition->statistics().sweep_done)
      (void)co_await sleep_for(env, Duration::milliseconds(5));
    if (settles) (void)co_await sleep_for(env, Duration::seconds(1));
    if (settles) {
      const auto report = co_await session.partition->verify();
      CO_CHECK_OK(report);
      for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
      EXPECT_EQ(report->named.size(), crowd.bucket.blobs.live.size());
      for (const auto& [blob, block_count] : report->named) EXPECT_TRUE(crowd.bucket.has(blob));
    }
    crowd.writing_over = true;
    while (crowd.partition != nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
    CO_CHECK_OK(co_await session.close());
  });
}

// Keys between those that the crowd uses, more than fit into memory: so the
// mark takes several slices, and waits for pages.
Task<void> put_fillers(Session& session) {
  constexpr int kFillers = 1500;
  const std::string filler = inline_object(std::string(800, '.'));
  std::vector<std::string> keys;
  std::vector<Mutation> puts;
  for (int i = 0; i < kFillers; ++i)
    keys.push_back(Crowd::key(static_cast<uint64_t>(i)) + "/" + std::to_string(i));
  for (const std::string& key : keys) puts.push_back({.key = key, .record = filler});
  for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
}

TEST(PartitionPins, SweepOverwriteRenameReadAndCrash) {
  uint64_t reads = 0, slow_reads = 0, crashes = 0;
  for (uint64_t seed = 1; seed <= 40; seed += sim::kThinning) {
    Crowd crowd(seed);
    crowd.world.run([&](Env& env) -> Task<void> {
      if (env.core() != 0) co_return;
      Session session(env);
      CO_CHECK_OK(co_await session.open(crowd.bucket.blobs, crowd.options));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await put_fillers(session);
      CO_CHECK_OK(co_await session.close());
    });
    for (int i = 0; i < 3; ++i) {
      crowd.world.node.crash_at(sim::SimNode::CrashPoint::io_before, 20 + crowd.random() % 150,
                                seed % 2 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
      boot(crowd, false);
      crashes += crowd.world.node.crashed();
    }
    crowd.world.node.forget_planned_crash();
    boot(crowd, true);
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << crowd.world.log();
    reads += crowd.reads;
    slow_reads += crowd.slow_reads;
  }
  EXPECT_GT(crashes, 40 / sim::kThinning);
  EXPECT_GT(reads, 1000 / sim::kThinning);
  EXPECT_GT(slow_reads, 200 / sim::kThinning);
}

}  // namespace
}  // namespace fb
