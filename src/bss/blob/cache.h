// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"
#include "client/blob_checksum.h"
#include "client/blob_client.h"
#include "io/buffer_pool.h"

namespace fb::bss {

// Verified payloads that one core has read in a fixed amount of memory of its own. Eviction is SIEVE: entries
// stand in order of arrival, a hit only sets a mark, and a hand moving from old to new gives marked entries
// another round. Where memory is free but not in one piece, a region of 1 MiB is emptied instead: of a few,
// the one with the fewest marked bytes. A hit shares the cache's Buffer; what is evicted while shared is
// freed with its last handle, and until then new payloads may find no room. No operation allocates after
// construction.
//
// Payloads of up to kSmallBytesMax are kept when they are read. Larger ones are kept when as many bytes of
// them have been read as they have: what is read once does not displace hundreds of small ones, and reading a
// whole payload where a range was asked for never costs more than twice the bytes (rent or buy).
class BlobCache {
 public:
  static constexpr uint32_t kSmallBytesMax = kPieceBytes;  // they are read whole in any case

  // `budget_bytes` 0: off. Rounded down to multiples of 2 MiB.
  BlobCache(Env& env, size_t budget_bytes);

  // Of a payload from another core's shard: what was looked up for it, and how many blobs of its kind had
  // been erased before that (ShardReader::erases_of).
  struct Origin {
    uint64_t checksum = 0;
    uint32_t erases = 0;
  };

  // Asked once for a read of `bytes` of a payload of `length` bytes that is not here: whether to read all of
  // it and insert it.
  bool wants(const BlobKey& key, uint32_t length, uint32_t bytes);
  // Null where it is not there; otherwise the origin, to be changed by who has looked again.
  Origin* find(const BlobKey& key, uint32_t offset, uint32_t length, BlobData* out);
  // Memory for a payload of at most 1 MiB, making room by eviction; empty where there is none.
  Buffer allocate(uint32_t length);
  // `buffer` must be from allocate() and hold the whole verified payload.
  void insert(const BlobKey& key, Buffer buffer, uint32_t length, Origin origin);
  void erase(const BlobKey& key);
  size_t size() const { return count_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kRegionBytes = 1 * kMiB;
  static constexpr size_t kUnitsOfRegion = kRegionBytes / kBufferSizeMin;
  static constexpr size_t kSeenCount = 4096;
  struct Slot {
    BlobKey key;
    uint64_t hash = 0;
    Buffer buffer;
    Origin origin;
    uint32_t length = 0;
    uint32_t older = kNone;
    uint32_t newer = kNone;
    bool marked = false;
  };

  uint32_t lookup(const BlobKey& key, uint64_t hash) const;
  void remove(uint32_t index);
  void remove_from_table(uint32_t index);
  bool evict_one();
  size_t unit_of(const Buffer& buffer) const {
    return static_cast<size_t>(buffer.data() - pool_.arena().data()) / kBufferSizeMin;
  }
  struct RegionUse {
    bool can_be_emptied = false;
    size_t marked_bytes = 0;
  };
  RegionUse look_at_region(size_t region);
  bool empty_a_region();

  // Of a large payload, how many bytes of it have been read. Whatever falls on the same place is forgotten.
  struct Seen {
    uint32_t tag = 0;
    uint32_t bytes = 0;
  };

  BufferPool pool_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<uint32_t> table_;    // open addressing, a power of two, indices into slots_
  std::vector<uint32_t> slot_at_;  // by unit of memory: whose buffer begins there
  std::vector<Seen> seen_;         // by the key's hash
  size_t next_region_ = 0;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  uint32_t hand_ = kNone;
  size_t count_ = 0;
};

}  // namespace fb::bss
