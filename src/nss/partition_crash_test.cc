// SPDX-License-Identifier: Apache-2.0
// Crashes at every change of the disk, under a workload of everything the namespace does: puts, overwrites,
// erases, renames of keys and of directories, uploads that are completed or aborted, buckets that come and
// go, checkpoints. After each restart every client finds its part of the tree as it was acknowledged, or with
// the one change whole that was under way; the tree is sound; and no blob is lost, leaked or named twice.
#include "nss/partition_workload.h"

namespace fb {
namespace {

constexpr uint64_t kSeeds = 3;

// The crash comes at the n-th change, in the second process again, while it recovers perhaps. False where no
// process came so far.
bool crash_at(uint64_t n, uint64_t seed, int steps, Counters& total, bool power_loss_protection = false) {
  CrashRun run(seed, power_loss_protection);
  for (int boot = 0; boot < 2; ++boot) {
    const auto parity = (n + seed + static_cast<uint64_t>(boot)) % 2;
    run.world.node.crash_at(
        parity == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after, n,
        (n + seed) % 3 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
    run.boot(steps, boot == 1 && n % 4 == 0);
    run.counters.crashes += run.world.node.crashed();
  }
  run.world.node.forget_planned_crash();
  run.boot(10, true);
  run.boot(0, true, true);
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << " seed " << seed << "\n" << run.world.log();
  for (uint64_t Counters::* field :
       {&Counters::crashes, &Counters::renames, &Counters::prefix_renames, &Counters::completes,
        &Counters::aborts, &Counters::buckets, &Counters::seen_pending, &Counters::seen_known,
        &Counters::checkpoints, &Counters::ends}) {
    total.*field += run.counters.*field;
  }
  return run.counters.crashes != 0;
}

TEST(PartitionCrash, AtEveryChangeOfTheDiskUnderEverything) {
  Counters total;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const int steps = seed == 1 ? 25 : 60;
    for (uint64_t n = 1; crash_at(n, seed, steps, total); ++n) {
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
  EXPECT_GT(total.seen_pending, 50u);
}

// The same without flushes, on a drive that keeps what it has answered.
TEST(PartitionCrash, AtEveryChangeWithPowerLossProtection) {
  Counters total;
  for (uint64_t n = 1; crash_at(n, 1, 25, total, true); ++n) {
    ASSERT_FALSE(HasFailure());
    ASSERT_LT(n, 5000u);
  }
  ASSERT_FALSE(HasFailure());
  EXPECT_GT(total.crashes, 100u);
}

}  // namespace
}  // namespace fb
