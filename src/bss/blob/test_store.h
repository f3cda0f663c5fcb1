// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "bss/blob/placement.h"
#include "bss/blob/store.h"
#include "client/outcome.h"
#include "io/env_test_suite.h"

// For the tests of this folder: contents made from a number, and a model of what a store must hold.

namespace fb::bss {

// One shard of ten small segments. `compacts`: as soon as a segment is not full.
inline BlobStoreOptions one_small_shard(uint32_t incarnation, bool compacts = true) {
  BlobStoreOptions options{.directory = "/blobs", .incarnation = {incarnation}};
  options.shard_count = 1;
  options.segment_bytes = 64 * kKiB;
  options.capacity_bytes = 10 * options.segment_bytes;
  options.cache_bytes = 0;
  options.checkpoint_interval_bytes = 128 * kKiB;
  options.compaction_time_percent = 100;
  options.compaction_live_percent = compacts ? 60 : 0;
  return options;
}

inline std::string payload_of(uint64_t seed, uint32_t length) {
  std::string bytes(length, '\0');
  std::mt19937_64 random(seed * 1000003 + length);
  for (uint32_t at = 0; at < length; at += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min<size_t>(8, length - at));
  }
  return bytes;
}

inline Task<Result<void>> put_bytes(Env& env, BlobClient& client, BlobKey key, const std::string& bytes,
                                    const CallContext& context = {}) {
  Buffer buffer = co_await env.buffers().allocate(bytes.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  const BlobWrite write{.id = key.id,
                        .block = key.block,
                        .buffer = std::move(buffer),
                        .length = static_cast<uint32_t>(bytes.size()),
                        .checksum = blob_checksum(std::as_bytes(std::span(bytes)))};
  co_return co_await client.put(context, write);
}

inline Task<Result<std::string>> get_bytes(BlobClient& client, BlobKey key, uint32_t offset,
                                           uint32_t length) {
  FB_CO_TRY(const BlobData data, co_await client.get({}, key, offset, length));
  co_return std::string(reinterpret_cast<const char*>(data.bytes().data()), data.bytes().size());
}

// What was acknowledged. A key under way when a crash came may be there or not.
struct Model {
  std::map<BlobKey, std::string> live;
  std::set<BlobKey> erased;
  std::map<BlobKey, std::string> putting;
  std::map<BlobKey, std::string> erasing;
};

// Puts and erases at random through one client, `width` at a time; `stop` may end it.
struct Workload {
  Env& env;
  BlobClient& client;
  Model& model;
  std::mt19937_64& random;
  uint32_t length_max = 20'000;
  // In one shard, and in the next ones.
  static constexpr uint32_t kBlocks[] = {0, 1, kBlocksPerRun - 1, kBlocksPerRun, 3 * kBlocksPerRun + 5};
  int erase_percent = 30;
  uint32_t large_max = 0;  // every eighth payload has up to so many bytes
  // A put that is in doubt, and an erase that failed, are left as under way, for settle_model(). Other puts
  // that failed have surely not happened.
  bool keeps_failed = false;
  uint64_t failed = 0;

  Task<void> put_one() {
    const BlobId id = client.new_blob();
    const BlobKey key{.id = id, .block = kBlocks[random() % std::size(kBlocks)]};
    const uint32_t limit = large_max != 0 && random() % 8 == 0 ? large_max : length_max;
    std::string bytes = payload_of(id.number, 1 + static_cast<uint32_t>(random() % limit));
    model.putting[key] = bytes;
    const Result<void> put = co_await put_bytes(env, client, key, bytes);
    const bool in_doubt = !put && outcome_of(put.error()) == Outcome::unknown;
    if (!keeps_failed || !in_doubt) model.putting.erase(key);
    if (put) {
      model.live[key] = std::move(bytes);
    } else {
      ++failed;
      if (keeps_failed && !in_doubt) model.erased.insert(key);
    }
  }
  Task<void> erase_one() {
    auto at = model.live.lower_bound({.id = {.shard = static_cast<uint16_t>(random() % 16)}});
    if (at == model.live.end()) at = model.live.begin();
    if (at == model.live.end()) co_return;
    std::advance(
        at, std::min<size_t>(random() % 8, static_cast<size_t>(std::distance(at, model.live.end())) - 1));
    const BlobId id = at->first.id;
    std::vector<BlobKey> keys;
    for (const uint32_t block : kBlocks) {
      auto node = model.live.extract({.id = id, .block = block});
      if (!node.empty()) model.erasing.insert(std::move(node)), keys.push_back({.id = id, .block = block});
    }
    const BlobExtent extent{.id = id, .block_count = kBlocks[std::size(kBlocks) - 1] + 1};
    const Result<void> erased = co_await client.erase({}, std::span(&extent, 1));
    for (const BlobKey& key : keys) {
      if (!erased && keeps_failed) {
        ++failed;
        continue;
      }
      auto node = model.erasing.extract(key);
      if (erased) {
        model.erased.insert(key);
      } else {
        ++failed;
        model.live.insert(std::move(node));
      }
    }
  }
  static Task<void> worker(Workload& self, int operations) {
    for (int i = 0; i < operations; ++i) {
      if (static_cast<int>(self.random() % 100) < self.erase_percent) {
        co_await self.erase_one();
      } else {
        co_await self.put_one();
      }
    }
  }
  Task<void> run(int operations, int width) {
    Scope scope(env);
    for (int i = 0; i < width; ++i) scope.spawn(&Workload::worker, std::ref(*this), operations / width);
    co_await scope.join();
  }
};

// What was under way at a crash may have happened; from then on it is as it was found.
inline Task<void> settle_model(BlobClient& client, Model& model) {
  for (auto* open : {&model.putting, &model.erasing}) {
    for (const auto& [key, bytes] : *open) {
      const Result<std::string> got = co_await get_bytes(client, key, 0, static_cast<uint32_t>(bytes.size()));
      if (got) {
        EXPECT_EQ(*got, bytes);
        model.live[key] = bytes;
      } else {
        EXPECT_TRUE(got.error().is(BlobError::not_found)) << got.error().to_string();
        model.erased.insert(key);
      }
    }
    open->clear();
  }
}

// Every acknowledged blob is there whole, nothing erased is, and nothing else is but what was under way.
inline Task<void> check_model(BlobClient& client, const Model& model, uint64_t* wrong) {
  for (const auto& [key, bytes] : model.live) {
    const Result<std::string> got = co_await get_bytes(client, key, 0, static_cast<uint32_t>(bytes.size()));
    if (!got || *got != bytes)
      ++*wrong, ADD_FAILURE() << "lost " << key.id.number << " " << (got ? "wrong" : got.error().to_string());
  }
  for (const BlobKey& key : model.erased) {
    const Result<std::string> got = co_await get_bytes(client, key, 0, 1);
    if (got || !got.error().is(BlobError::not_found))
      ++*wrong, ADD_FAILURE() << "came back " << key.id.number;
  }
  for (uint16_t shard = 0; shard < client.shard_count(); ++shard) {
    uint64_t cursor = 0;
    do {
      Result<BlobPage> page = co_await client.enumerate({}, shard, cursor);
      CO_ASSERT_OK(page);
      for (const BlobKey& key : page->keys) {
        const bool known =
            model.live.contains(key) || model.putting.contains(key) || model.erasing.contains(key);
        if (!known) ++*wrong, ADD_FAILURE() << "unknown " << key.id.number << " in shard " << shard;
      }
      cursor = page->next_cursor;
    } while (cursor != 0);
  }
}

}  // namespace fb::bss
