// SPDX-License-Identifier: Apache-2.0
// Every core reads every shard: while its owner puts, erases, compacts and recycles segments all the time, on
// simulated cores that are left in the middle of things and on real threads.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <filesystem>
#include <optional>
#include <string_view>

#include "bss/blob/test_store.h"
#include "bss/test_world.h"
#include "io/runtime.h"
#include "io/sim/thinning.h"

namespace fb::bss {
namespace {

constexpr Duration kMeetingPoll = Duration::microseconds(200);
constexpr uint64_t kSeeds = sim::thinned(8);
constexpr uint64_t kRoundSeeds = sim::thinned(6);
constexpr int kRoundsOfThreads = sim::thinned(500);

BlobStoreOptions small_options(std::string directory, uint32_t shards) {
  BlobStoreOptions options{.directory = std::move(directory), .incarnation = {1}};
  options.shard_count = shards;
  options.segment_bytes = 128 * kKiB;
  options.capacity_bytes = shards * 24 * options.segment_bytes;
  options.cache_bytes = 2 * kMiB;
  options.checkpoint_interval_bytes = kMiB;
  options.compaction_time_percent = 100;
  options.compaction_live_percent = 60;
  return options;
}

// One store on all cores of a run. Each calls run(), and `body` is called on each between two meetings.
class OnAllCores {
 public:
  using Body = std::function<Task<void>(Env&, BlobFront&)>;
  OnAllCores(BlobStoreOptions options, unsigned cores) : options_(std::move(options)), cores_(cores) {}

  Task<void> run(Env& env, const Body& body) {
    if (env.core() == 0) {
      auto store = co_await BlobStore::open(env, options_);
      CO_ASSERT_OK(store);
      store_ = std::move(*store);
    }
    co_await meet(env);
    BlobFront front(env, *store_);
    fronts_[env.core()] = &front;
    CO_ASSERT_OK(co_await front.open());
    co_await meet(env);
    co_await body(env, front);
    co_await meet(env);
    EXPECT_TRUE(front.verify());
    CO_ASSERT_OK(co_await front.close());
    stats_[env.core()] = front.stats();
    co_await meet(env);
  }
  // Until all cores have come.
  Task<void> meet(Env& env) {
    const unsigned meeting = ++meetings_[env.core()];
    ++arrived_;
    while (arrived_ < meeting * cores_) (void)co_await sleep_for(env, kMeetingPoll);
  }
  // For tests that close out of turn.
  BlobFront& front(unsigned core) { return *fronts_[core]; }
  const BlobStats& stats(unsigned core) const { return stats_[core]; }
  unsigned cores() const { return cores_; }

 private:
  static constexpr unsigned kCoresMax = 8;
  BlobStoreOptions options_;
  const unsigned cores_;
  std::unique_ptr<BlobStore> store_;
  std::array<BlobFront*, kCoresMax> fronts_{};
  std::array<BlobStats, kCoresMax> stats_;
  std::array<unsigned, kCoresMax> meetings_{};
  std::atomic<unsigned> arrived_ = 0;
};

Task<Result<void>> erase_blob(BlobFront& front, BlobId id) {
  const BlobExtent extent{.id = id, .block_count = 1};
  co_return co_await front.erase({}, std::span(&extent, 1));
}

// In the simulator; the cores meet where they need to.
void simulate(uint64_t seed, OnAllCores& all, const OnAllCores::Body& body) {
  World world(seed, all.cores());
  world.run([&](Env& env) { return all.run(env, body); });
}

TEST(BlobOtherCores, ReadWithoutMessagesAndCopies) {
  OnAllCores all(small_options("/blobs", 4), 2);
  std::vector<BlobKey> keys;
  simulate(1, all, [&](Env& env, BlobFront& front) -> Task<void> {
    if (env.core() == 0) {
      for (uint64_t i = 0; i < 30; ++i) {
        const BlobKey key{.id = front.new_blob()};
        CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.id.number, 5000)));
        keys.push_back(key);
      }
    }
    co_await all.meet(env);
    const EnvStats before = env.stats();
    if (env.core() == 1) {
      for (int round = 0; round < 2; ++round) {
        for (const BlobKey& key : keys) {
          EXPECT_EQ((co_await get_bytes(front, key, 0, 5000)).value(), payload_of(key.id.number, 5000));
        }
      }
      EXPECT_EQ(env.stats().messages_sent, before.messages_sent);
      EXPECT_EQ(env.stats().bytes_copied, before.bytes_copied);
      EXPECT_EQ(env.stats().file_reads - before.file_reads, keys.size());
      EXPECT_EQ(front.stats().gets, 2 * keys.size());
      EXPECT_EQ(front.stats().cache_hits, keys.size());
      EXPECT_EQ(front.stats().get_bytes, 2 * keys.size() * 5000);
      EXPECT_TRUE((co_await get_bytes(front, keys[0], 4000, 1001)).error().is(BlobError::too_large));
      EXPECT_TRUE(
          (co_await get_bytes(front, {.id = front.new_blob()}, 0, 1)).error().is(BlobError::not_found));
    }
    co_await all.meet(env);
    if (env.core() == 0) EXPECT_EQ(front.stats().gets, 0U);
  });
}

