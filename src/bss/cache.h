// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "client/blob_client.h"
#include "io/buffer_pool.h"

namespace fb::bss {

// Verified payloads that one core has read in a fixed amount of memory of its own. Eviction is SIEVE: entries
// stand in order of arrival, a hit only sets a bit, and a hand moving from old to new gives marked entries
// another round. All operations are O(1) amortised, and none allocates after construction. A hit shares the
// cache's Buffer; what is evicted while shared is freed with its last handle, and until then new payloads may
// find no room.
class BlobCache {
 public:
  // `budget_bytes` 0: off.
  BlobCache(Env& env, size_t budget_bytes, uint32_t payload_bytes_max);

  // Of a payload from another core's shard: what was looked up for it, and how many blobs of its kind had
  // been erased before that (Shard::erases_of).
  struct Origin {
    uint64_t checksum = 0;
    uint32_t erases = 0;
  };

  bool takes(uint32_t length) const { return length <= payload_bytes_max_ && !slots_.empty(); }
  // Null where it is not there; otherwise the origin, to be changed by who has looked again.
  Origin* find(const BlobKey& key, uint32_t offset, uint32_t length, BlobData* out);
  // Memory for a payload, making room by eviction; empty where there is none.
  Buffer allocate(uint32_t length);
  // `buffer` must be from allocate() and hold the whole verified payload.
  void insert(const BlobKey& key, Buffer buffer, uint32_t length, Origin origin);
  void erase(const BlobKey& key);
  size_t size() const { return count_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Slot {
    BlobKey key;
    uint64_t hash = 0;
    Buffer buffer;
    Origin origin;
    uint32_t length = 0;
    uint32_t older = kNone;
    uint32_t newer = kNone;
    bool visited = false;
  };

  uint32_t lookup(const BlobKey& key, uint64_t hash) const;
  void remove(uint32_t index);
  void remove_from_table(uint32_t index);
  bool evict_one();

  uint32_t payload_bytes_max_;
  BufferPool pool_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<uint32_t> table_;  // open addressing, a power of two, indices into slots_
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  uint32_t hand_ = kNone;
  size_t count_ = 0;
};

}  // namespace fb::bss
