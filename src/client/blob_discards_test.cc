// SPDX-License-Identifier: Apache-2.0
#include "client/blob_discards.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>

#include "io/sim/simulation.h"

namespace fb {
namespace {

constexpr uint16_t kShards = 4;

BlobId blob(uint64_t number) {
  return {.shard = static_cast<uint16_t>(number % kShards), .incarnation = {1}, .number = number};
}
BlobId cloud_object(uint64_t number) {
  return {.volume = kCloudVolume, .incarnation = {1}, .number = number};
}

// A store that answers as it is told.
struct Store {
  Env& env;
  std::set<BlobId> erased{};
  int failures = 0;  // the next calls for blobs of this machine fail
  std::optional<uint16_t> broken_shard{};
  bool cloud_hangs = false;  // calls for the cloud hang until the deadline
  uint64_t calls = 0;
  size_t batch_max = 0;

  Task<Result<void>> erase(const CallContext& context, std::span<const BlobExtent> extents) {
    ++calls;
    batch_max = std::max(batch_max, extents.size());
    const bool cloud = is_cloud(extents.front().id);
    for (const BlobExtent& extent : extents) {
      EXPECT_EQ(is_cloud(extent.id), cloud) << "a batch of two volumes";
      EXPECT_EQ(extent.id.shard, extents.front().id.shard) << "a batch of two shards";
      EXPECT_EQ(extent.block_count, 3U);
    }
    if (cloud && cloud_hangs) {
      (void)co_await sleep_until(env, context.deadline);
      co_return BlobError::timed_out;
    }
    (void)co_await sleep_for(env, Duration::milliseconds(1));
    if (!cloud && failures > 0) {
      --failures;
      co_return BlobError::unavailable;
    }
    if (!cloud && extents.front().id.shard == broken_shard) co_return BlobError::full;
    for (const BlobExtent& extent : extents) erased.insert(extent.id);
    co_return Result<void>();
  }
};

void run(const std::function<Task<void>(Env&, Store&, BlobDiscards&)>& body,
         size_t waiting_max = BlobDiscards::kWaitingMax) {
  sim::Simulation simulation(1);
  sim::SimNode& node = simulation.add_node({.name = "node"});
  bool ended = false;
  node.start([&](Env& env) -> Task<void> {
    Store store{.env = env};
    BlobDiscards discards(
        env,
        [&](const CallContext& context, std::span<const BlobExtent> extents) {
          return store.erase(context, extents);
        },
        waiting_max);
    co_await body(env, store, discards);
    ended = true;
  });
  simulation.run_until([&] { return !node.running(); }, Duration::minutes(60));
  EXPECT_TRUE(ended) << "something waits for ever";
}

TEST(BlobDiscards, ErasesInBatches) {
  run([](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
    for (uint64_t i = 0; i < 1000; ++i) discards.discard_blob(blob(i), 3);
    (void)co_await sleep_for(env, Duration::milliseconds(100));
    EXPECT_EQ(store.erased.size(), 1000U);
    EXPECT_EQ(discards.erased(), 1000U);
    EXPECT_EQ(discards.waiting(), 0U);
    EXPECT_LE(store.batch_max, BlobDiscards::kBatchMax);
    EXPECT_LT(store.calls, 20U);
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(1)), 0U);
  });
}

TEST(BlobDiscards, TriesAgainUntilItIsErased) {
  run([](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
    store.failures = 4;  // with pauses of 2, 4, 8 and 16 s
    discards.discard_blob(blob(1), 3);
    (void)co_await sleep_for(env, Duration::seconds(20));
    EXPECT_EQ(discards.waiting(), 1U);
    EXPECT_EQ(discards.erased(), 0U);
    (void)co_await sleep_for(env, Duration::seconds(20));
    EXPECT_TRUE(store.erased.contains(blob(1)));
    EXPECT_EQ(store.calls, 5U);
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(1)), 0U);
  });
}

// A shard that is full to the last block takes no tombstones.
TEST(BlobDiscards, AShardThatTakesNoErasesHoldsUpNoOther) {
  run([](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
    store.broken_shard = 1;
    for (uint64_t i = 0; i < 4'000; ++i) discards.discard_blob(blob(i), 3);
    (void)co_await sleep_for(env, Duration::seconds(1));
    EXPECT_EQ(store.erased.size(), 3'000U);
    EXPECT_EQ(discards.waiting(), 1'000U);
    for (uint64_t i = 4'000; i < 4'400; ++i) discards.discard_blob(blob(i), 3);
    (void)co_await sleep_for(env, Duration::seconds(3));
    EXPECT_EQ(discards.waiting(), 1'100U);
    store.broken_shard.reset();
    (void)co_await sleep_for(env, BlobDiscards::kRetryDelayMax);
    EXPECT_EQ(discards.waiting(), 0U);
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(1)), 0U);
  });
}

TEST(BlobDiscards, ACloudThatDoesNotAnswerHoldsUpNoBlob) {
  run([](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
    store.cloud_hangs = true;
    discards.discard_blob(cloud_object(1), 3);
    for (uint64_t i = 0; i < 10; ++i) {
      (void)co_await sleep_for(env, Duration::milliseconds(10));
      discards.discard_blob(blob(i), 3);
    }
    (void)co_await sleep_for(env, Duration::milliseconds(10));
    EXPECT_EQ(store.erased.size(), 10U);
    store.cloud_hangs = false;
    (void)co_await sleep_for(env, BlobDiscards::kEraseTimeout + Duration::seconds(5));
    EXPECT_TRUE(store.erased.contains(cloud_object(1)));
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(1)), 0U);
  });
}

TEST(BlobDiscards, TheEndSaysWhatIsLeftToTheSweep) {
  run([](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
    store.failures = 100;
    discards.discard_blob(blob(1), 3);
    discards.discard_blob(blob(2), 3);
    discards.discard_blob(cloud_object(3), 3);
    const Instant before = env.now();
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(2)), 2U);
    EXPECT_LT(env.now() - before, Duration::seconds(2));
    EXPECT_EQ(store.erased.size(), 1U);
  });
}

TEST(BlobDiscards, MoreThanItsBoundIsLeftToTheSweep) {
  run(
      [](Env& env, Store& store, BlobDiscards& discards) -> Task<void> {
        for (uint64_t i = 0; i < 15; ++i) discards.discard_blob(blob(i), 3);
        EXPECT_EQ(discards.waiting(), 10U);
        (void)co_await sleep_for(env, Duration::seconds(1));
        EXPECT_EQ(store.erased.size(), 10U);
        EXPECT_EQ(discards.overflowed(), 5U);
        EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(1)), 5U);
      },
      10);
}

}  // namespace
}  // namespace fb
