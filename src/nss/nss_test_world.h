// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "bss/device/device_test_world.h"
#include "bss/metadata_store.h"
#include "bss/test_world.h"
#include "client/blob_client.h"
#include "client/record.h"
#include "nss/partition_front.h"

// For the tests of this folder: an engine over the real stores, blobs in memory, records.

namespace fb {

// Keeps which blobs there are, and the content of those that were put.
class FakeBlobs final : public BlobClient {
 public:
  std::set<BlobKey> live;
  std::map<BlobKey, std::string> content;
  Env* env = nullptr;
  Duration erase_delay;
  uint64_t erased = 0;
  std::set<uint16_t> broken_volumes;  // in which nothing can be erased
  uint64_t next = 1;
  Incarnation incarnation{1};

  BlobId new_blob() override {
    return {.shard = static_cast<uint16_t>(next % 4), .incarnation = incarnation, .number = next++};
  }
  void write(const BlobId& id, uint32_t block_count = 1) {
    for (uint32_t i = 0; i < block_count; ++i) live.insert({id, i});
  }
  Task<Result<void>> put(const CallContext&, const BlobWrite& write_request) override {
    const BlobKey key{write_request.id, write_request.block};
    live.insert(key);
    content[key].assign(reinterpret_cast<const char*>(write_request.buffer.data()), write_request.length);
    co_return Result<void>();
  }
  Task<Result<BlobData>> get(const CallContext&, BlobKey key, uint32_t offset, uint32_t length) override {
    if (!live.contains(key) || env == nullptr) co_return BlobError::not_found;
    BlobData data{.buffer = co_await env->buffers().allocate(length), .offset = 0, .length = length};
    std::memcpy(data.buffer.data(), content[key].data() + offset, length);
    co_return data;
  }
  Task<Result<void>> erase(const CallContext&, std::span<const BlobExtent> extents) override {
    if (env != nullptr && erase_delay > Duration()) (void)co_await sleep_for(*env, erase_delay);
    for (const BlobExtent& extent : extents) {
      if (broken_volumes.contains(extent.id.volume)) co_return BlobError::unavailable;
    }
    for (const BlobExtent& extent : extents) {
      for (uint32_t i = 0; i < extent.block_count; ++i) erased += live.erase({extent.id, i});
    }
    co_return Result<void>();
  }
  Task<Result<BlobPage>> enumerate(const CallContext&, uint16_t shard, uint64_t cursor) override {
    BlobPage page;
    uint64_t position = 0;
    for (const BlobKey& key : live) {
      if (key.id.shard != shard || position++ < cursor) continue;
      if (page.keys.size() == 3) {
        page.next_cursor = position - 1;
        break;
      }
      page.keys.push_back(key);
    }
    co_return page;
  }
  uint16_t shard_count() const override { return 4; }
  Task<Result<BlobSpace>> space(const CallContext&) override { co_return BlobSpace(); }
};

inline std::string object_naming(const BlobId& blob, uint64_t size_bytes = 100, uint8_t etag = 0) {
  ObjectRecord record;
  record.size_bytes = size_bytes;
  record.etag.md5.fill(etag);
  record.content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = size_bytes};
  return record.encode();
}

// An object with inline content: names no blob.
inline std::string inline_object(std::string_view content) {
  ObjectRecord record;
  record.size_bytes = content.size();
  record.content = {
      .kind = Locator::Kind::inline_bytes, .length_bytes = content.size(), .inline_data = content};
  if (content.empty()) record.content = {};
  return record.encode();
}

// Of an engine, and of the stores beneath it.
struct EngineOptions : Partition::Options {
  bss::MetadataStore::Options stores;
  uint64_t device_bytes = 0;  // 0: in folders; else on a device of that size, made where there is none
};