// Whichever core erases, none serves it from its cache once that has ended; and what is there still is served
// from there, also where its counter of erases has moved.
TEST(BlobOtherCores, AnErasedBlobIsGoneFromEveryCache) {
  constexpr size_t kBlobs = 400;
  OnAllCores all(small_options("/blobs", 4), 2);
  std::vector<BlobKey> keys;
  simulate(2, all, [&](Env& env, BlobFront& front) -> Task<void> {
    BlobData data;
    if (env.core() == 0) {
      for (size_t i = 0; i < kBlobs; ++i) {
        const BlobKey key{.id = front.new_blob()};
        CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.id.number, 1000)));
        keys.push_back(key);
      }
    }
    co_await all.meet(env);
    for (const BlobKey& key : keys) {
      CO_ASSERT_OK(co_await get_bytes(front, key, 0, 1000));
      EXPECT_TRUE(front.get_cached(key, 0, 1000, &data));
    }
    data = {};
    co_await all.meet(env);
    // A quarter each.
    for (size_t i = env.core(); i < kBlobs; i += 4) CO_ASSERT_OK(co_await erase_blob(front, keys[i].id));
    co_await all.meet(env);
    const uint64_t reads = env.stats().file_reads;
    for (size_t i = 0; i < kBlobs; ++i) {
      EXPECT_EQ(front.get_cached(keys[i], 0, 1000, &data), i % 4 >= 2) << i;
      const auto got = co_await get_bytes(front, keys[i], 0, 1000);
      if (i % 4 >= 2) {
        EXPECT_EQ(got.value(), payload_of(keys[i].id.number, 1000));
      } else {
        EXPECT_TRUE(!got && got.error().is(BlobError::not_found));
      }
    }
    data = {};
    if (env.core() == 1) EXPECT_EQ(env.stats().file_reads, reads);
    co_await all.meet(env);
    // A name is not used again; if it were, the other content would be served.
    if (env.core() == 0) CO_ASSERT_OK(co_await put_bytes(env, front, keys[0], payload_of(7, 900)));
    co_await all.meet(env);
    EXPECT_FALSE(front.get_cached(keys[0], 0, 900, &data));
    EXPECT_EQ((co_await get_bytes(front, keys[0], 0, 900)).value(), payload_of(7, 900));
    EXPECT_TRUE(front.get_cached(keys[0], 0, 900, &data));
    data = {};
  });
}

// As AnErasedBlobIsGoneFromEveryCache, where the read that fills the cache began before the erase.
TEST(BlobOtherCores, AReadThatAnEraseOvertakesLeavesNothingBehind) {
  for (uint64_t seed = 1; seed <= 4 * kSeeds && !testing::Test::HasFailure(); ++seed) {
    OnAllCores all(small_options("/blobs", 2), 2);
    BlobKey key;
    simulate(seed, all, [&](Env& env, BlobFront& front) -> Task<void> {
      if (env.core() == 0) {
        key = {.id = front.new_blob()};
        CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(seed, 3000)));
      }
      co_await all.meet(env);
      if (env.core() == 0) {
        CO_ASSERT_OK(co_await erase_blob(front, key.id));
      } else {
        for (int i = 0; i < 5; ++i) {
          const auto got = co_await get_bytes(front, key, 0, 3000);
          if (got) EXPECT_EQ(*got, payload_of(seed, 3000));
          if (!got) EXPECT_TRUE(got.error().is(BlobError::not_found));
        }
      }
      co_await all.meet(env);
      BlobData data;
      EXPECT_FALSE(front.get_cached(key, 0, 3000, &data));
      EXPECT_TRUE((co_await get_bytes(front, key, 0, 1)).error().is(BlobError::not_found));
    });
  }
}

