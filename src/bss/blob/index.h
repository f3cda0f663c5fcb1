// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "bss/blob/change_version.h"
#include "bss/blob/reader_epochs.h"
#include "client/types.h"
#include "io/env.h"

namespace fb::bss {

// One live blob block of one shard, and its form in a checkpoint. Volume and shard are implied.
struct IndexEntry {
  uint64_t number = 0;
  uint64_t checksum = 0;
  uint32_t incarnation = 0;
  uint32_t block = 0;
  // From the low end: length (21 bits), offset of the payload in its segment in blocks (19), segment (21),
  // flags (3). A length is never 0, so 0 means no entry.
  uint64_t place = 0;

  static constexpr uint32_t kSegmentNumberMax = (1u << 21) - 1;
  static constexpr uint64_t kMoving = uint64_t{1} << 61;  // a copy is being written: there for readers
  static constexpr uint64_t kPending = uint64_t{1}
                                       << 62;  // its put is being written: not there yet for readers
  static constexpr uint64_t kErasing = uint64_t{1} << 63;  // its tombstone is being written: gone for readers
  static constexpr uint64_t kFlags = kMoving | kPending | kErasing;

  static uint64_t make_place(uint32_t segment, uint64_t offset_bytes, uint32_t length) {
    return uint64_t{length} | (offset_bytes / 4096) << 21 | uint64_t{segment} << 40;
  }
  uint32_t length() const { return static_cast<uint32_t>(place & ((1u << 21) - 1)); }
  uint64_t offset_bytes() const { return ((place >> 21) & ((1u << 19) - 1)) * 4096; }
  uint32_t segment() const { return static_cast<uint32_t>((place >> 40) & kSegmentNumberMax); }
  uint64_t location() const { return place & ~kFlags; }
  bool readable() const { return (place & (kPending | kErasing)) == 0; }
  bool in_flight() const { return (place & kFlags) != 0; }
};
static_assert(sizeof(IndexEntry) == 32);

// What many keys of a shard have in common, kept once: incarnation and the high bits of number and block. A
// slot of the index names it by a number of 24 bits. One core's; others look prefixes up as they do keys (see
// BlobIndex), in a table with open addressing that is never more than half full.
class KeyPrefixes {
 public:
  static constexpr uint32_t kCountMax = (1u << 24) - 1;  // 0 is none

  struct Prefix {
    uint64_t high = 0;  // bits 16 to 23: of the block; above: of the number
    uint32_t incarnation = 0;
    bool operator==(const Prefix&) const = default;
  };
  // What readers may still look at goes to `epochs`; null: nobody else reads.
  explicit KeyPrefixes(Env* owner = nullptr, ReaderEpochs* epochs = nullptr)
      : owner_(owner), epochs_(epochs) {}

  // 0 where no key has it.
  uint32_t find(const Prefix& prefix) const;
  const Prefix& operator[](uint32_t id) const { return rows_[id].prefix; }
  // For one key more, and one less.
  uint32_t take(const Prefix& prefix);
  void give_back(uint32_t id);
  void clear();
  bool full() const { return unused_.empty() && rows_.size() > kCountMax; }
  size_t size() const { return count_; }

  // Any core: the same as find(), and means nothing unless version() still is what it was before.
  uint32_t look(const Prefix& prefix, uint32_t version) const;
  const ChangeVersion& version() const { return version_; }

 private:
  struct Row {
    Prefix prefix;
    uint64_t keys = 0;
  };
  // Two words a slot: high; incarnation and id, 0 where the slot is empty.
  static constexpr size_t kSlotWords = 2;
  static constexpr uint32_t kCapacityMin = 8;
  static uint64_t hash_of(const Prefix& prefix);
  static uint64_t rest_of(const Prefix& prefix, uint32_t id) {
    return uint64_t{prefix.incarnation} << 32 | id;
  }
  uint64_t* words() const { return reinterpret_cast<uint64_t*>(memory_.get()); }
  uint32_t slot_of(const Prefix& prefix) const;
  static void place(uint64_t* words, uint32_t capacity, const Prefix& prefix, uint32_t id);
  void add(const Prefix& prefix, uint32_t id);
  void remove(const Prefix& prefix);
  void replace(std::unique_ptr<std::byte[]> memory, uint32_t capacity);

