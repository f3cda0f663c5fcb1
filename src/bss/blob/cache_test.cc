// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "bss/test_world.h"

namespace fb::bss {
namespace {

constexpr size_t kBudget = 8 * kMiB;
constexpr uint32_t kLarge = 1 * kMiB;

BlobKey key(uint64_t number) { return {.id = {.incarnation = {1}, .number = number}, .block = 0}; }

struct Subject {
  explicit Subject(Env& env) : cache(env, kBudget) {}

  // What is read from disk would be copied to where it says.
  bool insert(uint64_t number, uint32_t length) {
    Buffer buffer = cache.allocate(length);
    if (!buffer) return false;
    std::memcpy(buffer.data(), &number, sizeof(number));
    cache.insert(key(number), std::move(buffer), length, {.checksum = number});
    return true;
  }
  bool has(uint64_t number, uint32_t length, BlobData* kept = nullptr) {
    BlobData data;
    if (cache.find(key(number), 0, length, &data) == nullptr) return false;
    uint64_t read = 0;
    std::memcpy(&read, data.bytes().data(), sizeof(read));
    EXPECT_EQ(read, number);
    if (kept != nullptr) *kept = std::move(data);
    return true;
  }
  // Entries of 4 KiB, numbered from 0, until the memory is used up.
  uint64_t fill() {
    constexpr uint64_t kCount = kBudget / kBufferSizeMin;
    for (uint64_t number = 0; number < kCount; ++number) EXPECT_TRUE(insert(number, 4096));
    EXPECT_EQ(cache.size(), kCount);
    return kCount;
  }

  BlobCache cache;
};

void with_cache(const std::function<void(Subject&)>& test) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    Subject subject(env);
    test(subject);
    co_return;
  });
}

TEST(BlobCache, WhatIsReadAgainOutlivesWhatIsNot) {
  with_cache([](Subject& subject) {
    const uint64_t count = subject.fill();
    for (uint64_t number = 0; number < count; number += 2) EXPECT_TRUE(subject.has(number, 4096));
    for (uint64_t number = count; number < count + count / 4; ++number)
      EXPECT_TRUE(subject.insert(number, 4096));
    EXPECT_EQ(subject.cache.size(), count);
    for (uint64_t number = 0; number < count / 2; number += 2) {
      EXPECT_TRUE(subject.has(number, 4096)) << number;
      EXPECT_FALSE(subject.has(number + 1, 4096)) << number + 1;
    }
  });
}

TEST(BlobCache, SmallPayloadsAreWantedAtOnceAndLargeOnesOnceTheyHaveBeenRead) {
  with_cache([](Subject& subject) {
    EXPECT_TRUE(subject.cache.wants(key(1), BlobCache::kSmallBytesMax, 1));
    EXPECT_FALSE(subject.cache.wants(key(2), kLarge, kLarge));
    EXPECT_TRUE(subject.cache.wants(key(2), kLarge, kLarge));
    EXPECT_FALSE(subject.cache.wants(key(2), kLarge, kLarge));  // it begins anew
    for (int piece = 0; piece < 16; ++piece)
      EXPECT_FALSE(subject.cache.wants(key(3), kLarge, kLarge / 16)) << piece;
    EXPECT_TRUE(subject.cache.wants(key(3), kLarge, kLarge / 16));
  });
}

