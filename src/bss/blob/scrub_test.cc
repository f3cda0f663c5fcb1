// SPDX-License-Identifier: Apache-2.0
// The scrubber on the simulated disk: what rots is found, all of it and nothing else, and a pass that was cut
// short goes on where it was.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "bss/blob/test_store.h"
#include "io/sim/simulation.h"
#include "io/sim/thinning.h"

namespace fb::bss {
namespace {

using sim::SimNode;
using sim::Simulation;

constexpr Duration kLimit = Duration::minutes(60 * 24 * 60);

BlobStoreOptions small_options(uint32_t incarnation, Duration period) {
  BlobStoreOptions options{.directory = "/blobs", .incarnation = {incarnation}};
  options.shard_count = 2;
  options.segment_bytes = 512 * kKiB;
  options.capacity_bytes = 2 * 16 * 512 * kKiB;
  options.cache_bytes = 0;
  options.scrub_period = period;
  return options;
}

struct ScrubWorld {
  explicit ScrubWorld(uint64_t seed)
      : simulation(seed), node(simulation.add_node({.name = "node"})), random(seed) {}
  void run(Duration period, const std::function<Task<void>(Env&, BlobFront&)>& body) {
    node.start([&, period](Env& env) -> Task<void> {
      auto store = co_await BlobStore::open(env, small_options(++incarnation, period));
      CO_ASSERT_OK(store);
      BlobFront front(env, **store);
      CO_ASSERT_OK(co_await front.open());
      co_await body(env, front);
      CO_ASSERT_OK(co_await front.close());
    });
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kLimit)) << node.describe_waiting();
  }
  void fill(int operations) {
    run({}, [&](Env& env, BlobFront& front) -> Task<void> {
      Workload workload{.env = env, .client = front, .model = model, .random = random};
      workload.large_max = 180'000;
      co_await workload.run(operations, 6);
    });
  }
  Simulation simulation;
  SimNode& node;
  Model model;
  std::mt19937_64 random;
  uint32_t incarnation = 0;
};

TEST(Scrub, FindsWhatRottedAndNothingElse) {
  uint64_t rotten = 0;
  uint64_t tables = 0;
  uint64_t others = 0;
  for (uint64_t seed = 1; seed <= sim::thinned(60); ++seed) {
    ScrubWorld world(seed);
    world.fill(120);
    ScrubReport sound;
    world.run({}, [&](Env&, BlobFront& front) -> Task<void> { sound = co_await front.scrub(); });
    EXPECT_TRUE(sound.sound()) << sound.to_string();
    EXPECT_TRUE(sound.whole);
    EXPECT_GE(sound.payloads, world.model.live.size());  // what compaction moves may be read twice
    ScrubReport report;
    std::set<BlobKey> lost;
    world.run({}, [&](Env&, BlobFront& front) -> Task<void> {
      // A few bits anywhere in the segments.
      for (uint64_t i = 0; i < 16; ++i) {
        const auto file =
            world.node.disk().find(fmt::format("/blobs/shard-{:04}/segment-{:08}", i % 2, i / 2 % 4));
        if (file == nullptr) continue;
        const uint64_t range = i < 8 ? file->size() : 64 * kKiB;  // headers and first descriptors, too
        const uint64_t at = world.random() % range;
        if (file->synced_sector(at / sim::kSectorSize)) file->flip_bit(at, world.random() % 8);
      }
      report = co_await front.scrub();
      EXPECT_EQ(front.stats().scrub.damaged,
                report.damaged + report.tables_damaged + report.headers_damaged + report.descriptors_damaged);
      for (const auto& [key, bytes] : world.model.live) {
        const auto got = co_await get_bytes(front, key, 0, static_cast<uint32_t>(bytes.size()));
        if (got) {
          EXPECT_EQ(*got, bytes);
        } else {
          EXPECT_TRUE(got.error().is(BlobError::damaged));
          lost.insert(key);
        }
      }
    });
    EXPECT_EQ(std::set<BlobKey>(report.keys.begin(), report.keys.end()), lost) << "seed " << seed;
    EXPECT_EQ(report.damaged, lost.size()) << "seed " << seed;
    EXPECT_GE(report.payloads, world.model.live.size()) << "seed " << seed;
    EXPECT_EQ(report.to_string().starts_with("sound"), report.sound());
    rotten += report.damaged;
    tables += report.tables_damaged;
    others += report.headers_damaged + report.descriptors_damaged;
  }
  GTEST_LOG_(INFO) << fmt::format(
      "{} payloads, {} tables of pieces, {} headers and segments with descriptors", rotten, tables, others);
  EXPECT_GT(rotten, 50U);
  EXPECT_GT(others, 0U);
}

