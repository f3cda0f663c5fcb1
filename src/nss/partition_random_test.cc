// SPDX-License-Identifier: Apache-2.0
// Trees many times the memory, under random changes of everything, over restarts, kills and power losses.
#include "nss/partition_workload.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/sim/thinning.h"

namespace fb {
namespace {

constexpr uint64_t kMemoryBytes = 2 * 128 * 4 * kKiB;  // of two cores: the least there is

struct Size {
  uint64_t times_memory;  // what the pages take at least
  uint64_t seeds;
  int boots;
  int fills;  // keys of each client
  unsigned width;
};

void restarts_kills_and_power_losses(const Size& size) {
  Counters total;
  for (uint64_t seed = 1; seed <= size.seeds; ++seed) {
    std::mt19937_64 random(seed);
    CrashRun run(seed);
    run.options.memory_bytes = kMemoryBytes;
    run.options.stores.journal_bytes_max = 1 * kMiB;
    run.options.sweep_blobs_max = 4000;
    run.checks_again = true;
    for (Area& area : run.areas) area.width = size.width;
    run.fills = size.fills;
    run.boot(0, false);
    run.fills = 0;
    EXPECT_GT(run.statistics.pages * 4 * kKiB, size.times_memory * kMemoryBytes);
    for (int boot = 0; boot < size.boots && !testing::Test::HasFailure(); ++boot) {
      const auto kind = boot % 3 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss;
      const bool crashes = boot % 3 != 2;
      if (crashes) {
        run.world.node.crash_at(
            random() % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::resume,
            1 + random() % 4000, kind);
      }
      run.boot(static_cast<int>(400 / sim::kThinning), boot % 3 == 1);
      run.world.node.forget_planned_crash();
      run.counters.crashes += run.world.node.crashed();
      EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << " boot " << boot << "\n"
                                                << run.world.log();
    }
    run.boot(50, true);
    run.options.compact_erased_min = UINT64_MAX;  // the pages are counted
    run.boot(0, true, true);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << run.world.log();
    EXPECT_GT(run.statistics.page_loads, 1000u);
    total.crashes += run.counters.crashes;
    total.prefix_renames += run.counters.prefix_renames;
    total.ends += run.counters.ends;
  }
  GTEST_LOG_(INFO) << fmt::format("{} crashes, {} changes, {} renames of directories", total.crashes,
                                  total.ends, total.prefix_renames);
}

TEST(PartitionRandom, TreesManyTimesTheMemoryOverRestartsKillsAndPowerLosses) {
  restarts_kills_and_power_losses({.times_memory = 9,
                                   .seeds = (3 + sim::kThinning - 1) / sim::kThinning,
                                   .boots = 6,
                                   .fills = 4000,
                                   .width = 12});
}
TEST(PartitionRandom, TreesAHundredTimesTheMemoryOverRestartsKillsAndPowerLosses) {
  restarts_kills_and_power_losses({.times_memory = 95 / sim::kThinning,
                                   .seeds = 1,
                                   .boots = 3,
                                   .fills = static_cast<int>(42'000 / sim::kThinning),
                                   .width = 40});
}

}  // namespace
}  // namespace fb
