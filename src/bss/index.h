// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "client/types.h"

namespace fb::bss {

// One live blob block of one shard, and its form in a checkpoint. Volume and shard are implied.
struct IndexEntry {
  uint64_t number = 0;
  uint64_t checksum = 0;
  uint32_t incarnation = 0;
  uint32_t block = 0;
  // From the low end: length (21 bits), offset of the payload in its segment in blocks (19), segment (22),
  // flags (2). A length is never 0, so 0 means no entry.
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

// What many keys of a shard have in common, kept once: incarnation and the high bits of number and block. A
// slot of the index names it by a number of 24 bits.
class KeyPrefixes {
 public:
  static constexpr uint32_t kCountMax = (1u << 24) - 1;  // 0 is none

  struct Prefix {
    uint64_t high = 0;  // bits 16 to 23: of the block; above: of the number
    uint32_t incarnation = 0;
    bool operator==(const Prefix&) const = default;
  };
  // 0 where no key has it.
  uint32_t find(const Prefix& prefix) const;
  const Prefix& operator[](uint32_t id) const { return rows_[id].prefix; }
  // For one key more, and one less.
  uint32_t take(const Prefix& prefix);
  void give_back(uint32_t id);
  bool full() const { return unused_.empty() && rows_.size() > kCountMax; }
  size_t size() const { return ids_.size(); }

 private:
  struct Row {
    Prefix prefix;
    uint64_t keys = 0;
  };
  struct Hash {
    size_t operator()(const Prefix& prefix) const;
  };
  std::vector<Row> rows_ = std::vector<Row>(1);
  std::vector<uint32_t> unused_;
  std::unordered_map<Prefix, uint32_t, Hash> ids_;
  mutable Prefix last_;  // most calls are for the same
  mutable uint32_t last_id_ = 0;
};

// Where every blob of one shard stands, at no more than kBytesPerBlobMax bytes each. Open addressing with
// linear probing, no tombstones, in kTableCount tables by the hash's first bits. Each grows on its own and in
// small steps, so that its load stays high and no growth moves more than a small share.
//
//   a slot, 26 bytes in four arrays of a table, so that probing reads keys only:
//   key 8: prefix 24 bits, number's low 40 bits | place 8 | checksum 8 | block's low 16 bits
//
// One core's; slots move on insert and erase, so what find() gives does not outlive either.
class BlobIndex {
 public:
  static constexpr size_t kTableCount = 256;
  static constexpr size_t kSlotBytes = 3 * sizeof(uint64_t) + sizeof(uint16_t);
  static constexpr uint64_t kBytesPerBlobMax = 32;
  // In thousandths. A table that has reached the one is made larger, to the other.
  static constexpr uint64_t kLoadMax = 885;
  static constexpr uint64_t kLoadGrown = 825;
  static_assert(kSlotBytes * 1000 <= kBytesPerBlobMax * kLoadGrown);

  struct Found : IndexEntry {
    explicit operator bool() const { return place != 0; }

   private:
    friend class BlobIndex;
    uint32_t table = 0;
    uint32_t slot = 0;
  };
  Found find(uint64_t number, uint32_t incarnation, uint32_t block) const;
  Found find(const BlobKey& key) const { return find(key.id.number, key.id.incarnation.value, key.block); }
  // The key must not be there, and there must be room for its prefix.
  void insert(const IndexEntry& entry);
  bool has_room() const { return !prefixes_.full(); }
  void set_place(Found& found, uint64_t place);
  void set_checksum(Found& found, uint64_t checksum);
  void erase(const Found& found);
  // Room for so many more, dealt evenly: loading then moves nothing.
  void reserve(uint64_t count);
  void clear();
  uint64_t size() const { return size_; }
  // The entries of one table, in no order.
  void entries_of(size_t table, std::vector<IndexEntry>& out) const;
  uint64_t memory_bytes() const;
  // Every entry is found from its key and counts agree.
  bool verify() const;

 private:
  struct Table {
    std::unique_ptr<std::byte[]> memory;
    uint32_t capacity = 0;
    uint32_t count = 0;
    uint64_t* keys() const { return reinterpret_cast<uint64_t*>(memory.get()); }
    uint64_t* places() const { return keys() + capacity; }
    uint64_t* checksums() const { return places() + capacity; }
    uint16_t* blocks() const { return reinterpret_cast<uint16_t*>(checksums() + capacity); }
  };
  struct Packed {
    uint64_t key = 0;
    uint64_t place = 0;
    uint64_t checksum = 0;
    uint16_t block = 0;
  };
  static constexpr unsigned kNumberBits = 40;
  static constexpr uint64_t kNumberMask = (uint64_t{1} << kNumberBits) - 1;

  static uint64_t hash_of(uint64_t key, uint16_t block);
  static size_t table_of(uint64_t hash) { return hash >> 56; }
  static uint32_t home_of(uint64_t hash, uint32_t capacity) {
    return static_cast<uint32_t>((static_cast<unsigned __int128>(hash << 8) * capacity) >> 64);
  }
  static KeyPrefixes::Prefix prefix_of(uint64_t number, uint32_t incarnation, uint32_t block) {
    return {.high = (number >> kNumberBits) << kNumberBits | (block >> 16) << 16, .incarnation = incarnation};
  }
  static Packed packed_at(const Table& table, uint32_t slot);
  static void store(Table& table, uint32_t slot, const Packed& packed);
  static void place(Table& table, uint64_t hash, const Packed& packed);
  static void resize(Table& table, uint32_t capacity);
  IndexEntry unpacked(const Packed& packed) const;

  std::array<Table, kTableCount> tables_;
  KeyPrefixes prefixes_;
  uint64_t size_ = 0;
};

}  // namespace fb::bss
