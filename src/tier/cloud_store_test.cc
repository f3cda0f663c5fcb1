// SPDX-License-Identifier: Apache-2.0
// Stores and reads objects in a cloud that fails in every way, in the simulator.
#include "tier/keys.h"

#include <gtest/gtest.h>

#include "tier/tier_test_world.h"

namespace fb::tier {
namespace {

using CloudStoreTest = TierWorld;

constexpr std::string_view kStorePrefix = "p/01020300000000000000000000000000/";

// Everything under the store's prefix.
std::map<std::string, std::string> stored(const FakeCloud& cloud) {
  std::map<std::string, std::string> found;
  for (const auto& [key, data] : cloud.objects) {
    if (key.starts_with(kStorePrefix)) found[key] = data;
  }
  return found;
}

TEST_F(CloudStoreTest, StoresReadsCopiesAndFrees) {
  const std::string refusal = run([&](TierProcess& process) -> Task<void> {
    for (const bool checksums : {true, false}) {
      process.shared.checksums.store(checksums);
      for (const size_t size :
           {size_t{1}, size_t{kMiB}, size_t{8 * kMiB}, size_t{8 * kMiB + 1}, size_t{27 * kMiB + 9}}) {
        const std::string data = make_bytes(size, size);
        for (const uint32_t inline_sums_max : {64U, 0U}) {
          const auto content = co_await process.put(data, inline_sums_max);
          TIER_CHECK(content);
          EXPECT_EQ(content->length_bytes, size);
          EXPECT_EQ(content->sums.empty(), inline_sums_max == 0);
          const auto there = stored(cloud);
          EXPECT_EQ(there.size(), 1U);
          EXPECT_TRUE(there.begin()->second == data);
          EXPECT_EQ(parse_object_key(kStorePrefix, there.begin()->first), content->id);
          for (const auto& [offset, length] : {std::pair<size_t, size_t>{0, size},
                                               {size - 1, 1},
                                               {size / 2, size - size / 2},
                                               {size / 3, 1}}) {
            const auto read = co_await process.get(*content, offset, length);
            TIER_CHECK(read);
            EXPECT_TRUE(*read == data.substr(offset, length)) << offset << " " << length;
          }
          const Locator locator = content->locator();
          const auto copy = co_await process.store().copy(locator, {.inline_sums_max = 0});
          TIER_CHECK(copy);
          process.discards.discard_blob(content->id, 1);
          EXPECT_TRUE(co_await process.free_discarded());
          const auto read = co_await process.get(*copy, 0, size);
          TIER_CHECK(read);
          EXPECT_TRUE(*read == data);
          process.discards.discard_blob(copy->id, 1);
          process.discards.discard_blob(copy->sums_blob, 1);
          EXPECT_TRUE(co_await process.free_discarded());
          EXPECT_TRUE(stored(cloud).empty());
        }
      }
    }
    EXPECT_TRUE(cloud.uploads.empty());
  });
  EXPECT_EQ(refusal, "");
}

TEST_F(CloudStoreTest, ASourceThatFailsLeavesNothing) {
  class Failing final : public CloudSource {
   public:
    explicit Failing(size_t good) : good_(good) {}
    Task<Result<size_t>> fill(std::span<std::byte> into) override {
      if (good_ < into.size()) co_return BlobError::full;
      good_ -= into.size();
      std::memset(into.data(), 7, into.size());
      co_return into.size();
    }

   private:
    size_t good_;
  };
  run([&](TierProcess& process) -> Task<void> {
    for (const size_t good : {size_t{0}, size_t{3 * kMiB}, size_t{9 * kMiB}, size_t{40 * kMiB}}) {
      Failing source(good);
      const auto content = co_await process.store().store(source, {});
      EXPECT_FALSE(content);
      EXPECT_TRUE(!content && content.error().is(BlobError::full));
    }
    const std::string large = make_bytes(20 * kMiB, 1);
    TextSource source(large);
    const auto content = co_await process.store().store(source, {.size_max_bytes = 10 * kMiB});
    EXPECT_TRUE(!content && content.error().is(BlobError::too_large));
    EXPECT_TRUE(co_await process.free_discarded());
    EXPECT_TRUE(stored(cloud).empty());
    EXPECT_TRUE(cloud.uploads.empty());
  });
}

TEST_F(CloudStoreTest, AnObjectThatCannotBeDeletedHoldsUpNoOther) {
  constexpr size_t kObjects = 30;  // more than are deleted at a time
  run([&](TierProcess& process) -> Task<void> {
    for (size_t i = 0; i < kObjects; ++i) {
      const auto content = co_await process.put(make_bytes(1000, i));
      TIER_CHECK(content);
      if (i == 0) cloud.kept = stored(cloud).begin()->first;
      process.discards.discard_blob(content->id, 1);
    }
    EXPECT_EQ(stored(cloud).size(), kObjects);
    EXPECT_FALSE(co_await process.free_discarded());
    EXPECT_EQ(stored(cloud).size(), 1U);
    cloud.kept.clear();
    EXPECT_TRUE(co_await process.free_discarded());
    EXPECT_TRUE(stored(cloud).empty());
  });
}

TEST_F(CloudStoreTest, WhatTheCloudOnlyClaimsToHaveIsRefused) {
  run([&](TierProcess& process) -> Task<void> {
    cloud.forget_ppm = 1'000'000;
    const auto content = co_await process.put(make_bytes(kMiB, 1));
    EXPECT_TRUE(!content && content.error().is(BlobError::unavailable));
    const auto large = co_await process.put(make_bytes(9 * kMiB, 1));
    EXPECT_TRUE(!large && large.error().is(BlobError::unavailable));
    cloud.forget_ppm = 0;
    EXPECT_TRUE(co_await process.free_discarded());
    EXPECT_TRUE(stored(cloud).empty());
  });
}

TEST_F(CloudStoreTest, DamageIsNeverGivenOut) {
  run([&](TierProcess& process) -> Task<void> {
    const std::string data = make_bytes(3 * kMiB, 1);
    const auto content = co_await process.put(data);
    TIER_CHECK(content);
    cloud.damage_ppm = 300'000;
    for (int i = 0; i < 20; ++i) {
      const auto read = co_await process.get(*content, 0, data.size());
      if (read) EXPECT_TRUE(*read == data);
    }
    cloud.damage_ppm = 0;
    EXPECT_GT(process.store().stats().damaged_blocks, 0U);
    for (auto& [key, stored_data] : cloud.objects) {
      if (key.starts_with(kStorePrefix)) stored_data[2 * kMiB] ^= 1;
    }
    const auto first = co_await process.get(*content, 0, 2 * kMiB);
    EXPECT_TRUE(first && *first == data.substr(0, 2 * kMiB));
    const auto read = co_await process.get(*content, 0, data.size());
    EXPECT_TRUE(!read && read.error().is(BlobError::damaged));
    cloud.objects.clear();
    const auto missing = co_await process.get(*content, 0, data.size());
    EXPECT_TRUE(!missing && missing.error().is(BlobError::not_found));
  });
}

TEST_F(CloudStoreTest, ACloudThatIsAwayIsNoticedAndComesBack) {
  run([&](TierProcess& process) -> Task<void> {
    const std::string data = make_bytes(2 * kMiB, 1);
    const auto content = co_await process.put(data);
    TIER_CHECK(content);
    cloud.away = true;
    const auto put = co_await process.put(data);
    EXPECT_TRUE(!put && put.error().is(BlobError::unavailable));
    EXPECT_EQ(process.store().stats().cores_down, 1U);
    const Instant asked = process.env.now();
    const auto read = co_await process.get(*content, 0, 1);
    EXPECT_TRUE(!read && read.error().is(BlobError::unavailable));
    EXPECT_LT((process.env.now() - asked).milliseconds(), 6'000) << "requests fail at once while it is down";
    EXPECT_FALSE(co_await process.free_discarded());
    cloud.away = false;
    (void)co_await sleep_for(process.env, kDownTime);
    const auto again = co_await process.get(*content, 0, data.size());
    EXPECT_TRUE(again && *again == data);
    EXPECT_EQ(process.store().stats().cores_down, 0U);
    EXPECT_TRUE(co_await process.free_discarded());
    EXPECT_EQ(stored(cloud).size(), 1U);
  });
}

class FailingCloudTest : public TierWorld, public ::testing::WithParamInterface<uint64_t> {
 protected:
  FailingCloudTest() : TierWorld(GetParam()) {}
};

// Acknowledged content is there and right; unacknowledged content leaves nothing once it has been freed.
TEST_P(FailingCloudTest, NothingAcknowledgedIsLostOrWrong) {
  uint64_t acknowledged = 0;
  const std::string refusal = run([&](TierProcess& process) -> Task<void> {
    cloud.error_ppm = 80'000;
    cloud.late_ppm = 40'000;
    cloud.drop_ppm = 40'000;
    cloud.damage_ppm = 40'000;
    cloud.cut_ppm = 40'000;
    cloud.slow_ppm = 40'000;
    cloud.forget_ppm = 20'000;
    std::vector<std::pair<CloudContent, std::string>> kept;
    for (int round = 0; round < 60; ++round) {
      const size_t sizes[] = {1, kMiB, 3 * kMiB + 1, 8 * kMiB, 17 * kMiB + 3};
      const std::string data = make_bytes(sizes[process.env.random() % 5], process.env.random());
      auto content = co_await process.put(data, round % 2 == 0 ? 64 : 0);
      if (content) {
        ++acknowledged;
        kept.emplace_back(std::move(*content), data);
      } else {
        EXPECT_TRUE(content.error().is(BlobError::unavailable)) << content.error().to_string();
      }
      if (kept.empty()) continue;
      const size_t pick = process.env.random() % kept.size();
      const std::string& expected = kept[pick].second;
      const size_t offset = process.env.random() % expected.size();
      const auto read = co_await process.get(kept[pick].first, offset, expected.size() - offset);
      if (read) EXPECT_TRUE(*read == expected.substr(offset));
      if (kept.size() > 4) {
        process.discards.discard_blob(kept[pick].first.id, 1);
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(pick));
      }
      (void)co_await process.free_discarded();
    }
    EXPECT_GT(cloud.faults, 50U);
    cloud.error_ppm = cloud.late_ppm = cloud.drop_ppm = cloud.damage_ppm = cloud.cut_ppm = cloud.slow_ppm = 0;
    cloud.forget_ppm = 0;
    (void)co_await sleep_for(process.env, Duration::seconds(10));
    for (const auto& [content, data] : kept) {
      const auto read = co_await process.get(content, 0, data.size());
      TIER_CHECK(read);
      EXPECT_TRUE(*read == data);
    }
    EXPECT_TRUE(co_await process.free_discarded());
    EXPECT_EQ(stored(cloud).size(), kept.size());
    // Uploads whose end is not known belong to this incarnation: the next one ends them.
    EXPECT_TRUE(co_await process.tier.blobs().abort_uploads_before({incarnation.value + 1}));
    EXPECT_TRUE(cloud.uploads.empty());
  });
  EXPECT_EQ(refusal, "");
  EXPECT_GT(acknowledged, 30U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FailingCloudTest, ::testing::Range<uint64_t>(1, 5));

TEST_F(CloudStoreTest, TheSweepSeesWhatIsOurs) {
  run([&](TierProcess& process) -> Task<void> {
    std::set<BlobId> expected;
    for (int i = 0; i < 8; ++i) {
      const auto content = co_await process.put("content");
      TIER_CHECK(content);
      expected.insert(content->id);
    }
    cloud.objects[std::string(kStorePrefix) + "notes.txt"] = "not ours";
    cloud.objects["q/other"] = "not ours";
    std::set<BlobId> found;
    uint64_t cursor = 0;
    do {
      const auto page = co_await process.tier.blobs().enumerate({}, 2, cursor);
      TIER_CHECK(page);
      for (const BlobKey& key : page->keys) found.insert(key.id);
      cursor = page->next_cursor;
    } while (cursor != 0);
    EXPECT_EQ(found, expected);
    EXPECT_EQ(process.tier.blobs().shard_count(), 3);
  });
}

TEST(TierKeys, OnlyOurOwnAreParsed) {
  const BlobId id{.volume = kCloudVolume, .shard = 3, .incarnation = {0x1234}, .number = 0xfedcba9876543210};
  const std::string key = object_key("p/s/", id);
  EXPECT_EQ(key, "p/s/00001234/0003-fedcba9876543210");
  EXPECT_EQ(parse_object_key("p/s/", key), id);
  for (const std::string& other :
       {key + "0", key.substr(1), std::string("p/s/check"), std::string("p/s/0000123X/0003-fedcba9876543210"),
        std::string("p/s/00001234-0003-fedcba9876543210"), std::string("p/s/00001234/0003/fedcba9876543210"),
        std::string("p/s/00001234/0003-FEDCBA9876543210")}) {
    EXPECT_FALSE(parse_object_key("p/s/", other)) << other;
  }
}

}  // namespace
}  // namespace fb::tier
