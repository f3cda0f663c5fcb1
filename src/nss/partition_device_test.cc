// SPDX-License-Identifier: Apache-2.0
// The namespace with its pages and journal on a device instead of in folders: crashes at every change, the
// making of the device included, under everything that the namespace does.
#include "nss/partition_workload.h"

namespace fb {
namespace {

constexpr uint64_t kDeviceBytes = 24 * kMiB;

bool crash_at(uint64_t n, uint64_t seed, int steps, Counters& total, bool power_loss_protection) {
  CrashRun run(seed, power_loss_protection);
  run.options.device_bytes = kDeviceBytes;
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
  total.crashes += run.counters.crashes;
  total.ends += run.counters.ends;
  total.seen_pending += run.counters.seen_pending;
  return run.counters.crashes != 0;
}

class PartitionOnDevice : public testing::TestWithParam<bool> {};

TEST_P(PartitionOnDevice, CrashesAtEveryChange) {
  Counters total;
  for (uint64_t n = 1; crash_at(n, 1, 20, total, GetParam()); ++n) {
    ASSERT_FALSE(HasFailure());
    ASSERT_LT(n, 5000u);
  }
  ASSERT_FALSE(HasFailure());
  GTEST_LOG_(INFO) << fmt::format("{} crashes; {} changes acknowledged, {} under way had happened",
                                  total.crashes, total.ends, total.seen_pending);
  EXPECT_GT(total.crashes, 100u);
}

INSTANTIATE_TEST_SUITE_P(Drives, PartitionOnDevice, testing::Bool(),
                         [](const auto& info) { return info.param ? "protected" : "plain"; });

}  // namespace
}  // namespace fb
