// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "client/types.h"

namespace fb::bss {

// One live blob block of one shard; also its form in a checkpoint. Volume and shard are implied.
struct IndexEntry {
  uint64_t number = 0;
  uint64_t checksum = 0;
  uint32_t incarnation = 0;
  uint32_t block = 0;
  // From the low end: length (21 bits), offset of the payload in its segment in blocks (19), segment (22),
  // flags (2). A length is never 0, so 0 means an empty slot.
  uint64_t place = 0;

  static constexpr uint32_t kSegmentNumberMax = (1u << 22) - 1;
  static constexpr uint64_t kPending = uint64_t{1}
                                       << 62;  // its put is being written: not there yet for readers
  static constexpr uint64_t kErasing = uint64_t{1} << 63;  // its tombstone is being written: gone for readers
  static constexpr uint64_t kFlags = kPending | kErasing;

  static uint64_t make_place(uint32_t segment, uint64_t offset_bytes, uint32_t length) {
    return uint64_t{length} | (offset_bytes / 4096) << 21 | uint64_t{segment} << 40;
  }
  uint32_t length() const { return static_cast<uint32_t>(place & ((1u << 21) - 1)); }
  uint64_t offset_bytes() const { return ((place >> 21) & ((1u << 19) - 1)) * 4096; }
  uint32_t segment() const { return static_cast<uint32_t>((place >> 40) & kSegmentNumberMax); }
  uint64_t location() const { return place & ~kFlags; }
  bool readable() const { return (place & kFlags) == 0; }
};
static_assert(sizeof(IndexEntry) == 32);

// Where every blob of one shard stands. Open addressing with linear probing, no tombstones, in kTableCount
// tables by the hash's first bits, each growing on its own by a quarter at a load of 7/8, so that no growth
// moves more than a small share. One core's; entries move on insert and erase, so pointers do not outlive
// either.
class BlobIndex {
 public:
  static constexpr size_t kTableCount = 256;

  IndexEntry* find(uint64_t number, uint32_t incarnation, uint32_t block);
  IndexEntry* find(const BlobKey& key) { return find(key.id.number, key.id.incarnation.value, key.block); }
  // The key must not be there.
  void insert(const IndexEntry& entry);
  void erase(IndexEntry* entry);
  void clear();
  uint64_t size() const { return size_; }
  // Slots of one table; empty ones have place 0.
  std::span<IndexEntry> table(size_t index) { return {tables_[index].slots.get(), tables_[index].capacity}; }
  uint64_t memory_bytes() const;
  // Every entry is found from its key and counts agree.
  bool verify();

 private:
  struct Table {
    std::unique_ptr<IndexEntry[]> slots;
    uint32_t capacity = 0;
    uint32_t count = 0;
  };
  static uint64_t hash_of(uint64_t number, uint32_t incarnation, uint32_t block);
  static uint64_t hash_of(const IndexEntry& entry) {
    return hash_of(entry.number, entry.incarnation, entry.block);
  }
  static size_t table_of(uint64_t hash) { return hash >> 56; }
  static uint32_t home_of(uint64_t hash, uint32_t capacity) {
    return static_cast<uint32_t>((static_cast<unsigned __int128>(hash << 8) * capacity) >> 64);
  }
  static void place(Table& table, uint64_t hash, const IndexEntry& entry);
  static void grow(Table& table);

  std::array<Table, kTableCount> tables_;
  uint64_t size_ = 0;
};

}  // namespace fb::bss
