// SPDX-License-Identifier: Apache-2.0
// Tests of the memory for uploads if clients are slow and others wait for it.
#include "tier/upload_budget.h"

#include <gtest/gtest.h>

#include "http/error.h"
#include "tier/tier_test_world.h"

namespace fb::tier {
namespace {

constexpr size_t kStepBytes = 16 * kKiB;

// A client that sends at a pace of its own; 0: nothing comes.
class ClientSource final : public CloudSource {
 public:
  ClientSource(Env& env, std::string_view text, uint64_t bytes_per_second)
      : env_(env), rest_(text), bytes_per_second_(bytes_per_second) {}

  Task<Result<size_t>> fill(std::span<std::byte> into) override {
    size_t filled = 0;
    while (filled < into.size() && !rest_.empty()) {
      const size_t count = std::min({into.size() - filled, rest_.size(), kStepBytes});
      const Instant until = bytes_per_second_ == 0 ? Instant::never()
                                                   : env_.now() + Duration::microseconds(static_cast<int64_t>(
                                                                      count * 1'000'000 / bytes_per_second_));
      if (!co_await sleep_until(env_, until, &stopped_)) co_return HttpError::timed_out;
      std::memcpy(into.data() + filled, rest_.data(), count);
      rest_.remove_prefix(count);
      filled += count;
    }
    co_return filled;
  }
  void stop() override { stopped_.cancel(); }

 private:
  Env& env_;
  std::string_view rest_;
  uint64_t bytes_per_second_;
  CancelSource stopped_;
};

class UploadBudgetTest : public TierWorld {
 protected:
  UploadBudgetTest() { config_.options.memory_bytes = kUploadPieceBytes; }

  struct Upload {
    uint64_t bytes_per_second;
    std::string data;
    Duration begins{};
    Result<void> result{};
    Duration took{};
  };
  static Task<void> upload(TierProcess* process, Upload* upload) {
    Env& env = process->env;
    (void)co_await sleep_for(env, upload->begins);
    const Instant began = env.now();
    ClientSource source(env, upload->data, upload->bytes_per_second);
    const auto stored = co_await process->store().store(source, {.inline_sums_max = 64});
    upload->took = env.now() - began;
    if (!stored) upload->result = stored.error();
  }
  // Runs all of them side by side; afterwards nothing is left of the stopped ones.
  void run_uploads(std::vector<Upload>& uploads, uint64_t slow_clients) {
    run([&](TierProcess& process) -> Task<void> {
      Scope scope(process.env);
      for (Upload& each : uploads) scope.spawn(&UploadBudgetTest::upload, &process, &each);
      co_await scope.join();
      EXPECT_EQ(process.store().stats().slow_clients, slow_clients);
      EXPECT_TRUE(co_await process.free_discarded());
      const auto stored =
          std::ranges::count_if(uploads, [](const Upload& each) { return each.result.has_value(); });
      EXPECT_EQ(cloud.objects.size(), static_cast<size_t>(stored) + 1) << "and the marker";
      EXPECT_TRUE(cloud.uploads.empty());
    });
  }
};

TEST_F(UploadBudgetTest, ASlowClientMayTakeItsTimeWhileNobodyWaits) {
  std::vector<Upload> uploads = {{.bytes_per_second = 4 * kKiB, .data = make_bytes(2 * kMiB, 1)}};
  run_uploads(uploads, 0);
  EXPECT_TRUE(uploads[0].result);
  EXPECT_GT(uploads[0].took, Duration::seconds(500));
}

TEST_F(UploadBudgetTest, ASlowClientIsStoppedWhileOthersWait) {
  for (const uint64_t pace : {uint64_t{0}, 4 * kKiB, 40 * kKiB}) {
    cloud.objects.clear();
    config_.options.state_path = fmt::format("/tier-{}", pace);
    std::vector<Upload> uploads = {
        {.bytes_per_second = pace, .data = make_bytes(20 * kMiB, 1)},
        {.bytes_per_second = kGiB, .data = make_bytes(9 * kMiB, 2), .begins = Duration::seconds(2)},
        {.bytes_per_second = kGiB, .data = make_bytes(kMiB, 3), .begins = Duration::seconds(3)}};
    run_uploads(uploads, 1);
    EXPECT_TRUE(!uploads[0].result && uploads[0].result.error().is(HttpError::timed_out)) << pace;
    EXPECT_TRUE(uploads[1].result);
    EXPECT_TRUE(uploads[2].result);
    if (pace < 40 * kKiB) EXPECT_LT(uploads[1].took, Duration::seconds(20)) << pace;
  }
}

TEST_F(UploadBudgetTest, OneThatIsFastEnoughIsWaitedFor) {
  std::vector<Upload> uploads = {
      {.bytes_per_second = 70 * kKiB, .data = make_bytes(7 * kMiB, 1)},
      {.bytes_per_second = kGiB, .data = make_bytes(kMiB, 2), .begins = Duration::seconds(2)}};
  run_uploads(uploads, 0);
  EXPECT_TRUE(uploads[0].result);
  EXPECT_TRUE(uploads[1].result);
  EXPECT_GT(uploads[1].took, Duration::seconds(90));
}

TEST_F(UploadBudgetTest, ASlowCloudIsNoFaultOfAClient) {
  cloud.slow_ppm = 1'000'000;
  std::vector<Upload> uploads;
  for (uint64_t i = 0; i < 6; ++i)
    uploads.push_back({.bytes_per_second = 100 * kMiB, .data = make_bytes(18 * kMiB, i)});
  run_uploads(uploads, 0);
  for (const Upload& each : uploads) EXPECT_TRUE(each.result);
}

}  // namespace
}  // namespace fb::tier