// Once a period, and not more often; what a restart cuts short goes on with the segment it was at.
TEST(Scrub, ByTheClockAndThroughRestarts) {
  ScrubWorld world(7);
  world.fill(300);
  const Duration day = Duration::minutes(24 * 60);
  const uint64_t live = world.model.live.size();
  uint64_t payloads = 0;
  uint64_t passes = 0;
  // A life ends when it has read `payloads_max`, or has lasted so long.
  const auto live_for = [&](Duration time, uint64_t payloads_max) {
    const Duration step = payloads_max == UINT64_MAX ? Duration::minutes(1) : Duration::milliseconds(1);
    world.run(day, [&, time, payloads_max, step](Env& env, BlobFront& front) -> Task<void> {
      const Instant end = env.now() + time;
      while (env.now() < end && front.stats().scrub.payloads < payloads_max)
        (void)co_await sleep_for(env, step);
      payloads += front.stats().scrub.payloads;
      passes += front.stats().scrub.passes;
    });
  };
  live_for(Duration::minutes(23 * 60), UINT64_MAX);
  EXPECT_EQ(payloads, 0U);
  live_for(Duration::minutes(61), 1);
  for (int life = 0; life < 60 && passes < 2; ++life) live_for(Duration::seconds(30), 60);
  EXPECT_EQ(passes, 2U);  // both shards
  EXPECT_GE(payloads, live);
  EXPECT_LT(payloads, 4 * live);
  payloads = passes = 0;
  live_for(Duration::minutes(21 * 60), UINT64_MAX);
  EXPECT_EQ(payloads, 0U);
  live_for(Duration::minutes(8 * 24 * 60), UINT64_MAX);
  EXPECT_GE(passes, 2U * 7);
  EXPECT_LE(passes, 2U * 9);
  EXPECT_EQ(payloads, passes / 2 * live);
}

// It ends when it is told to, and where the store is closed under it.
TEST(Scrub, Stops) {
  ScrubWorld world(3);
  world.fill(200);
  world.run(Duration::seconds(1), [&](Env& env, BlobFront& front) -> Task<void> {
    ScrubReport report;
    Scope scope(env);
    const auto scrub =
        +[](BlobFront* blobs, ScrubReport* out) -> Task<void> { *out = co_await blobs->scrub(); };
    scope.spawn(scrub, &front, &report);
    (void)co_await sleep_for(env, Duration::milliseconds(2));
    front.stop_scrub();
    co_await scope.join();
    EXPECT_FALSE(report.whole);
    EXPECT_NE(report.to_string().find("ended before"), std::string::npos);
  });
  world.run(Duration::seconds(1), [&](Env& env, BlobFront&) -> Task<void> {
    (void)co_await sleep_for(env, Duration::milliseconds(2'500));
  });
}

TEST(Scrub, WorksBesideWritersAndCompaction) {
  for (uint64_t seed = 1; seed <= sim::thinned(20); ++seed) {
    ScrubWorld world(seed);
    world.fill(100);
    world.run({}, [&](Env& env, BlobFront& front) -> Task<void> {
      Scope scope(env);
      bool done = false;
      const auto scrub = +[](BlobFront* blobs, const bool* ended) -> Task<void> {
        do {
          const ScrubReport report = co_await blobs->scrub();
          EXPECT_TRUE(report.sound()) << report.to_string();
        } while (!*ended);
      };
      scope.spawn(scrub, &front, &done);
      Workload workload{.env = env, .client = front, .model = world.model, .random = world.random};
      workload.erase_percent = 50;
      workload.large_max = 180'000;
      co_await workload.run(600, 6);
      done = true;
      co_await scope.join();
      uint64_t wrong = 0;
      co_await check_model(front, world.model, &wrong);
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST(ScrubState, IsBelievedOnlyWhole) {
  const ScrubState state{.begun_seconds = 77, .next_segment = 3, .under_way = true};
  std::string text = encode_scrub_state(state, {}, 4);
  ScrubState read;
  ASSERT_TRUE(parse_scrub_state(text, {}, 4, &read));
  EXPECT_EQ(read.begun_seconds, 77);
  EXPECT_EQ(read.next_segment, 3U);
  EXPECT_TRUE(read.under_way);
  EXPECT_FALSE(parse_scrub_state(text, {}, 5, &read));
  EXPECT_FALSE(parse_scrub_state(text.substr(1), {}, 4, &read));
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(parse_scrub_state(text, {}, 4, &read)) << bit;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace fb::bss
