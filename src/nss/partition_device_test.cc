// SPDX-License-Identifier: Apache-2.0
// The namespace with its pages and journal on a device instead of in folders: crashes at every change, the
// making of the device included, under everything that the namespace does.
#include "nss/partition_workload.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

constexpr uint64_t kDeviceBytes = 24 * kMiB;

bool crash_at(uint64_t n, uint64_t seed, int steps, Counters& total, bool power_loss_protection) {
  CrashRun run(seed, power_loss_protection);
  run.options.device_bytes = kDeviceBytes;
  return crash_at(run, n, steps, total);
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