  Env* owner_;
  ReaderEpochs* epochs_;
  ChangeVersion version_;
  std::unique_ptr<std::byte[]> memory_;
  std::atomic<const uint64_t*> published_{nullptr};  // where memory_ is
  std::atomic<uint32_t> capacity_{0};                // a power of two
  uint32_t count_ = 0;
  std::vector<Row> rows_ = std::vector<Row>(1);
  std::vector<uint32_t> unused_;
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
// One core's, the owner's; slots move on insert and erase, so what find() gives does not outlive either.
// Other cores look() by themselves: each table has a version that is odd while it changes, its words are read
// and written by relaxed atomics, and an array that is replaced stays until nobody looks any more
// (docs/blobs.md).
class BlobIndex {
 public:
  // `owner` for the simulator, which may leave the owner in the middle of a change; null: it does not.
  explicit BlobIndex(Env* owner = nullptr, unsigned core_count = 1)
      : owner_(owner), epochs_(core_count), prefixes_(owner, &epochs_) {}

  static constexpr size_t kTableCount = 256;
  static constexpr size_t kSlotBytes = 3 * sizeof(uint64_t) + sizeof(uint16_t);
  static constexpr uint64_t kBytesPerBlobMax = 32;
  // In thousandths. A table that has reached the one is made larger, to the other.
  static constexpr uint64_t kLoadMax = 885;
  static constexpr uint64_t kLoadGrown = 825;
  static_assert(kSlotBytes * 1000 <= kBytesPerBlobMax * kLoadGrown);

  struct Found : IndexEntry {
    explicit operator bool() const { return place != 0; }
    // Its slot, until the next insert or erase. Only BlobIndex asks.
    uint32_t table = 0;
    uint32_t slot = 0;
  };
  Found find(uint64_t number, uint32_t incarnation, uint32_t block) const;
  Found find(const BlobKey& key) const { return find(key.id.number, key.id.incarnation.value, key.block); }
  // The key must not be there, and there must be room for its prefix.
  void insert(const IndexEntry& entry);
  bool has_room() const { return !prefixes_.full(); }
  void set_place(Found& found, uint64_t place);
  void set_checksum(Found& found, uint64_t checksum);  // before other cores look
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

  // What another core sees of a key.
  enum class Sight : uint8_t {
    found,
    absent,
    changing,  // it changed each of kLooksMax times: for the reader's core to do something else first
  };
  static constexpr int kLooksMax = 64;
  // Any core, while it says so in epochs(). `found` is as it was at one moment during the call.
  Sight look(Env& reader, const BlobKey& key, IndexEntry& found) const;
  ReaderEpochs& epochs() { return epochs_; }

 private:
  // The arrays as they stand one behind the other.
  struct Arrays {
    std::byte* memory = nullptr;
    uint32_t capacity = 0;
    uint64_t* keys() const { return reinterpret_cast<uint64_t*>(memory); }
    uint64_t* places() const { return keys() + capacity; }
    uint64_t* checksums() const { return places() + capacity; }
    uint16_t* blocks() const { return reinterpret_cast<uint16_t*>(checksums() + capacity); }
  };
  struct Table {
    // Read by all cores; of the memory `owned` is the owner's handle.
    std::atomic<std::byte*> memory{nullptr};
    std::atomic<uint32_t> capacity{0};
    ChangeVersion version;
    uint32_t count = 0;
    std::unique_ptr<std::byte[]> owned;
    Arrays arrays() const {
      return {.memory = memory.load(std::memory_order_relaxed),
              .capacity = capacity.load(std::memory_order_relaxed)};
    }
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
  static Packed packed_at(const Arrays& arrays, uint32_t slot);
  static void store(const Arrays& arrays, uint32_t slot, const Packed& packed);
  static void place(const Arrays& arrays, uint64_t hash, const Packed& packed);
  void replace(Table& table, std::unique_ptr<std::byte[]> memory, uint32_t capacity);
  void resize(Table& table, uint32_t capacity);
  IndexEntry unpacked(const Packed& packed) const;
  Sight look_once(Env& reader, const BlobKey& key, IndexEntry& found) const;

  Env* owner_;
  ReaderEpochs epochs_;
  std::array<Table, kTableCount> tables_;
  KeyPrefixes prefixes_;
  uint64_t size_ = 0;
};

}  // namespace fb::bss
