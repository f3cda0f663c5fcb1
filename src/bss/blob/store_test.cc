// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "bss/blob/test_store.h"
#include "io/runtime.h"

namespace fb::bss {
namespace {

class BlobStoreTest : public testing::Test {
 public:
  BlobStoreTest() : directory_(testing::TempDir() + "blob_store_XXXXXX") {
    if (mkdtemp(directory_.data()) == nullptr) ADD_FAILURE() << "no directory " << directory_;
    options_.directory = directory_ + "/blobs";
    options_.shard_count = 4;
    options_.segment_bytes = 256 * kKiB;
    options_.capacity_bytes = 64 * kMiB;
    options_.cache_bytes = 2 * kMiB;
    options_.checkpoint_interval_bytes = kMiB;
    options_.compaction_time_percent = 100;
    options_.incarnation = {1};
  }
  ~BlobStoreTest() override { std::filesystem::remove_all(directory_); }

  // One core, opened and closed around `body`.
  template <class Body>
  void with_store(Body body) {
    const Result<void> ran = run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
      auto store = co_await BlobStore::open(env, options_);
      CO_ASSERT_OK(store);
      BlobFront front(env, **store);
      CO_ASSERT_OK(co_await front.open());
      co_await body(env, front);
      EXPECT_TRUE(front.verify());
      CO_ASSERT_OK(co_await front.close());
    });
    ASSERT_TRUE(ran.has_value());
    options_.incarnation.value += 1;
  }

  std::string segment_path() const { return options_.directory + "/shard-0000/segment-00000000"; }
  // Where these bytes stand in the first segment.
  uint64_t find_payload(const std::string& bytes) const {
    std::ifstream file(segment_path(), std::ios::binary);
    std::string segment(options_.segment_bytes, '\0');
    file.read(segment.data(), static_cast<std::streamsize>(segment.size()));
    const size_t at = segment.rfind(bytes);
    EXPECT_NE(at, std::string::npos);
    return at;
  }
  void flip(uint64_t offset) const {
    std::fstream file(segment_path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }

  std::string directory_;
  BlobStoreOptions options_;
};

TEST_F(BlobStoreTest, PutGetErase) {
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    const BlobKey key{.id = front.new_blob(), .block = 2};
    const std::string bytes = payload_of(1, 5000);
    CO_ASSERT_OK(co_await put_bytes(env, front, key, bytes));
    CO_ASSERT_OK(co_await put_bytes(env, front, key, bytes));
    const Result<void> other = co_await put_bytes(env, front, key, payload_of(2, 5000));
    CO_ASSERT(!other && other.error().is(BlobError::exists));
    EXPECT_EQ((co_await get_bytes(front, key, 0, 5000)).value(), bytes);
    EXPECT_EQ((co_await get_bytes(front, key, 4100, 900)).value(), bytes.substr(4100));
    BlobData cached;
    EXPECT_TRUE(front.get_cached(key, 10, 20, &cached));
    EXPECT_FALSE(front.get_cached(key, 10, 5000, &cached));
    cached = {};
    EXPECT_TRUE((co_await get_bytes(front, key, 0, 5001)).error().is(BlobError::too_large));
    const BlobExtent extent{.id = key.id, .block_count = 3};
    CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    EXPECT_TRUE((co_await get_bytes(front, key, 0, 1)).error().is(BlobError::not_found));
    EXPECT_EQ((co_await front.space({})).value().used_bytes, 0U);
  });
}

// What a range does not touch is neither read nor looked at.
TEST_F(BlobStoreTest, ARangeReadsThePiecesItTouches) {
  options_.shard_count = 1;
  options_.segment_bytes = 4 * kMiB;
  options_.cache_bytes = 0;
  // With the pieces' checksums behind the payload, in a block of their own, and where the last piece is
  // short.
  for (const uint32_t length : {900'000U, kBlobBlockSizeMax, 11 * kPieceBytes + 4096 - 8}) {
    const std::string bytes = payload_of(1, length);
    BlobKey key;
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      key.id = front.new_blob();
      CO_ASSERT_OK(co_await put_bytes(env, front, key, bytes));
      const uint32_t last = (piece_count(length) - 1) * kPieceBytes;
      const std::pair<uint32_t, uint32_t> ranges[] = {{0, 1},
                                                      {kPieceBytes - 1, 2},
                                                      {3 * kPieceBytes, kPieceBytes},
                                                      {last, length - last},
                                                      {length - 1, 1}};
      for (const auto& [offset, count] : ranges) {
        const uint64_t before = env.stats().file_read_bytes;
        EXPECT_EQ((co_await get_bytes(front, key, offset, count)).value(), bytes.substr(offset, count));
        EXPECT_LE(env.stats().file_read_bytes - before, 2 * kPieceBytes + kBlockBytes) << offset;
      }
      const uint64_t before = env.stats().file_read_bytes;
      EXPECT_EQ((co_await get_bytes(front, key, 0, length)).value(), bytes);
      EXPECT_EQ(env.stats().file_read_bytes - before, payload_bytes(length));
    });
    const uint64_t at = find_payload(bytes.substr(0, 4096));
    flip(at + 3 * kPieceBytes + 100);
    with_store([&](Env&, BlobFront& front) -> Task<void> {
      EXPECT_EQ((co_await get_bytes(front, key, 0, kPieceBytes)).value(), bytes.substr(0, kPieceBytes));
      for (const uint32_t offset : {3 * kPieceBytes, 2 * kPieceBytes})
        EXPECT_TRUE((co_await get_bytes(front, key, offset, kPieceBytes + 1)).error().is(BlobError::damaged));
      EXPECT_TRUE((co_await get_bytes(front, key, 0, length)).error().is(BlobError::damaged));
    });
    flip(at + 3 * kPieceBytes + 100);
    // Without the pieces' checksums the whole payload tells.
    flip(at + piece_table_offset(length));
    with_store([&](Env&, BlobFront& front) -> Task<void> {
      EXPECT_EQ((co_await get_bytes(front, key, 70'000, 10)).value(), bytes.substr(70'000, 10));
      EXPECT_EQ(front.stats().damaged, 0U);
      const BlobExtent extent{.id = key.id, .block_count = 1};
      CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    });
  }
}

