// SPDX-License-Identifier: Apache-2.0
// A store that is full, or nearly so, for long; and an index made anew from descriptors.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "bss/blob/test_store.h"
#include "io/sim/simulation.h"
#include "io/sim/thinning.h"

namespace fb::bss {
namespace {

using sim::SimNode;
using sim::Simulation;

constexpr Duration kLimit = Duration::minutes(600);

class BlobSpaceTest : public testing::Test {
 public:
  BlobSpaceTest() : simulation_(1), node_(simulation_.add_node({.name = "node"})) {
    options_.directory = "/blobs";
    options_.shard_count = 2;
    options_.segment_bytes = 128 * kKiB;
    options_.capacity_bytes = 2 * 32 * options_.segment_bytes;
    options_.cache_bytes = 0;
    options_.checkpoint_interval_bytes = kMiB;
  }
  void with_store(const std::function<Task<void>(Env&, BlobFront&)>& body) {
    options_.incarnation.value += 1;
    node_.start([&](Env& env) -> Task<void> {
      auto store = co_await BlobStore::open(env, options_);
      CO_ASSERT_OK(store);
      BlobFront front(env, **store);
      CO_ASSERT_OK(co_await front.open());
      co_await body(env, front);
      EXPECT_TRUE(front.verify());
      CO_ASSERT_OK(co_await front.close());
    });
    ASSERT_TRUE(simulation_.run_until([&] { return !node_.running(); }, kLimit)) << node_.describe_waiting();
  }
  Task<Result<void>> put(Env& env, BlobFront& front, uint32_t length) {
    const BlobKey key{.id = front.new_blob()};
    FB_CO_CHECK(co_await put_bytes(env, front, key, payload_of(key.id.number, length)));
    keys_.push_back(key);
    lengths_[key] = length;
    co_return Result<void>();
  }
  // Until both shards refuse.
  Task<void> fill(Env& env, BlobFront& front, uint32_t length) {
    for (int refused = 0; refused < 4;) {
      const Result<void> done = co_await put(env, front, length);
      if (!done) CO_ASSERT(done.error().is(BlobError::full));
      refused += !done;
    }
  }
  Task<void> erase(BlobFront& front, size_t index) {
    const BlobExtent extent{.id = keys_[index].id, .block_count = 1};
    CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    lengths_.erase(keys_[index]);
    keys_[index] = keys_.back();
    keys_.pop_back();
  }
  Task<void> check(BlobFront& front) {
    for (const BlobKey& key : keys_) {
      const uint32_t length = lengths_[key];
      CO_ASSERT((co_await get_bytes(front, key, 0, length)).value() == payload_of(key.id.number, length));
    }
    const BlobUsage usage = front.usage_here();
    EXPECT_EQ(usage.blobs, keys_.size());
    EXPECT_EQ(usage.capacity_bytes, usage.live_bytes + usage.garbage_bytes + usage.unwritten_bytes +
                                        usage.free_bytes + usage.unallocated_bytes + usage.lost_bytes);
  }

  Simulation simulation_;
  SimNode& node_;
  BlobStoreOptions options_;
  std::vector<BlobKey> keys_;
  std::map<BlobKey, uint32_t> lengths_;
};

Task<void> put_one(Env& env, BlobFront& front, BlobId id) {
  CO_ASSERT_OK(co_await put_bytes(env, front, {.id = id}, payload_of(id.number, 4096)));
}
Task<void> erase_one(Env& env, BlobFront& front, BlobId id, Duration after) {
  (void)co_await sleep_for(env, after);
  const BlobExtent extent{.id = id, .block_count = 1};
  CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
}

// At random, each in turn, so many times.
Task<void> overwrite(Env& env, BlobFront& front, std::span<BlobId> ids, uint64_t seed, size_t times) {
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < times; ++i) {
    BlobId& id = ids[random() % ids.size()];
    const BlobId old = std::exchange(id, front.new_blob());
    co_await put_one(env, front, id);
    co_await erase_one(env, front, old, {});
  }
}

// Of compaction's time its pauses are the larger part, where space is plenty: also while it looks for what is
// live, of which there is little here.
TEST_F(BlobSpaceTest, CompactionPausesWhileItScans) {
  options_.shard_count = 1;
  options_.segment_bytes = 4 * kMiB;
  options_.capacity_bytes = 16 * options_.segment_bytes;
  std::map<unsigned, Duration> took;
  for (const unsigned percent : {100U, 20U}) {
    options_.compaction_time_percent = percent;
    options_.directory = fmt::format("/blobs-{}", percent);
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      std::vector<BlobExtent> erased;
      for (int i = 0; i < 1200; ++i) {  // more than a segment
        const BlobId id = front.new_blob();
        co_await put_one(env, front, id);
        if (i % 100 != 0) erased.push_back({.id = id, .block_count = 1});
      }
      EXPECT_EQ(front.stats().compacted_segments, 0U);
      CO_ASSERT_OK(co_await front.erase({}, erased));
      const Instant begun = env.now();
      while (front.stats().compacted_segments == 0 && env.now() - begun < Duration::seconds(60))
        (void)co_await sleep_for(env, Duration::microseconds(100));
      EXPECT_EQ(front.stats().compacted_segments, 1U);
      EXPECT_LE(front.stats().compacted_bytes, 20 * kBlockBytes);
      took[percent] = env.now() - begun;
    });
  }
  GTEST_LOG_(INFO) << took[100].microseconds() << " us without pauses, " << took[20].microseconds()
                   << " us with them";
  EXPECT_GE(took[20].ns, 3 * took[100].ns);
}

