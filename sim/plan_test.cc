// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace fb::sim {
namespace {

TEST(Plan, IsReadAsItIsWritten) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Plan plan = Plan::combined(seed);
    EXPECT_EQ(Plan::parse(plan.to_string()), plan) << seed;
  }
  EXPECT_EQ(Plan::parse("full,kill"), (Plan{FaultClass::kill, FaultClass::full}));
  EXPECT_EQ(Plan::parse(""), Plan());
  EXPECT_EQ(Plan::parse("kill,fool"), std::nullopt);
}

TEST(Plan, TheDefaultSeedsHaveEveryClassAndTheFirstPlans) {
  std::set<std::string> plans;
  std::array<int, kFaultClassCount> seeds{};
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Plan plan = Plan::of_seed(seed);
    plans.insert(plan.to_string());
    for (size_t i = 0; i < kFaultClassCount; ++i) seeds[i] += plan.has(static_cast<FaultClass>(i));
  }
  for (const Plan first : {kCrashPlan, kNetPlan, kMediaPlan}) EXPECT_TRUE(plans.contains(first.to_string()));
  for (size_t i = 0; i < kFaultClassCount; ++i)
    EXPECT_GE(seeds[i], 3) << to_string(static_cast<FaultClass>(i));
}

TEST(Plan, CombinedSeedsHaveEveryPair) {
  std::set<std::pair<size_t, size_t>> pairs;
  for (uint64_t seed = 1; seed <= 2'000; ++seed) {
    const Plan plan = Plan::combined(seed);
    for (size_t a = 0; a < kFaultClassCount; ++a) {
      for (size_t b = 0; b < a; ++b) {
        if (plan.has(static_cast<FaultClass>(a)) && plan.has(static_cast<FaultClass>(b))) pairs.emplace(a, b);
      }
    }
  }
  EXPECT_EQ(pairs.size(), kFaultClassCount * (kFaultClassCount - 1) / 2);
}

}  // namespace
}  // namespace fb::sim
