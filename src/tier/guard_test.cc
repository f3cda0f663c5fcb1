// SPDX-License-Identifier: Apache-2.0
// Tests of the owner of a prefix: starts that are refused, copies of a store, and a crash between the two
// writes.
#include "io/file.h"

#include <gtest/gtest.h>

#include "tier/tier_test_world.h"

namespace fb::tier {
namespace {

using GuardTest = TierWorld;

constexpr std::string_view kMarker = "p/fractalbits-store";

Task<void> nothing(TierProcess&) { co_return; }

TEST_F(GuardTest, EachStartWritesTheMarkerAnew) {
  std::set<std::string> markers;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run(nothing), "");
    markers.insert(cloud.objects[std::string(kMarker)]);
    EXPECT_NE(cloud.objects[std::string(kMarker)].find(fmt::format("generation {}\n", i + 1)),
              std::string::npos);
  }
  EXPECT_EQ(markers.size(), 3U);
  EXPECT_EQ(cloud.objects.size(), 1U) << "the check leaves nothing else";
  EXPECT_TRUE(cloud.uploads.empty());
}

TEST_F(GuardTest, StartsThatAPersonMustPutRight) {
  config_.options.bucket = "other";
  EXPECT_NE(run(nothing).find("does not exist"), std::string::npos);
  config_.options.bucket = "cloud";
  config_.credentials.secret_key = Secret("wrong");
  EXPECT_NE(run(nothing).find("SignatureDoesNotMatch"), std::string::npos);
  config_.credentials.secret_key = Secret(std::string(kTestSecret));
  cloud.objects["p/something"] = "x";
  EXPECT_NE(run(nothing).find("no marker"), std::string::npos);
  cloud.objects.clear();
  EXPECT_EQ(run(nothing), "");
  config_.options.store_id = {9};
  config_.options.state_path = "/other-tier";
  EXPECT_NE(run(nothing).find("belongs to another store"), std::string::npos);
  config_.options.store_id = {1, 2, 3};
  EXPECT_NE(run(nothing).find("a copy of this store"), std::string::npos)
      << "the same store without its file";
  config_.options.state_path = "/tier";
  EXPECT_EQ(run(nothing), "");
  cloud.objects.clear();
  EXPECT_NE(run(nothing).find("is gone"), std::string::npos);
}

TEST_F(GuardTest, AnEndpointWithoutChecksumsIsUsedWithoutThem) {
  cloud.knows_checksums = false;
  run([&](TierProcess& process) -> Task<void> {
    EXPECT_FALSE(process.shared.checksums.load());
    const uint64_t of_the_check = std::exchange(cloud.bodies_unprotected, 0);
    EXPECT_EQ(of_the_check, 1U) << "the one with a wrong checksum";
    EXPECT_TRUE(co_await process.put(make_bytes(9 * kMiB, 1)));
    EXPECT_EQ(cloud.bodies_unprotected, 0U);
  });
}

// The start crashes at every point; the next start does not know whether the marker was written.
TEST_F(GuardTest, AStartThatEndsInTheMiddleIsGoneOnFrom) {
  using Point = sim::SimNode::CrashPoint;
  EXPECT_EQ(run(nothing), "");
  for (const Point point : {Point::io_before, Point::io_after, Point::resume}) {
    bool reached_end = false;
    for (uint64_t n = 1; !reached_end; ++n) {
      ASSERT_LT(n, 2'000U) << "a start is not that long";
      done_ = false;
      start_cloud();
      node_.start([&](Env& env) -> Task<void> {
        EXPECT_EQ(co_await run_tier(env, nothing), "");
        reached_end = true;
      });
      node_.crash_at(point, n, sim::CrashKind::power_loss);
      simulation_.run_until([&] { return !node_.running(); }, Duration::minutes(60));
      node_.forget_planned_crash();
      cloud_node_.crash(sim::CrashKind::kill);
      ASSERT_EQ(run(nothing), "") << n;
    }
  }
}

TEST_F(GuardTest, AnotherMarkerStopsDeletesAndWrites) {
  run([&](TierProcess& process) -> Task<void> {
    const auto content = co_await process.put("content");
    TIER_CHECK(content);
    cloud.objects[std::string(kMarker)] = "another's";
    (void)co_await sleep_for(process.env, kGuardAge);
    process.discards.discard_blob(content->id, 1);
    EXPECT_FALSE(co_await process.free_discarded());
    EXPECT_EQ(process.shared.guard.load(), GuardState::mismatch);
    EXPECT_EQ(cloud.objects.size(), 2U);
    EXPECT_FALSE(co_await process.put("more"));
    const auto read = co_await process.get(*content, 0, 7);
    EXPECT_TRUE(read && *read == "content");
    const auto page = co_await process.tier.blobs().enumerate({}, 2, 0);
    EXPECT_TRUE(page && page->keys.empty()) << "nothing there is ours to sweep";
  });
}

TEST_F(GuardTest, ACloudThatIsAwayAtStartIsWaitedFor) {
  cloud.away = true;
  const std::string refusal = run([&](TierProcess& process) -> Task<void> {
    EXPECT_EQ(process.shared.guard.load(), GuardState::unchecked);
    EXPECT_FALSE(co_await process.put("content"));
    cloud.away = false;
    for (int i = 0; i < 100 && process.shared.guard.load() != GuardState::good; ++i)
      (void)co_await sleep_for(process.env, Duration::seconds(1));
    EXPECT_TRUE(co_await process.put("content"));
  });
  EXPECT_EQ(refusal, "");
}

TEST_F(GuardTest, UploadsOfDeadProcessesAreEnded) {
  incarnation = {7};
  run([&](TierProcess& process) -> Task<void> {
    const std::string prefix = "p/01020300000000000000000000000000/";
    cloud.uploads["dead"].key = prefix + "00000006/0000-0000000000000001";
    cloud.uploads["ours"].key = prefix + "00000007/0000-0000000000000001";
    cloud.uploads["strange"].key = prefix + "something";
    cloud.uploads["of a check"].key = prefix + "check";
    EXPECT_TRUE(co_await process.tier.blobs().abort_uploads_before({7}));
    EXPECT_EQ(cloud.uploads.size(), 2U);
    EXPECT_FALSE(cloud.uploads.contains("dead"));
    EXPECT_FALSE(cloud.uploads.contains("of a check")) << "a start that died in it";
  });
}

}  // namespace
}  // namespace fb::tier
