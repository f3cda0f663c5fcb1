// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "bss/page/page_file_format.h"

namespace fb {

// Which page is in which slot: an array of 16 bytes a slot, in chunks as they stand on disk, and an index
// from page id to slot of 5 bytes a cell, one of which is of the id's hash, so that a look-up compares one
// slot's id and not those of a whole run; with the map of free slots about 22 bytes a page where most slots
// are used. Belongs to one core.
//
// A snapshot shares the chunks; one that changes while it is shared is copied first, so that a checkpoint is
// one moment's state and costs no pause.
class PageTable {
 public:
  static constexpr size_t kPartitionCount = 256;

  uint32_t slot_count() const { return slot_count_; }
  uint64_t page_count() const { return page_count_; }
  uint64_t free_count() const { return free_count_; }
  // New slots are free.
  void grow(uint32_t slot_count);

  std::optional<uint32_t> find(PageId id) const;
  PageId id_of(uint32_t slot) const { return {at(slot).id()}; }
  Lsn version_of(uint32_t slot) const { return {epochs_[at(slot).epoch_index()], at(slot).position}; }
  bool is_free(uint32_t slot) const { return (free_[slot / 64] >> (slot % 64) & 1) != 0; }

  // Appends up to `count` slots, which are neither free nor a page's then; neighbours where there are some.
  void take(size_t count, std::vector<uint32_t>& slots);
  void give_back(uint32_t slot);
  // Takes one slot; false where it is not free.
  bool claim(uint32_t slot);

  uint64_t epoch_count() const { return epochs_.size(); }
  // False: kPageEpochsMax is reached.
  bool add_epoch(uint64_t epoch);
  // The page is in `slot`, which was taken, from now on; where it was before is free.
  void put(PageId id, Lsn version, uint32_t slot);
  void erase(PageId id);

  struct Snapshot {
    std::vector<std::shared_ptr<TableChunk>> chunks;
    std::vector<uint64_t> epochs;
    uint32_t slot_count = 0;
    uint64_t page_count = 0;
  };
  Snapshot snapshot() const { return {chunks_, epochs_, slot_count_, page_count_}; }
  // Fills an empty table, chunk after chunk, after prepare_load(). False: it contradicts itself.
  void prepare_load(uint32_t slot_count, uint64_t page_count);
  bool load(uint32_t chunk_index, const TableChunk& chunk, std::span<const uint64_t> epochs);

  // All pages of one part of the index.
  void list(size_t partition, std::vector<PageClient::Entry>& out) const;
  uint64_t memory_bytes() const;
  // Index, slots, free map and counts agree.
  bool verify() const;

 private:
  // Open addressing with linear probing, no tombstones. A tag of 0: the cell is empty.
  struct Partition {
    std::unique_ptr<uint8_t[]> tags;
    std::unique_ptr<uint32_t[]> slots;
    uint32_t capacity = 0;
    uint32_t count = 0;
  };
  static uint64_t hash_of(uint64_t id);
  static uint8_t tag_of(uint64_t hash) { return static_cast<uint8_t>(1 + (hash & 0xff) % 255); }
  static size_t partition_of(uint64_t hash) { return hash >> 56; }
  static uint32_t home_of(uint64_t hash, uint32_t capacity) {
    return static_cast<uint32_t>((static_cast<unsigned __int128>(hash << 8) * capacity) >> 64);
  }
  const TableSlot& at(uint32_t slot) const { return chunks_[slot / kChunkSlots]->slots[slot % kChunkSlots]; }
  TableSlot& writable(uint32_t slot);
  // The cell of the page, or the empty one where it would be. The partition has cells.
  uint32_t cell_of(const Partition& partition, uint64_t hash, uint64_t id) const;
  void resize(Partition& partition, uint32_t capacity);
  // The slot names its page already. False where that is in the index.
  bool insert(uint32_t slot, uint64_t hash);
  void remove_cell(Partition& partition, uint32_t cell);

  std::vector<std::shared_ptr<TableChunk>> chunks_;
  std::array<Partition, kPartitionCount> partitions_;
  std::vector<uint64_t> free_;  // a bit a slot
  std::vector<uint64_t> epochs_;
  std::map<uint64_t, uint32_t> epoch_indices_;
  uint32_t slot_count_ = 0;
  uint32_t cursor_ = 0;  // of take(), in words of free_
  uint64_t page_count_ = 0;
  uint64_t free_count_ = 0;
};

}  // namespace fb