TEST(BlobOtherCores, DamageIsFoundAndCountedByTheCoreThatReads) {
  OnAllCores all(small_options("/blobs", 2), 2);
  World world(3, 2);
  BlobKey key;
  const OnAllCores::Body body = [&](Env& env, BlobFront& front) -> Task<void> {
    if (env.core() == 0) {
      key = {.id = front.new_blob()};
      CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(9, 6000)));
      const auto file =
          world.node.disk().find(fmt::format("/blobs/shard-{:04}/segment-00000000", key.id.shard));
      CO_ASSERT(file != nullptr);
      file->flip_bit(kSegmentDataOffset + kBlockBytes + 5000, 3);  // behind the first descriptor
    }
    co_await all.meet(env);
    if (env.core() == 0) co_return;
    EXPECT_TRUE((co_await get_bytes(front, key, 0, 6000)).error().is(BlobError::damaged));
    BlobData data;
    EXPECT_FALSE(front.get_cached(key, 0, 6000, &data));
  };
  world.run([&](Env& env) { return all.run(env, body); });
  EXPECT_EQ(all.stats(0).damaged, 0U);
  EXPECT_EQ(all.stats(1).damaged, 1U);
  EXPECT_EQ(all.stats(1).gets, 0U);
}

Task<void> read_on(BlobFront& front, const std::vector<BlobKey>& keys, uint64_t* read, uint64_t* refused) {
  for (const BlobKey& key : keys) {
    const auto got = co_await get_bytes(front, key, 0, 4000);
    if (got) {
      EXPECT_EQ(*got, payload_of(key.id.number, 4000));
      ++*read;
    } else {
      EXPECT_TRUE(got.error().is(BlobError::unavailable)) << got.error().to_string();
      ++*refused;
    }
  }
}

// Nobody may, but who does is refused, or has read before the files are closed.
TEST(BlobOtherCores, ReadsWhileTheOwnerClosesEndWell) {
  uint64_t read = 0;
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    BlobStoreOptions options = small_options("/blobs", 2);
    options.cache_bytes = 0;
    OnAllCores all(options, 2);
    std::vector<BlobKey> keys;
    simulate(seed, all, [&](Env& env, BlobFront& front) -> Task<void> {
      if (env.core() == 0) {
        for (uint64_t i = 0; i < 20; ++i) {
          const BlobKey key{.id = front.new_blob()};
          CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.id.number, 4000)));
          keys.push_back(key);
        }
      }
      co_await all.meet(env);
      if (env.core() == 0) {
        (void)co_await sleep_for(env, Duration::microseconds(static_cast<int64_t>(50 * seed)));
        CO_ASSERT_OK(co_await front.close());
      } else {
        Scope scope(env);
        for (int i = 0; i < 4; ++i) scope.spawn(&read_on, std::ref(front), std::cref(keys), &read, &refused);
        co_await scope.join();
        EXPECT_EQ(front.stats().damaged + front.stats().reread, 0U);
      }
    });
  }
  EXPECT_GT(read, 0U);
  EXPECT_GT(refused, 0U);
}

// Fills segments and empties them again.
Task<void> turn_over(Env& env, BlobFront& front, int blobs) {
  constexpr size_t kKept = 4;
  std::deque<BlobKey> live;
  for (int i = 0; i < blobs; ++i) {
    live.push_back({.id = front.new_blob()});
    CO_ASSERT_OK(co_await put_bytes(env, front, live.back(), payload_of(live.back().id.number, 50'000)));
    if (live.size() <= kKept) continue;
    CO_ASSERT_OK(co_await erase_blob(front, live.front().id));
    live.pop_front();
  }
}

// A core in the middle of a look-up, seen from outside the machine.
class LookUpWatch {
 public:
  LookUpWatch(World& world, OnAllCores& all) : world_(world), all_(all) {}
  // Between any two steps of the simulation.
  void look() {
    const char* place = world_.node.env(1).place();
    if (place == nullptr || std::string_view(place) != "segment found") {
      began_.reset();
      return;
    }
    const uint64_t recycled = all_.front(0).stats().compacted_segments;
    const Instant now = world_.simulation.now();
    if (!began_) {
      began_ = now;
      recycled_before_ = recycled;
      return;
    }
    longest = std::max(longest, now - *began_);
    recycled_most = std::max(recycled_most, recycled - recycled_before_);
  }

  // Of all times that the core was left where it has found a segment and not counted it.
  Duration longest;
  uint64_t recycled_most = 0;

 private:
  World& world_;
  OnAllCores& all_;
  std::optional<Instant> began_;
  uint64_t recycled_before_ = 0;
};

TEST(BlobOtherCores, NothingIsRecycledInTheMiddleOfALookUp) {
  for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    BlobStoreOptions options = small_options("/blobs", 2);  // of which core 0 fills its own shard only
    options.cache_bytes = 0;
    OnAllCores all(options, 2);
    World world(seed, 2);
    world.simulation.set_switch_chance(1'000'000);
    BlobKey key;
    bool over = false;
    const OnAllCores::Body body = [&](Env& env, BlobFront& front) -> Task<void> {
      if (env.core() == 0) {
        key = {.id = front.new_blob()};
        CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(seed, 3000)));
      }
      co_await all.meet(env);
      if (env.core() == 0) {
        co_await turn_over(env, front, 1000);
        over = true;
        EXPECT_GT(front.stats().compacted_segments, 200U);
      } else {
        while (!over) EXPECT_EQ((co_await get_bytes(front, key, 0, 3000)).value(), payload_of(seed, 3000));
        EXPECT_EQ(front.stats().reread, 0U);
      }
    };
    LookUpWatch watch(world, all);
    world.node.start([&](Env& env) { return all.run(env, body); });
    const auto ended = [&] {
      if (world.node.running()) watch.look();
      return !world.node.running();
    };
    ASSERT_TRUE(world.simulation.run_until(ended, Duration::seconds(3600))) << world.node.describe_waiting();
    EXPECT_GE(watch.longest, Duration::milliseconds(3));
    EXPECT_LE(watch.recycled_most, 1U);  // its new header was being written
  }
}