TEST(BlobCache, OfAScanNothingLargeIsWanted) {
  with_cache([](Subject& subject) {
    for (int pass = 0; pass < 2; ++pass) {
      size_t wanted = 0;
      for (uint64_t number = 0; number < 100'000; ++number)
        wanted += subject.cache.wants(key(number), kLarge, kLarge) ? 1 : 0;
      EXPECT_EQ(wanted, 0U);
    }
  });
}

TEST(BlobCache, OffItWantsNothing) {
  World world;
  world.run([](Env& env) -> Task<void> {
    BlobCache off(env, 0);
    EXPECT_FALSE(off.wants(key(1), 100, 100));
    EXPECT_FALSE(off.allocate(100));
    BlobData data;
    EXPECT_EQ(off.find(key(1), 0, 1, &data), nullptr);
    co_return;
  });
}

// Free memory lies scattered: one region is emptied, and nothing else is touched.
TEST(BlobCache, ALargePayloadFindsItsPlaceAmongSmallOnes) {
  with_cache([](Subject& subject) {
    uint64_t next = subject.fill();
    std::mt19937_64 random(1);
    for (int change = 0; change < 20'000; ++change) {
      subject.cache.erase(key(random() % next));
      EXPECT_TRUE(subject.insert(next++, 4096));
    }
    const size_t before = subject.cache.size();
    EXPECT_TRUE(subject.insert(next, kLarge));
    EXPECT_TRUE(subject.has(next, kLarge));
    EXPECT_GE(subject.cache.size(), before + 1 - kLarge / kBufferSizeMin);
    for (uint64_t small = next + 1; small < next + 1000; ++small) EXPECT_TRUE(subject.insert(small, 4096));
  });
}

TEST(BlobCache, TheRegionWithTheFewestMarksIsEmptied) {
  with_cache([](Subject& subject) {
    const uint64_t count = subject.fill();  // in order of address, so of 256 each
    constexpr uint64_t kOfRegion = kLarge / kBufferSizeMin;
    constexpr uint64_t kUnmarkedRegion = 5;
    for (uint64_t number = 0; number < count; ++number)
      if (number / kOfRegion != kUnmarkedRegion || number % 8 == 0) EXPECT_TRUE(subject.has(number, 4096));
    EXPECT_TRUE(subject.insert(count, kLarge));
    for (uint64_t number = 0; number < count; ++number)
      EXPECT_EQ(subject.has(number, 4096), number / kOfRegion != kUnmarkedRegion) << number;
  });
}

// Memory that readers still hold is not given out, whatever was evicted.
TEST(BlobCache, WhatIsHeldStaysWhereItIs) {
  with_cache([](Subject& subject) {
    const uint64_t count = subject.fill();
    constexpr uint64_t kOfRegion = kLarge / kBufferSizeMin;
    std::vector<BlobData> held;
    for (uint64_t number = 7; number < count; number += kOfRegion)
      EXPECT_TRUE(subject.has(number, 4096, &held.emplace_back()));
    EXPECT_FALSE(subject.insert(count, kLarge));
    EXPECT_EQ(subject.cache.size(), count);
    held.pop_back();
    EXPECT_TRUE(subject.insert(count, kLarge));
    for (size_t region = 0; region < held.size(); ++region) {
      uint64_t read = 0;
      std::memcpy(&read, held[region].bytes().data(), sizeof(read));
      EXPECT_EQ(read, 7 + region * kOfRegion);
    }
  });
}

// Sizes of all kinds, against a table of what was inserted: never another's bytes.
TEST(BlobCache, RandomUse) {
  with_cache([](Subject& subject) {
    std::mt19937_64 random(2);
    std::vector<uint32_t> length_of(3000);
    for (uint32_t& length : length_of) length = static_cast<uint32_t>(1 + random() % (8U << (random() % 18)));
    std::vector<BlobData> held;
    size_t inserted = 0;
    for (int step = 0; step < 200'000; ++step) {
      const uint64_t number = random() % length_of.size();
      const uint32_t length = std::max<uint32_t>(length_of[number], sizeof(number));
      BlobData data;
      if (subject.has(number, length, &data)) {
        if (step % 16 == 0) held.push_back(std::move(data));
      } else {
        inserted += subject.insert(number, length) ? 1 : 0;
      }
      if (step % 7 == 0) subject.cache.erase(key(random() % length_of.size()));
      if (held.size() > 20)
        held.erase(held.begin(), held.begin() + static_cast<int64_t>(random() % held.size()));
    }
    EXPECT_GT(inserted, 10'000U);
    EXPECT_GT(subject.cache.size(), 0U);
  });
}

}  // namespace
}  // namespace fb::bss
