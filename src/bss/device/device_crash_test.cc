// SPDX-License-Identifier: Apache-2.0
// Blobs, pages and journal on a device: crashes at every change of it, the making of the device included.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bss/blob/test_store.h"
#include "bss/device/device_test_world.h"
#include "bss/page/page_file_test_world.h"
#include "bss/test_world.h"
#include "io/sim/thinning.h"

namespace fb::bss {
namespace {

using sim::CrashKind;
using CrashPoint = sim::SimNode::CrashPoint;

constexpr uint64_t kDeviceBytes = 24 * kMiB;

struct Plan {
  CrashPoint point;
  CrashKind kind;
  Durability durability = Durability::strict;
};

class OnDevice : public testing::TestWithParam<Plan> {};
INSTANTIATE_TEST_SUITE_P(Points, OnDevice,
                         testing::Values(Plan{CrashPoint::io_before, CrashKind::power_loss},
                                         Plan{CrashPoint::io_after, CrashKind::power_loss},
                                         Plan{CrashPoint::io_before, CrashKind::kill},
                                         Plan{CrashPoint::io_after, CrashKind::power_loss, Durability::plp}),
                         [](const auto& info) { return std::to_string(info.index); });

using Body = std::function<Task<void>(Env&, const std::string& root)>;

// One process on the device.
void live(World& world, const Body& body) {
  world.run([&](Env& env) -> Task<void> {
    auto device = co_await open_or_make_device(env, kDeviceBytes);
    CO_CHECK_OK(device);
    EXPECT_TRUE((*device)->verify());
    co_await body(env, (*device)->path());
    EXPECT_TRUE((*device)->verify());
    CO_CHECK_OK(co_await (*device)->close());
  });
}

// --- blobs ---

BlobStoreOptions blob_options(const std::string& root, Durability durability, uint32_t incarnation) {
  BlobStoreOptions options{
      .directory = root + "/blobs", .durability = durability, .incarnation = {incarnation}};
  options.shard_count = 2;
  options.segment_bytes = 256 * kKiB;
  options.capacity_bytes = 2 * 6 * options.segment_bytes;
  options.cache_bytes = 0;
  options.checkpoint_interval_bytes = 256 * kKiB;
  options.compaction_time_percent = 100;
  return options;
}

struct BlobRun {
  World world;
  Durability durability;
  Model model;
  std::mt19937_64 random;
  uint32_t incarnation = 1;
  uint64_t compacted = 0, checkpoints = 0;

  // Settles what a crash left open, checks everything, and works on.
  void boot(int operations) {
    live(world, [&](Env& env, const std::string& root) -> Task<void> {
      auto store = co_await BlobStore::open(env, blob_options(root, durability, incarnation++));
      CO_CHECK_OK(store);
      BlobFront front(env, **store);
      CO_CHECK_OK(co_await front.open());
      EXPECT_TRUE(front.verify());
      co_await settle_model(front, model);
      uint64_t wrong = 0;
      co_await check_model(front, model, &wrong);
      Workload workload{.env = env, .client = front, .model = model, .random = random, .length_max = 9000};
      workload.erase_percent = 48;
      workload.large_max = 100'000;
      co_await workload.run(operations, 6);
      compacted += front.stats().compacted_segments;
      checkpoints += front.stats().checkpoints;
      CO_CHECK_OK(co_await front.close());
    });
  }
};

bool crash_blobs(uint64_t n, const Plan& plan, int operations) {
  BlobRun run{.world = World(n, 1, plan.durability == Durability::plp),
              .durability = plan.durability,
              .model = {},
              .random = std::mt19937_64(n)};
  run.world.node.crash_at(plan.point, n, plan.kind);
  run.boot(operations);
  const bool crashed = run.world.node.crashed();
  run.world.node.forget_planned_crash();
  run.boot(operations / 3);
  run.boot(0);
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << "\n" << run.world.log();
  return crashed;
}

TEST_P(OnDevice, BlobsAtEveryChange) {
  uint64_t n = 1;
  while (crash_blobs(n, GetParam(), 80)) {
    ASSERT_FALSE(HasFailure());
    n += sim::kThinning;
  }
  ASSERT_FALSE(HasFailure());
  GTEST_LOG_(INFO) << fmt::format("{} crashes", n / sim::kThinning);
  EXPECT_GT(n, 100u);
}

// Longer lives at fewer places: segments are compacted and recycled, checkpoints written.
TEST_P(OnDevice, BlobsLateInALongLife) {
  uint64_t crashes = 0;
  for (uint64_t n = 200; n < 1500; n += 97 * sim::kThinning) crashes += crash_blobs(n, GetParam(), 1500);
  ASSERT_FALSE(HasFailure());
  GTEST_LOG_(INFO) << fmt::format("{} crashes", crashes);
  EXPECT_GT(crashes, 5u / sim::kThinning);
}

TEST(OnDeviceOnce, TheWorkloadCompactsAndWritesCheckpoints) {
  BlobRun run{.world = World(1), .durability = Durability::strict, .model = {}, .random = std::mt19937_64(1)};
  run.boot(2500);
  EXPECT_GT(run.compacted, 0u);
  EXPECT_GT(run.checkpoints, 4u);
}

// --- pages ---

PageFile::Options page_options(const std::string& root, Durability durability) {
  PageFile::Options options = small_pages();
  options.directory = root + "/p";
  options.durability = durability;
  return options;
}

bool crash_pages(uint64_t n, const Plan& plan, int operations) {
  World world(n, 1, plan.durability == Durability::plp);
  std::mt19937_64 random(n);
  PageModel model;
  uint64_t epoch = 0;
  const auto boot = [&](int count) {
    live(world, [&](Env& env, const std::string& root) -> Task<void> {
      auto store = co_await PageFile::open(env, page_options(root, plan.durability));
      CO_CHECK_OK(store);
      co_await settle_pages(**store, model, false);
      PageWorkload workload{.env = env, .store = **store, .model = model, .random = random, .epoch = ++epoch};
      co_await workload.run(count);
      EXPECT_EQ(workload.failed, 0u);
      CO_CHECK_OK(co_await (*store)->close());
    });
  };
  world.node.crash_at(plan.point, n, plan.kind);
  boot(operations);
  const bool crashed = world.node.crashed();
  world.node.forget_planned_crash();
  boot(operations / 3);
  boot(0);
  for (const std::string& problem : model.problems) ADD_FAILURE() << problem;
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << "\n" << world.log();
  return crashed;
}

TEST_P(OnDevice, PagesAtEveryChange) {
  uint64_t n = 1;
  while (crash_pages(n, GetParam(), 80)) {
    ASSERT_FALSE(HasFailure());
    n += sim::kThinning;
  }
  ASSERT_FALSE(HasFailure());
  GTEST_LOG_(INFO) << fmt::format("{} crashes", n / sim::kThinning);
  EXPECT_GT(n, 60u);
}

}  // namespace
}  // namespace fb::bss