// Writers of every core put and erase blobs of their own, so that the little space there is goes round all
// the time; readers of every core read all of them. What a reader may find follows from what it knew before
// and knows after.
class Churn {
 public:
  Churn(OnAllCores& all, int rounds) : all_(all), rounds_(rounds) {}

  Task<void> run(Env& env, BlobFront& front) {
    {
      Scope scope(env);
      for (unsigned writer = 0; writer < kWriters; ++writer)
        scope.spawn(&Churn::write, std::ref(*this), std::ref(env), std::ref(front), writer);
      for (unsigned reader = 0; reader < kReaders; ++reader)
        scope.spawn(&Churn::read, std::ref(*this), std::ref(env), std::ref(front), reader);
      co_await scope.join();
    }
    co_await all_.meet(env);
    for (unsigned owner = 0; owner < all_.cores(); ++owner) {
      for (unsigned slot = 0; slot < kSlots; ++slot) co_await read_slot(front, owner, slot);
    }
    const BlobStats& stats = front.stats();
    EXPECT_EQ(stats.damaged, 0U);
    EXPECT_EQ(stats.reread, 0U) << "a segment was recycled while it was read";
    compacted += stats.compacted_segments;
  }

  std::atomic<uint64_t> reads = 0, others = 0, absences = 0, compacted = 0;

 private:
  static constexpr unsigned kCoresMax = 4;
  static constexpr unsigned kWriters = 4;
  static constexpr unsigned kReaders = 6;
  static constexpr unsigned kSlots = 64;  // of a core, dealt to its writers

  // In one word: shard and number, without the number's core. 0: none.
  static uint64_t pack(const BlobId& id) { return uint64_t{id.shard} << 48 | (id.number & kNumberMask); }
  static BlobKey unpack(uint64_t packed, unsigned core) {
    return {.id = {.shard = static_cast<uint16_t>(packed >> 48),
                   .incarnation = {1},
                   .number = uint64_t{core} << 48 | (packed & kNumberMask)}};
  }
  static constexpr uint64_t kNumberMask = (uint64_t{1} << 48) - 1;
  static uint32_t length_of(const BlobKey& key) {
    const uint64_t mixed = key.id.number * 2654435761;
    return static_cast<uint32_t>(1 + mixed % (mixed % 16 == 0 ? 90'000 : 9'000));
  }
  static std::string bytes_of(const BlobKey& key) { return payload_of(key.id.number, length_of(key)); }

  static Task<void> write(Churn& self, Env& env, BlobFront& front, unsigned writer) {
    std::mt19937_64 random(env.core() * 16 + writer);
    for (int round = 0; round < self.rounds_ && !testing::Test::HasFailure(); ++round) {
      const auto slot = static_cast<unsigned>(random() % (kSlots / kWriters) * kWriters + writer);
      std::atomic<uint64_t>& live = self.live_[env.core()][slot];
      if (const uint64_t old = live.load(); old != 0) {
        live = 0;
        const BlobKey key = unpack(old, env.core());
        CO_ASSERT_OK(co_await erase_blob(front, key.id));
        self.gone_[env.core()][slot] = old;
      }
      const BlobKey key{.id = front.new_blob()};
      const Result<void> put = co_await put_bytes(env, front, key, bytes_of(key));
      if (!put) {
        EXPECT_TRUE(put.error().is(BlobError::full)) << put.error().to_string();
        continue;
      }
      live = pack(key.id);
    }
    ++self.writers_done_;
  }

