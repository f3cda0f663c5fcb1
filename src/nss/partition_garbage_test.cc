// SPDX-License-Identifier: Apache-2.0
// Garbage that cannot be freed now: it holds up no other, and a stop does not
// wait for it.
#include <gtest/gtest.h>

#include "nss/full_journal.h"

namespace fb {
namespace {

constexpr uint16_t kBroken = 0;
constexpr uint16_t kSound = 1;  // behind it in the order in which garbage is freed

struct Garbage {
  FakeBlobs blobs;
  BlobId written(uint16_t volume) {
    BlobId blob = blobs.new_blob();
    blob.volume = volume;
    blobs.write(blob);
    return blob;
  }
  // An object with content, overwritten.
  Task<BlobId> leave(Session& session, const std::string& key, uint16_t volume) {
    const BlobId blob = written(volume);
    EXPECT_TRUE(co_await session.put(key, object_naming(blob)));
    EXPECT_TRUE(co_await session.put(key, inline_object("new")));
    co_return blob;
  }
  // The parts of an upload that is aborted.
  Task<std::vector<BlobId>> abort_upload(Session& session, uint16_t volume, int parts) {
    std::vector<BlobId> left;
    for (int i = 0; i < parts; ++i) {
      left.push_back(written(volume));
      const std::string key = "u/" + std::to_string(i);
      const std::string record =
          PartRecord{.size_bytes = 5,
                     .content = {.kind = Locator::Kind::blob, .blob = left.back(), .length_bytes = 5}}
              .encode();
      EXPECT_TRUE(
          co_await session.front->apply({}, kBucket, {.space = Space::parts, .key = key, .record = record}));
    }
    EXPECT_TRUE(co_await session.front->apply(
        {}, kBucket, {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "u/"}));
    co_return left;
  }
  bool has(const BlobId& blob) const { return blobs.live.contains({blob, 0}); }
};

Task<void> wait(Session& session, int64_t seconds) {
  (void)co_await sleep_for(session.env, Duration::seconds(seconds));
}

TEST(PartitionGarbage, WhatCannotBeErasedHoldsUpNoOther) {
  World world;
  Garbage garbage;
  in_new_bucket(world, garbage.blobs, [&](Session& session) -> Task<void> {
    garbage.blobs.broken_volumes = {kBroken};
    const BlobId stuck = co_await garbage.leave(session, "a", kBroken);
    const BlobId other = co_await garbage.leave(session, "b", kSound);
    co_await wait(session, 5);
    EXPECT_TRUE(garbage.has(stuck));
    EXPECT_FALSE(garbage.has(other));
    EXPECT_EQ(session.partition->statistics().ledger_blobs, 1u);
    EXPECT_EQ(session.partition->statistics().held_blobs, 0u);
    garbage.blobs.broken_volumes.clear();
    co_await wait(session, 5);
    EXPECT_FALSE(garbage.has(stuck));
  });
}

TEST(PartitionGarbage, ALedgerFullOfWhatCannotBeErasedTakesDetachedPartsAllTheSame) {
  World world;
  Garbage garbage;
  EngineOptions options = small_options();
  options.ledger_detached_max = 4;
  in_new_bucket(
      world, garbage.blobs,
      [&](Session& session) -> Task<void> {
        garbage.blobs.broken_volumes = {kBroken};
        for (int i = 0; i < 6; ++i) (void)co_await garbage.leave(session, std::to_string(i), kBroken);
        co_await wait(session, 5);
        EXPECT_EQ(session.partition->statistics().ledger_blobs, 6u);
        for (const BlobId& part : co_await garbage.abort_upload(session, kSound, 20)) {
          co_await wait(session, 3);
          EXPECT_FALSE(garbage.has(part));
        }
        garbage.blobs.broken_volumes.clear();
        co_await wait(session, 5);
      },
      options);
  EXPECT_TRUE(garbage.blobs.live.empty());
}

// A record in a blob of its own that is lost: what it named cannot be known, so
// it stays detached.
TEST(PartitionGarbage, ADetachedRecordThatCannotBeReadIsTriedEverMoreRarely) {
  World world;
  Garbage garbage;
  in_new_bucket(world, garbage.blobs, [&](Session& session) -> Task<void> {
    ObjectRecord large;
    const std::string metadata(3000, 'm');
    large.metadata = metadata;
    const std::string record = large.encode();
    const std::set<BlobKey> before = garbage.blobs.live;
    CO_CHECK_OK(
        co_await session.front->apply({}, kBucket, {.space = Space::parts, .key = "u/1", .record = record}));
    garbage.blobs.live = before;
    CO_CHECK_OK(co_await session.front->apply(
        {}, kBucket, {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "u/"}));
    for (int i = 0; i < 60; ++i) {
      const BlobId other = co_await garbage.leave(session, "other", kSound);
      co_await wait(session, 3);
      EXPECT_FALSE(garbage.has(other));
    }
  });
  size_t told = 0;
  const std::string log = world.log();
  for (size_t at = log.find("what lies detached"); at != std::string::npos; ++told)
    at = log.find("what lies detached", at + 1);
  EXPECT_GT(told, 1u);
  EXPECT_LT(told, 15u);
}

TEST(PartitionGarbage, AStopDoesNotWaitForAJournalThatIsFull) {
  World world;
  Garbage garbage;
  Duration took;
  world.run([&](Env& env) -> Task<void> {
    std::unique_ptr<FullJournal> journal;
    Session session(env);
    CO_CHECK_OK(co_await open_over_full_journal(session, garbage.blobs, small_options(), journal));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    const std::string named = object_naming(garbage.written(kSound));
    CO_CHECK_OK(co_await session.put("k", named));
    journal->full = true;
    const auto replaced = co_await session.front->apply({.deadline = env.now() + Duration::milliseconds(100)},
                                                        kBucket, {.kind = Mutation::Kind::erase, .key = "k"});
    CO_CHECK(!replaced && replaced.error().is(NamespaceError::outcome_unknown));
    (void)co_await sleep_for(env, Duration::seconds(1));
    const Instant before = env.now();
    (void)co_await session.close();
    took = env.now() - before;
  });
  EXPECT_LT(took, Duration::seconds(10));
}

// Every buffer is in use: a record that needs one waits no longer than its
// caller.
TEST(PartitionGarbage, ALargeRecordWaitsForItsBufferNoLongerThanItsCaller) {
  World world;
  Garbage garbage;
  in_new_bucket(world, garbage.blobs, [&](Session& session) -> Task<void> {
    std::vector<Buffer> all;
    for (size_t size : {size_t{1} * kMiB, size_t{64} * kKiB, size_t{4} * kKiB}) {
      while (Buffer buffer = session.env.buffers().try_allocate(size)) all.push_back(std::move(buffer));
    }
    ObjectRecord large;
    const std::string metadata(3000, 'm');
    large.metadata = metadata;
    const std::string record = large.encode();
    const Instant before = session.env.now();
    const auto put = co_await session.front->apply({.deadline = before + Duration::milliseconds(200)},
                                                   kBucket, {.key = "k", .record = record});
    EXPECT_TRUE(!put && put.error().is(NamespaceError::timed_out));
    EXPECT_LT(session.env.now() - before, Duration::milliseconds(300));
    all.clear();
    CO_CHECK_OK(co_await session.put("k", record));
  });
}

}  // namespace
}  // namespace fb