// And not before: one that is read once displaces nothing.
TEST_F(BlobStoreTest, ALargePayloadIsCachedOnceItHasBeenRead) {
  options_.shard_count = 1;
  options_.segment_bytes = 4 * kMiB;
  const std::string bytes = payload_of(1, 900'000);
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    const BlobKey key{.id = front.new_blob(), .block = 0};
    CO_ASSERT_OK(co_await put_bytes(env, front, key, bytes));
    BlobData cached;
    // A range, most of it, and then a range for which all of it is read.
    for (const auto& [offset, count] : {std::pair{0U, 10U}, {1U, 899'999U}, {3 * kPieceBytes, 10U}}) {
      EXPECT_FALSE(front.get_cached(key, offset, count, &cached));
      EXPECT_EQ((co_await get_bytes(front, key, offset, count)).value(), bytes.substr(offset, count));
    }
    const uint64_t before = env.stats().file_reads;
    EXPECT_EQ((co_await get_bytes(front, key, 0, 900'000)).value(), bytes);
    EXPECT_EQ((co_await get_bytes(front, key, 899'990, 10)).value(), bytes.substr(899'990));
    EXPECT_EQ(env.stats().file_reads, before);
    EXPECT_EQ(front.stats().cache_hits, 2U);
    const BlobExtent extent{.id = key.id, .block_count = 1};
    CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    EXPECT_TRUE((co_await get_bytes(front, key, 0, 10)).error().is(BlobError::not_found));
  });
}

TEST_F(BlobStoreTest, APayloadThatChangedInMemoryIsRefused) {
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    const BlobWrite write{.id = front.new_blob(),
                          .buffer = co_await env.buffers().allocate(200'000),
                          .length = 200'000,
                          .checksum = 1};
    EXPECT_TRUE((co_await front.put({}, write)).error().is(BlobError::damaged));
  });
}

TEST_F(BlobStoreTest, AgreesWithAModelThroughRestarts) {
  options_.capacity_bytes = 256 * kMiB;
  Model model;
  std::mt19937_64 random(5);
  for (int round = 0; round < 6; ++round) {
    options_.cache_bytes = round % 2 == 0 ? 2 * kMiB : 0;
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      uint64_t wrong = 0;
      co_await check_model(front, model, &wrong);
      CO_ASSERT(wrong == 0);
      Workload workload{.env = env, .client = front, .model = model, .random = random};
      workload.erase_percent = 30 + 10 * (round % 3);
      workload.large_max = 180'000;
      co_await workload.run(1500, 16);
      EXPECT_EQ(workload.failed, 0U);
      co_await check_model(front, model, &wrong);
    });
    if (round == 3) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
        if (entry.path().filename() == "checkpoint") std::filesystem::remove(entry.path());
      }
    }
  }
}

// Every byte of the capacity is in one place.
TEST_F(BlobStoreTest, UsageIsExact) {
  options_.capacity_bytes = 4 * 20 * options_.segment_bytes;
  Model model;
  std::mt19937_64 random(9);
  for (int round = 0; round < 4; ++round) {
    with_store([&](Env& env, BlobFront& front) -> Task<void> {
      Workload workload{.env = env, .client = front, .model = model, .random = random};
      workload.large_max = round == 2 ? 150'000 : 0;
      workload.erase_percent = 45;
      for (int part = 0; part < 10; ++part) {
        co_await workload.run(160, 8);
        const BlobUsage usage = front.usage_here();
        EXPECT_EQ(usage.capacity_bytes, usage.live_bytes + usage.garbage_bytes + usage.unwritten_bytes +
                                            usage.free_bytes + usage.unallocated_bytes + usage.lost_bytes);
        uint64_t live = 0;
        for (const auto& [key, bytes] : model.live) live += stored_bytes(static_cast<uint32_t>(bytes.size()));
        EXPECT_EQ(usage.live_bytes, live);
        EXPECT_EQ(usage.blobs, model.live.size());
        const BlobSpace space = (co_await front.space({})).value();
        EXPECT_EQ(space.used_bytes, usage.live_bytes);
        EXPECT_EQ(space.capacity_bytes, usage.capacity_bytes);
        EXPECT_EQ(space.available_bytes, usage.available_bytes);
      }
    });
  }
}

