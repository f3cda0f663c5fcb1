// SPDX-License-Identifier: Apache-2.0
// Crashes at every change of the disk, under a workload of everything the namespace does: puts, overwrites,
// erases, renames of keys and of directories, uploads that are completed or aborted, buckets that come and
// go, checkpoints. After each restart every client finds its part of the tree as it was acknowledged, or with
// the one change whole that was under way; the tree is sound; and no blob is lost, leaked or named twice.
#include "nss/partition_workload.h"

#include <gtest/gtest.h>

#include "io/sim/thinning.h"

namespace fb {
namespace {

constexpr uint64_t kSeeds = 3;

bool crash_at(uint64_t n, uint64_t seed, int steps, Counters& total, bool power_loss_protection = false) {
  CrashRun run(seed, power_loss_protection);
  return crash_at(run, n, steps, total);
}

TEST(PartitionCrash, AtEveryChangeOfTheDiskUnderEverything) {
  Counters total;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const int steps = seed == 1 ? 25 : 60;
    for (uint64_t n = 1 + seed % sim::kThinning; crash_at(n, seed, steps, total); n += sim::kThinning) {
      ASSERT_FALSE(HasFailure());
      ASSERT_LT(n, 5000u);
    }
    ASSERT_FALSE(HasFailure());
  }
  GTEST_LOG_(INFO) << fmt::format(
      "{} crashes; {} changes acknowledged, of them {} renames of keys, {} of directories, {} uploads "
      "completed, {} aborted, {} steps of buckets, {} checkpoints asked for; {} changes under way had "
      "happened",
      total.crashes, total.ends, total.renames, total.prefix_renames, total.completes, total.aborts,
      total.buckets, total.checkpoints, total.seen_pending);
  EXPECT_GT(total.seen_pending, 50 / sim::kThinning);
}

// The same without flushes, on a drive that keeps what it has answered.
TEST(PartitionCrash, AtEveryChangeWithPowerLossProtection) {
  Counters total;
  for (uint64_t n = 1; crash_at(n, 1, 25, total, true); n += sim::kThinning) {
    ASSERT_FALSE(HasFailure());
    ASSERT_LT(n, 5000u);
  }
  ASSERT_FALSE(HasFailure());
  EXPECT_GT(total.crashes, 100 / sim::kThinning);
}

}  // namespace
}  // namespace fb