// Puts that wait together go out in one batch for each idle writer, and erases that keep coming in few.
TEST_F(BlobSpaceTest, BatchesShareWhatIsQueued) {
  options_.shard_count = 1;
  options_.segment_bytes = kMiB;
  options_.capacity_bytes = 16 * options_.segment_bytes;
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    co_await put_one(env, front, front.new_blob());  // there is a segment from here on
    std::vector<BlobId> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(front.new_blob());
    const uint64_t before_puts = front.stats().batches;
    {
      Scope scope(env);
      for (const BlobId& id : ids) scope.spawn(&put_one, std::ref(env), std::ref(front), id);
      co_await scope.join();
    }
    EXPECT_GE(front.stats().batches - before_puts, options_.writes_in_flight);
    EXPECT_LE(front.stats().batches - before_puts, options_.writes_in_flight + 2);  // zeros may be in the way
    const uint64_t before_erases = front.stats().batches;
    {
      Scope scope(env);
      for (size_t i = 0; i < ids.size(); ++i)
        scope.spawn(&erase_one, std::ref(env), std::ref(front), ids[i],
                    Duration::microseconds(static_cast<int64_t>(i) * 300));
      co_await scope.join();
    }
    EXPECT_LE(front.stats().batches - before_erases, 14U);  // 19 ms of them
    EXPECT_EQ(front.blob_count(), 1U);
  });
}

TEST_F(BlobSpaceTest, FilledUpAndEmptiedTwentyTimes) {
  size_t first = 0;
  for (int round = 0; round < static_cast<int>(sim::thinned(20)); ++round) {
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      co_await fill(env, front, 8000);
      co_await check(front);
      if (round == 0) first = keys_.size();
      // What was taken once is taken again, but for a segment a shard that is not full yet.
      EXPECT_GE(keys_.size() + 2 * 16, first) << round;
      while (!keys_.empty()) co_await erase(front, keys_.size() - 1);
      const BlobUsage usage = front.usage_here();
      EXPECT_EQ(usage.live_bytes, 0U);
      EXPECT_EQ(usage.available_bytes, usage.capacity_bytes - usage.reserve_bytes);
    });
  }
  GTEST_LOG_(INFO) << fmt::format("{} blobs of 8000 bytes in {} KiB", first, options_.capacity_bytes / kKiB);
}

// At 95 % of what it takes, each blob that goes makes room for the next one, in single steps and for long.
TEST_F(BlobSpaceTest, NearlyFullForLong) {
  std::mt19937_64 random(3);
  options_.shard_count = 1;
  options_.segment_bytes = kMiB;
  options_.capacity_bytes = 80 * options_.segment_bytes;  // so that 5 % are some segments
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    co_await fill(env, front, 4096);
    const size_t most = keys_.size();
    while (keys_.size() > most * 95 / 100) co_await erase(front, random() % keys_.size());
    const uint64_t written = env.stats().file_write_bytes;
    constexpr int kRewrites = 2000;
    for (int i = 0; i < kRewrites; ++i) {
      co_await erase(front, random() % keys_.size());
      const Result<void> done = co_await put(env, front, 4096);
      const BlobUsage usage = front.usage_here();
      if (!done) {
        ADD_FAILURE() << fmt::format(
            "{} after {} rewrites: {} live, {} garbage, {} unwritten, {} free segments of {}",
            done.error().to_string(), i, usage.live_bytes, usage.garbage_bytes, usage.unwritten_bytes,
            usage.segments_free, usage.segments);
        co_return;
      }
    }
    co_await check(front);
    GTEST_LOG_(INFO) << fmt::format(
        "{} blobs of {}, {} rewritten one by one, {:.1f} bytes written for one put", keys_.size(), most,
        kRewrites, static_cast<double>(env.stats().file_write_bytes - written) / (4096.0 * kRewrites));
  });
  with_store([&](Env&, BlobFront& front) -> Task<void> { co_await check(front); });
}