TEST_F(BlobStoreTest, OtherCoreCounts) {
  Model model;
  std::mt19937_64 random(6);
  options_.shard_count = 8;
  for (const unsigned cores : {2U, 1U, 8U, 3U}) {
    std::unique_ptr<BlobStore> store;
    std::atomic<unsigned> open = 0;
    std::atomic<unsigned> done = 0;
    const auto wait_for_all = [&](Env& env, std::atomic<unsigned>& count) -> Task<void> {
      ++count;
      while (count != cores) (void)co_await sleep_for(env, Duration::milliseconds(1));
    };
    std::atomic<bool> made = false;
    ASSERT_TRUE(run_cores({.cores = cores}, [&](Env& env) -> Task<void> {
                  if (env.core() == 0) {
                    store = std::move(*co_await BlobStore::open(env, options_));
                    made = true;
                  }
                  while (!made) (void)co_await sleep_for(env, Duration::milliseconds(1));
                  BlobFront front(env, *store);
                  CO_ASSERT_OK(co_await front.open());
                  co_await wait_for_all(env, open);
                  if (env.core() == cores - 1) {
                    uint64_t wrong = 0;
                    co_await check_model(front, model, &wrong);
                    Workload workload{.env = env, .client = front, .model = model, .random = random};
                    co_await workload.run(400, 8);
                    // Names of another core's shard, too.
                    for (uint16_t shard = 0; shard < 4; ++shard) {
                      const BlobKey key{.id = {.shard = shard, .incarnation = {1000 + cores}, .number = 1}};
                      const std::string bytes = payload_of(shard, 70'000);
                      CO_ASSERT_OK(co_await put_bytes(env, front, key, bytes));
                      model.live[key] = bytes;
                    }
                    co_await check_model(front, model, &wrong);
                  }
                  co_await wait_for_all(env, done);
                  CO_ASSERT_OK(co_await front.close());
                }).has_value());
    options_.incarnation.value += 1;
  }
}

TEST_F(BlobStoreTest, FullStoreRefusesPutsAndRecovers) {
  options_.shard_count = 1;
  options_.capacity_bytes = 2 * kMiB;
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    std::vector<BlobKey> keys;
    Result<void> put;
    for (int i = 0; i < 1000; ++i) {
      const BlobKey key{.id = front.new_blob()};
      put = co_await put_bytes(env, front, key, payload_of(key.id.number, 8000));
      if (!put) break;
      keys.push_back(key);
    }
    CO_ASSERT(!put && put.error().is(BlobError::full));
    EXPECT_GT(keys.size(), 100U);
    for (const BlobKey& key : keys)
      EXPECT_EQ((co_await get_bytes(front, key, 0, 8000)).value(), payload_of(key.id.number, 8000));
    for (size_t i = 0; i < keys.size(); i += 2) {
      const BlobExtent extent{.id = keys[i].id, .block_count = 1};
      CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
    }
    for (int i = 0; i < 40; ++i) {
      const BlobKey key{.id = front.new_blob()};
      CO_ASSERT_OK(co_await put_bytes(env, front, key, payload_of(key.id.number, 8000)));
    }
    for (size_t i = 1; i < keys.size(); i += 2)
      EXPECT_EQ((co_await get_bytes(front, keys[i], 0, 8000)).value(), payload_of(keys[i].id.number, 8000));
  });
}

// A client can store what it read from a segment file: it never passes for a descriptor.
TEST_F(BlobStoreTest, PayloadsThatLookLikeDescriptors) {
  options_.shard_count = 1;
  Model model;
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    const BlobKey key{.id = front.new_blob()};
    model.live[key] = payload_of(1, 4096);
    CO_ASSERT_OK(co_await put_bytes(env, front, key, model.live[key]));
  });
  std::ifstream file(options_.directory + "/shard-0000/segment-00000000", std::ios::binary);
  std::string segment(256 * kKiB, '\0');
  file.read(segment.data(), static_cast<std::streamsize>(segment.size()));
  with_store([&](Env& env, BlobFront& front) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      const BlobKey key{.id = front.new_blob()};
      model.live[key] = segment.substr(0, 40'000);
      CO_ASSERT_OK(co_await put_bytes(env, front, key, model.live[key]));
      const BlobExtent extent{.id = key.id, .block_count = 1};
      if (i == 1) {
        CO_ASSERT_OK(co_await front.erase({}, std::span(&extent, 1)));
        model.erased.insert(key);
        model.live.erase(key);
      }
    }
  });
  std::filesystem::remove(options_.directory + "/shard-0000/checkpoint");
  with_store([&](Env&, BlobFront& front) -> Task<void> {
    uint64_t wrong = 0;
    co_await check_model(front, model, &wrong);
    EXPECT_EQ(front.stats().checkpoints_lost, 1U);
    EXPECT_EQ(front.blob_count(), model.live.size());
  });
}

}  // namespace
}  // namespace fb::bss