  static Task<void> read(Churn& self, Env& env, BlobFront& front, unsigned reader) {
    std::mt19937_64 random(env.core() * 16 + reader + 1000);
    while (self.writers_done_ < kWriters * self.all_.cores() && !testing::Test::HasFailure()) {
      co_await self.read_slot(front, static_cast<unsigned>(random() % self.all_.cores()),
                              static_cast<unsigned>(random() % kSlots));
      if (random() % 8 == 0) co_await yield(env);
    }
  }

  Task<void> read_slot(BlobFront& front, unsigned owner, unsigned slot) {
    std::atomic<uint64_t>& live = live_[owner][slot];
    if (const uint64_t packed = live.load(); packed != 0) {
      const BlobKey key = unpack(packed, owner);
      const std::string expected = bytes_of(key);
      const auto offset = static_cast<uint32_t>(packed % expected.size());
      const auto length = static_cast<uint32_t>(expected.size() - offset);
      const auto got = co_await get_bytes(front, key, offset, length);
      ++reads;
      if (got) {
        EXPECT_TRUE(*got == expected.substr(offset)) << "wrong bytes of " << key.id.number;
      } else {
        EXPECT_TRUE(got.error().is(BlobError::not_found)) << got.error().to_string();
        EXPECT_NE(live.load(), packed) << "lost " << key.id.number;
      }
    } else {
      co_return;
    }
    if (const uint64_t packed = gone_[owner][slot].load(); packed != 0) {
      const auto got = co_await get_bytes(front, unpack(packed, owner), 0, 1);
      ++absences;
      EXPECT_TRUE(!got && got.error().is(BlobError::not_found)) << "came back";
    }
  }

  OnAllCores& all_;
  const int rounds_;
  std::array<std::array<std::atomic<uint64_t>, kSlots>, kCoresMax> live_{};
  std::array<std::array<std::atomic<uint64_t>, kSlots>, kCoresMax> gone_{};
  std::atomic<unsigned> writers_done_ = 0;
};

TEST(BlobOtherCores, ReadWhileSegmentsGoRound) {
  uint64_t reads = 0;
  uint64_t compacted = 0;
  for (uint64_t seed = 1; seed <= kRoundSeeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const auto cores = static_cast<unsigned>(2 + seed % 2);
    BlobStoreOptions options = small_options("/blobs", cores);
    if (seed % 3 == 0) options.cache_bytes = 0;
    OnAllCores all(options, cores);
    Churn churn(all, 100);
    World world(seed, cores);
    world.simulation.set_switch_chance(seed % 4 < 2 ? 30'000 : 300'000);
    // Some reads take longer than it takes to fill a segment that was recycled.
    world.node.disk().faults().stall_ppm = 100'000;
    world.node.disk().faults().stall_max = Duration::milliseconds(20);
    const OnAllCores::Body body = [&](Env& env, BlobFront& front) { return churn.run(env, front); };
    world.run([&](Env& env) { return all.run(env, body); });
    EXPECT_GT(churn.compacted, 0U);
    reads += churn.reads;
    compacted += churn.compacted;
  }
  GTEST_LOG_(INFO) << fmt::format("{} reads, {} segments recycled", reads, compacted);
}

TEST(BlobOtherCoresThreads, ReadWhileSegmentsGoRound) {
  std::string directory = testing::TempDir() + "blob_cores_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  for (const size_t cache_bytes : {size_t{0}, 2 * kMiB}) {
    BlobStoreOptions options = small_options(directory + "/blobs", 3);
    options.cache_bytes = cache_bytes;
    OnAllCores all(options, 3);
    Churn churn(all, kRoundsOfThreads);
    const OnAllCores::Body body = [&](Env& env, BlobFront& front) { return churn.run(env, front); };
    ASSERT_TRUE(run_cores({.cores = 3}, [&](Env& env) { return all.run(env, body); }).has_value());
    EXPECT_GT(churn.compacted, 10U);
    GTEST_LOG_(INFO) << fmt::format("{} reads, {} of what is gone, {} segments recycled", churn.reads.load(),
                                    churn.absences.load(), churn.compacted.load());
    std::filesystem::remove_all(directory + "/blobs");
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace fb::bss