// Content of many blocks goes where all of it has room, not where the last put went.
TEST_F(BlobSpaceTest, LargeContentGoesWhereItHasRoom) {
  options_.segment_bytes = 16 * kMiB;                         // 15 blocks of 1 MiB
  options_.capacity_bytes = 2 * 10 * options_.segment_bytes;  // 105 of them in each shard
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    const auto put_in = [&](uint16_t shard, int count) -> Task<void> {
      for (int i = 0; i < count; ++i) {
        BlobKey key{.id = front.new_blob()};
        key.id.shard = shard;
        CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.id.number, kBlobBlockSizeMax)));
      }
    };
    co_await put_in(1, 50);
    co_await put_in(0, 46);
    EXPECT_EQ(front.new_blob().shard, 0);
    co_await put_in(0, 13);
    CO_ASSERT(front.new_blob().shard == 0);  // puts go on there until a segment is full
    EXPECT_EQ(front.new_blob_of(40 * kMiB).shard, 0);
    BlobKey key{.id = front.new_blob_of(54 * kMiB)};
    EXPECT_EQ(key.id.shard, 1);
    for (; key.block < 54; ++key.block)
      CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.block, kBlobBlockSizeMax)));
    EXPECT_EQ(front.new_blob_of(kBlobBlockSizeMax * kGiB).shard,
              0);  // nowhere has that; then where most is left
  });
}

// A tombstone goes when no segment holds what it hides any more, also where blobs are erased while compaction
// moves them: else there would be more of them the longer a store is in use.
TEST_F(BlobSpaceTest, TombstonesGoWithWhatTheyHide) {
  options_.shard_count = 1;
  options_.capacity_bytes = 64 * options_.segment_bytes;
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    std::vector<BlobId> ids;
    constexpr size_t kBlobs = 1300;  // of 1,700
    for (size_t i = 0; i < kBlobs; ++i) {
      ids.push_back(front.new_blob());
      co_await put_one(env, front, ids.back());
    }
    constexpr size_t kRounds = 12;  // the whole store so many times
    constexpr size_t kWriters = 100;
    {
      Scope scope(env);
      const size_t share = kBlobs / kWriters;
      for (size_t i = 0; i < kWriters; ++i)
        scope.spawn(&overwrite, std::ref(env), std::ref(front), std::span(ids).subspan(i * share, share), i,
                    kRounds * share);
      co_await scope.join();
    }
    EXPECT_GT(front.stats().compacted_segments, 100U);
    EXPECT_LT(front.usage_here().tombstones, kBlobs);
    GTEST_LOG_(INFO) << fmt::format("{} tombstones beside {} blobs after {} overwrites",
                                    front.usage_here().tombstones, kBlobs, kRounds * kBlobs);
  });
}

// With checkpoint or without: the same blobs at the same cost.
TEST_F(BlobSpaceTest, IndexMadeFromDescriptorsEqualsTheOneThatWasLost) {
  std::mt19937_64 random(5);
  const auto listed = [](BlobFront& front, std::set<BlobKey>& out) -> Task<void> {
    for (uint16_t shard = 0; shard < front.shard_count(); ++shard) {
      uint64_t cursor = 0;
      do {
        Result<BlobPage> page = co_await front.enumerate({}, shard, cursor);
        CO_ASSERT_OK(page);
        out.insert(page->keys.begin(), page->keys.end());
        cursor = page->next_cursor;
      } while (cursor != 0);
    }
  };
  for (int round = 0; round < 8; ++round) {
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      for (int i = 0; i < 400; ++i) {
        if (keys_.size() > 300 || random() % 3 == 0) {
          if (!keys_.empty()) co_await erase(front, random() % keys_.size());
        } else {
          CO_ASSERT_OK(co_await put(env, front, 1 + static_cast<uint32_t>(random() % 12'000)));
        }
      }
    });
    std::set<BlobKey> before;
    BlobUsage usage_before;
    with_store([&](Env&, BlobFront& front) -> Task<void> {
      co_await listed(front, before);
      usage_before = front.usage_here();
      EXPECT_EQ(front.stats().checkpoints_lost, 0U);
    });
    node_.start([&](Env& env) -> Task<void> {
      for (const char* shard : {"0000", "0001"})
        CO_ASSERT_OK(co_await remove_file(env, std::string("/blobs/shard-") + shard + "/" + kCheckpointName));
    });
    ASSERT_TRUE(simulation_.run_until([&] { return !node_.running(); }, kLimit));
    with_store([&](Env&, BlobFront& front) -> Task<void> {
      EXPECT_EQ(front.stats().checkpoints_lost, 2U);
      std::set<BlobKey> after;
      co_await listed(front, after);
      EXPECT_EQ(before, after);
      EXPECT_EQ(front.usage_here().live_bytes, usage_before.live_bytes);
      EXPECT_EQ(front.usage_here().blobs, usage_before.blobs);
      co_await check(front);
    });
  }
}

}  // namespace
}  // namespace fb::bss
