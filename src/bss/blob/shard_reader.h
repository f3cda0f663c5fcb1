// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "bss/blob/core_context.h"
#include "bss/blob/index.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "client/blob_client.h"

namespace fb::bss {

// Reads a shard's payloads on any core: docs/blobs.md, "Reading another core's shard". Shard owns it.
// share(), end_sharing() and note_erase() are the owner's; read() and get_cached() any core calls, with a
// context of its own, while the owner goes on changing index and segments. A reader never suspends between
// looking a blob up and holding its segment, and the owner recycles no segment that is held.
// It stands on a cache line of its own, with all that a reader of another core needs first: what the owner
// writes with each put lies elsewhere.
class alignas(kCacheLineBytes) ShardReader {
 public:
  ShardReader(ShardContext& context, BlobIndex& index, SegmentTable& table)
      : context_(context), core_(context.core()), index_(index), table_(table) {}

  // From here until end_sharing() other cores may read.
  void share() { shared_.store(true, std::memory_order_release); }
  // Every call has returned (BlobFront::close()). This waits for what those of other cores may have left:
  // looks at the index and holds on segments.
  Task<void> end_sharing();
  // Behind the flag in the index: who has seen the new count does not see the blob.
  void note_erase(const BlobKey& key);

  // Verified: the whole payload, or of one with several pieces those that the range touches. `core` is the
  // caller's: its ring, its memory, its cache.
  Task<Result<BlobData>> read(CoreContext& core, const CallContext& context, const BlobKey& key,
                              uint32_t offset, uint32_t length);
  // From the caller's cache, if it is there and has not been erased since.
  bool get_cached(CoreContext& core, const BlobKey& key, uint32_t offset, uint32_t length, BlobData* out);

 private:
  class Hold;
  enum class Sight : uint8_t { found, absent, changing, closed };
  static constexpr size_t kEraseCounters = 256;
  struct alignas(kCacheLineBytes) EraseCounters : std::array<std::atomic<uint32_t>, kEraseCounters> {};

  Sight look(CoreContext& core, const BlobKey& key, IndexEntry& found, Hold* hold);
  bool owned_by(const CoreContext& core) const { return &core == &core_; }
  std::atomic<uint32_t>& erases_of(const BlobKey& key) const;

  ShardContext& context_;
  CoreContext& core_;  // the owner's
  BlobIndex& index_;
  SegmentTable& table_;
  std::atomic<bool> shared_{false};
  std::unique_ptr<EraseCounters> erases_seen_ = std::make_unique<EraseCounters>();
};

}  // namespace fb::bss
