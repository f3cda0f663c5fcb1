// SPDX-License-Identifier: Apache-2.0
#include "base/safeguard.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

TEST(Safeguard, IsFoundByItsName) {
  EXPECT_EQ(safeguard_named("wipe_ahead_segment"), Safeguard::wipe_ahead_segment);
  EXPECT_EQ(name_of(Safeguard::wipe_ahead_segment), "wipe_ahead_segment");
  EXPECT_EQ(safeguard_named("wipe_ahead"), std::nullopt);
  EXPECT_EQ(safeguard_named(""), std::nullopt);
}

TEST(Safeguard, StandsUnlessATestLeavesItOut) {
  EXPECT_TRUE(FB_SAFEGUARD(wipe_ahead_segment));
  if (!kSafeguardsSwitchable) GTEST_SKIP() << "this build has them built in";
  {
    const SafeguardLeftOut left_out(Safeguard::wipe_ahead_segment);
    EXPECT_FALSE(FB_SAFEGUARD(wipe_ahead_segment));
    EXPECT_TRUE(FB_SAFEGUARD(sync_before_believing));
  }
  EXPECT_TRUE(FB_SAFEGUARD(wipe_ahead_segment));
}

}  // namespace
}  // namespace fb
