// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/store.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "io/error.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr const char* kSuperblockName = "superblock";
constexpr uint64_t kSegmentBytesDefault = 64 * kMiB;
constexpr uint64_t kSegmentBytesSmall = 4 * kMiB;
constexpr uint64_t kSegmentsPerShardWanted = 512;

// On a small file system smaller segments, so that every shard has many: the reserve takes little of the
// space then, and compaction has much to choose from.
uint64_t default_segment_bytes(uint64_t available_bytes, uint32_t shard_count) {
  const uint64_t share = std::max<uint64_t>(available_bytes / shard_count / kSegmentsPerShardWanted, 1);
  return std::clamp(std::bit_floor(share), kSegmentBytesSmall, kSegmentBytesDefault);
}

}  // namespace

// The superblock comes last: where it is, the rest is.
Task<Result<void>> BlobStore::create(Env& env, const BlobStoreOptions& options, const std::string& path) {
  FB_CO_TRY(const FileSystemSpace space, co_await file_system_space(env, options.directory));
  const uint64_t capacity = options.capacity_bytes == 0
                                ? space.available_bytes
                                : std::min(options.capacity_bytes, space.available_bytes);
  Superblock superblock{.store_id = {},
                        .volume = options.volume,
                        .shard_count = options.shard_count,
                        .segment_bytes = options.segment_bytes != 0
                                             ? options.segment_bytes
                                             : default_segment_bytes(capacity, options.shard_count)};
  env.random_bytes(superblock.store_id);
  for (uint32_t shard = 0; shard < options.shard_count; ++shard) {
    const std::string folder = fmt::format("{}/shard-{:04}", options.directory, shard);
    FB_CO_CHECK(co_await ensure_directory(env, folder));
    FB_CO_TRY(const std::vector<std::string> names, co_await list_directory(env, folder));
    const bool has_data = std::ranges::any_of(names, [](const std::string& name) {
      return name.starts_with("segment-") && !name.ends_with(".new");
    });
    if (has_data) {
      log(env, LogLevel::error,
          fmt::format("blob store {}: segments without a superblock: not opened", options.directory));
      co_return BlobError::damaged;
    }
  }
  co_return co_await replace_small_file(env, path, encode_superblock(superblock), 0600, FileRole::other);
}

void BlobStore::set_front(unsigned core, BlobFront* front) {
  FB_ASSERT(core < fronts_.size(), core);
  FB_ASSERT((fronts_[core] == nullptr) != (front == nullptr), core);
  fronts_[core] = front;
}

Task<Result<std::unique_ptr<BlobStore>>> BlobStore::open(Env& env, BlobStoreOptions options) {
  FB_ASSERT(options.shard_count > 0 && options.shard_count <= kShardCountMax, options.shard_count);
  FB_ASSERT(options.writes_in_flight > 0 && options.writes_in_flight <= kWritesInFlightMax,
            options.writes_in_flight);
  FB_ASSERT(options.segment_bytes == 0 ||
                (options.segment_bytes >= kSegmentBytesMin && options.segment_bytes <= kSegmentBytesMax),
            options.segment_bytes);
  FB_CO_CHECK(co_await ensure_directory(env, options.directory));
  const std::string path = options.directory + "/" + kSuperblockName;
  Result<std::string> text = co_await read_small_file(env, path, kBlockBytes);
  if (!text && text.error().is(IoError::not_found)) {
    FB_CO_CHECK(co_await create(env, options, path));
    text = co_await read_small_file(env, path, kBlockBytes);
  }
  // A killed process may have left the superblock's name undurable.
  FB_CO_CHECK(co_await sync_directory(env, options.directory));
  if (!text) co_return text.error();
  std::unique_ptr<BlobStore> store(new BlobStore(std::move(options), env.core_count()));
  switch (parse_superblock(*text, &store->superblock_)) {
    case SuperblockProblem::none:
      store->shards_ = std::vector<std::atomic<Shard*>>(store->superblock_.shard_count);
      co_return store;
    case SuperblockProblem::damaged:
      log(env, LogLevel::error, fmt::format("blob store: {} is damaged or not ours", path));
      co_return BlobError::damaged;
    case SuperblockProblem::other_version:
      log(env, LogLevel::error,
          fmt::format("blob store: {} is of another version than {}", path, kFormatVersion));
      co_return BlobError::unavailable;
  }
  FB_UNREACHABLE();
}

}  // namespace fb::bss