// Small pages and few of them, so that they come and go all the time.
inline EngineOptions small_options() {
  EngineOptions options;
  options.memory_bytes = 768 * kKiB;
  options.free_delay = Duration::milliseconds(1);
  options.checkpoint_tick = Duration::milliseconds(1);
  options.stores = {.directory = "/ns",
                    .store_id = {1, 2, 3},
                    .page_bytes = 4 * kKiB,
                    .page_growth_bytes = 128 * kKiB,
                    .page_log_bytes = 128 * kKiB,
                    .journal_segment_bytes = 256 * kKiB,
                    .journal_bytes_max = 2 * kMiB};
  return options;
}

// The stores, and the engine over them.
struct Engine {
  std::unique_ptr<bss::Device> device;
  std::unique_ptr<bss::MetadataStore> stores;
  std::unique_ptr<Partition> partition;

  Task<Result<void>> open(Env& env, const EngineOptions& options = small_options()) {
    bss::MetadataStore::Options with = options.stores;
    if (options.device_bytes != 0) {
      FB_CO_TRY(device, co_await bss::open_or_make_device(env, options.device_bytes));
      with.directory = device->path() + with.directory;
    }
    with.reserve_pages = Partition::reserve_pages(options.memory_bytes, with.page_bytes, env.core_count());
    FB_CO_TRY(stores, co_await bss::MetadataStore::open(env, with));
    Result<std::unique_ptr<Partition>> opened = co_await Partition::open(env, options, stores->clients());
    if (opened) {
      partition = std::move(*opened);
      co_return Result<void>();
    }
    (void)co_await stores->close();
    if (device) (void)co_await device->close();
    co_return opened.error();
  }
  Task<Result<void>> close() {
    Result<void> result = co_await partition->close();
    for (const Result<void>& closed :
         {co_await stores->close(), device ? co_await device->close() : Result<void>()}) {
      if (result && !closed) result = closed;
    }
    co_return result;
  }
};

inline constexpr BucketId kBucket{7};

// A partition with a front and background work, for the length of one process.
struct Session {
  explicit Session(Env& env_in) : env(env_in) {}
  Task<Result<void>> open(FakeBlobs& blobs, const EngineOptions& options = small_options()) {
    FB_CO_CHECK(co_await engine.open(env, options));
    partition = engine.partition.get();
    redo_pages = partition->statistics().redo_pages;
    front = co_await PartitionFront::open(env, *partition);
    front->use_blobs(blobs);
    blobs.env = &env;
    blobs.incarnation = partition->incarnation();
    partition->start_background(blobs);
    co_return Result<void>();
  }
  Task<Result<void>> close() {
    co_await front->close();
    co_return co_await engine.close();
  }
  Task<void> verify(bool in_use = false) {
    const auto report = co_await partition->verify(in_use);
    CO_CHECK_OK(report);
    for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  }
  Task<Result<MutationResult>> put(std::string_view key, std::string_view record, Condition condition = {}) {
    co_return co_await front->apply({}, kBucket, {.key = key, .record = record, .condition = condition});
  }
  Task<Result<MutationResult>> erase(std::string_view key, Condition condition = {}) {
    co_return co_await front->apply({}, kBucket,
                                    {.kind = Mutation::Kind::erase, .key = key, .condition = condition});
  }
  Env& env;
  Engine engine;
  Partition* partition = nullptr;
  std::unique_ptr<PartitionFront> front;
  uint64_t redo_pages = 0;  // when it began to serve
};

// One process that does `body` and ends in order.
using SessionBody = std::function<Task<void>(Session&)>;
inline void in_session(World& world, FakeBlobs& blobs, SessionBody body,
                       const EngineOptions& options = small_options()) {
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, options));
    co_await body(session);
    CO_CHECK_OK(co_await session.close());
  });
}
// The first one of a store, with a bucket.
inline void in_new_bucket(World& world, FakeBlobs& blobs, SessionBody body,
                          const EngineOptions& options = small_options()) {
  in_session(
      world, blobs,
      [&](Session& session) -> Task<void> {
        CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
        co_await body(session);
      },
      options);
}

}  // namespace fb
