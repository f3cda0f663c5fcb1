// SPDX-License-Identifier: Apache-2.0
#include "bss/page/page_file_table.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace fb {
namespace {

constexpr uint32_t kPartitionCapacityMin = 8;
constexpr uint32_t kLoadAhead = 64;  // slots whose cells are fetched before they are needed
constexpr uint32_t capacity_for(uint64_t count) {
  return std::max(kPartitionCapacityMin, static_cast<uint32_t>(count + count / 4 + 2));
}
constexpr bool is_full(uint32_t count, uint32_t capacity) { return count + 1 > capacity - capacity / 8; }

}  // namespace

uint64_t PageTable::hash_of(uint64_t id) {
  uint64_t mixed = (id ^ (id >> 31)) * 0x7fb5d329728ea185ull;
  mixed = (mixed ^ (mixed >> 27)) * 0x81dadef4bc2dd44dull;
  return mixed ^ (mixed >> 33);
}

void PageTable::grow(uint32_t slot_count) {
  FB_ASSERT(slot_count >= slot_count_, slot_count, slot_count_);
  while (chunks_.size() < chunk_count_of(slot_count)) chunks_.push_back(std::make_shared<TableChunk>());
  free_.resize((slot_count + 63) / 64, 0);
  for (uint32_t slot = slot_count_; slot < slot_count; ++slot) free_[slot / 64] |= uint64_t{1} << (slot % 64);
  free_count_ += slot_count - slot_count_;
  slot_count_ = slot_count;
}

TableSlot& PageTable::writable(uint32_t slot) {
  std::shared_ptr<TableChunk>& chunk = chunks_[slot / kChunkSlots];
  if (chunk.use_count() > 1) chunk = std::make_shared<TableChunk>(*chunk);
  return chunk->slots[slot % kChunkSlots];
}

uint32_t PageTable::cell_of(const Partition& partition, uint64_t hash, uint64_t id) const {
  const uint8_t tag = tag_of(hash);
  uint32_t cell = home_of(hash, partition.capacity);
  for (;;) {
    const uint8_t found = partition.tags[cell];
    if (found == 0 || (found == tag && at(partition.slots[cell]).id() == id)) return cell;
    if (++cell == partition.capacity) cell = 0;
  }
}

std::optional<uint32_t> PageTable::find(PageId id) const {
  const uint64_t hash = hash_of(id.value);
  const Partition& partition = partitions_[partition_of(hash)];
  if (partition.count == 0) return std::nullopt;
  const uint32_t cell = cell_of(partition, hash, id.value);
  if (partition.tags[cell] == 0) return std::nullopt;
  return partition.slots[cell];
}

void PageTable::resize(Partition& partition, uint32_t capacity) {
  Partition larger;
  larger.capacity = capacity;
  larger.tags = std::make_unique<uint8_t[]>(capacity);
  larger.slots = std::make_unique<uint32_t[]>(capacity);
  for (uint32_t i = 0; i < partition.capacity; ++i) {
    if (partition.tags[i] == 0) continue;
    uint32_t cell = home_of(hash_of(at(partition.slots[i]).id()), capacity);
    while (larger.tags[cell] != 0) {
      if (++cell == capacity) cell = 0;
    }
    larger.tags[cell] = partition.tags[i];
    larger.slots[cell] = partition.slots[i];
    ++larger.count;
  }
  FB_ASSERT(larger.count == partition.count, larger.count, partition.count);
  partition = std::move(larger);
}

bool PageTable::insert(uint32_t slot, uint64_t hash) {
  Partition& partition = partitions_[partition_of(hash)];
  if (is_full(partition.count, partition.capacity)) {
    resize(partition, std::max(kPartitionCapacityMin, partition.capacity + partition.capacity / 4));
  }
  const uint32_t cell = cell_of(partition, hash, at(slot).id());
  if (partition.tags[cell] != 0) return false;
  partition.tags[cell] = tag_of(hash);
  partition.slots[cell] = slot;
  ++partition.count;
  ++page_count_;
  return true;
}

// Closes the hole by moving back every entry of the run that may stand nearer to its home.
void PageTable::remove_cell(Partition& partition, uint32_t hole) {
  uint32_t cell = hole;
  for (;;) {
    if (++cell == partition.capacity) cell = 0;
    if (partition.tags[cell] == 0) break;
    const uint32_t home = home_of(hash_of(at(partition.slots[cell]).id()), partition.capacity);
    const bool stays = hole <= cell ? (hole < home && home <= cell) : (hole < home || home <= cell);
    if (stays) continue;
    partition.tags[hole] = partition.tags[cell];
    partition.slots[hole] = partition.slots[cell];
    hole = cell;
  }
  partition.tags[hole] = 0;
  FB_ASSERT(partition.count > 0);
  FB_ASSERT(page_count_ > 0);
  --partition.count;
  --page_count_;
}

void PageTable::take(size_t count, std::vector<uint32_t>& slots) {
  while (count > 0 && free_count_ > 0) {
    if (cursor_ >= free_.size()) cursor_ = 0;
    uint64_t& word = free_[cursor_];
    if (word == 0) {
      ++cursor_;
      continue;
    }
    slots.push_back(cursor_ * 64 + static_cast<uint32_t>(std::countr_zero(word)));
    word &= word - 1;
    --free_count_;
    --count;
  }
}

void PageTable::give_back(uint32_t slot) {
  FB_ASSERT(slot < slot_count_, slot, slot_count_);
  FB_ASSERT(!is_free(slot), slot);
  FB_ASSERT(at(slot).free(), slot);
  free_[slot / 64] |= uint64_t{1} << (slot % 64);
  ++free_count_;
}

bool PageTable::claim(uint32_t slot) {
  if (slot >= slot_count_ || !is_free(slot)) return false;
  free_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
  --free_count_;
  return true;
}

bool PageTable::add_epoch(uint64_t epoch) {
  if (!epochs_.empty() && epochs_.back() == epoch) return true;
  if (epoch_indices_.contains(epoch)) return true;
  if (epochs_.size() == kPageEpochsMax) return false;
  epoch_indices_[epoch] = static_cast<uint32_t>(epochs_.size());
  epochs_.push_back(epoch);
  return true;
}

void PageTable::put(PageId id, Lsn version, uint32_t slot) {
  FB_ASSERT(id.value != 0 && id.value <= kPageIdMax, id.value);
  FB_ASSERT(!is_free(slot) && at(slot).free(), slot);
  const bool last = epochs_.back() == version.epoch;
  const uint64_t epoch = last ? epochs_.size() - 1 : epoch_indices_.at(version.epoch);
  const uint64_t hash = hash_of(id.value);
  Partition& partition = partitions_[partition_of(hash)];
  const uint32_t cell = partition.count == 0 ? 0 : cell_of(partition, hash, id.value);
  writable(slot) = {id.value | epoch << TableSlot::kEpochShift, version.position};
  if (partition.count == 0 || partition.tags[cell] == 0) {
    const bool fresh = insert(slot, hash);
    FB_ASSERT(fresh, id.value);
    return;
  }
  const uint32_t before = partition.slots[cell];
  partition.slots[cell] = slot;
  writable(before) = TableSlot();
  give_back(before);
}

void PageTable::erase(PageId id) {
  const uint64_t hash = hash_of(id.value);
  Partition& partition = partitions_[partition_of(hash)];
  if (partition.count == 0) return;
  const uint32_t cell = cell_of(partition, hash, id.value);
  if (partition.tags[cell] == 0) return;
  const uint32_t slot = partition.slots[cell];
  remove_cell(partition, cell);
  writable(slot) = TableSlot();
  give_back(slot);
}

void PageTable::prepare_load(uint32_t slot_count, uint64_t page_count) {
  FB_ASSERT(slot_count_ == 0);
  grow(slot_count);
  if (page_count < kPartitionCount) return;
  for (Partition& partition : partitions_) resize(partition, capacity_for(page_count / kPartitionCount));
}

bool PageTable::load(uint32_t chunk_index, const TableChunk& chunk, std::span<const uint64_t> epochs) {
  std::array<uint64_t, kLoadAhead> hashes;
  for (uint32_t first = 0; first < kChunkSlots; first += kLoadAhead) {
    for (uint32_t i = 0; i < kLoadAhead; ++i) {
      hashes[i] = hash_of(chunk.slots[first + i].id());
      const Partition& partition = partitions_[partition_of(hashes[i])];
      if (partition.capacity == 0) continue;
      const uint32_t home = home_of(hashes[i], partition.capacity);
      __builtin_prefetch(&partition.tags[home], 1);
      __builtin_prefetch(&partition.slots[home], 1);
    }
    for (uint32_t i = 0; i < kLoadAhead; ++i) {
      const TableSlot& loaded = chunk.slots[first + i];
      if (loaded.free()) continue;
      const uint32_t slot = chunk_index * kChunkSlots + first + i;
      if (loaded.id() == 0 || loaded.epoch_index() >= epochs.size() || !claim(slot)) return false;
      const uint64_t epoch = epochs[loaded.epoch_index()];
      if (!add_epoch(epoch)) return false;
      const uint64_t index = epochs_.back() == epoch ? epochs_.size() - 1 : epoch_indices_.at(epoch);
      writable(slot) = {loaded.id() | index << TableSlot::kEpochShift, loaded.position};
      if (!insert(slot, hashes[i])) return false;
    }
  }
  return true;
}

void PageTable::list(size_t partition, std::vector<PageClient::Entry>& out) const {
  const Partition& from = partitions_[partition];
  out.reserve(out.size() + from.count);
  for (uint32_t i = 0; i < from.capacity; ++i) {
    if (from.tags[i] == 0) continue;
    const uint32_t slot = from.slots[i];
    out.push_back({.id = id_of(slot), .version = version_of(slot)});
  }
}

uint64_t PageTable::memory_bytes() const {
  uint64_t bytes = chunks_.size() * sizeof(TableChunk) + free_.size() * sizeof(uint64_t);
  for (const Partition& partition : partitions_)
    bytes += partition.capacity * (sizeof(uint8_t) + sizeof(uint32_t));
  return bytes + epochs_.size() * sizeof(uint64_t);
}

bool PageTable::verify() const {
  uint64_t pages = 0;
  uint64_t free = 0;
  for (uint32_t slot = 0; slot < slot_count_; ++slot) {
    free += is_free(slot);
    if (at(slot).free()) continue;
    ++pages;
    if (is_free(slot) || at(slot).epoch_index() >= epochs_.size()) return false;
    if (find(id_of(slot)) != slot) return false;
  }
  uint64_t indexed = 0;
  for (const Partition& partition : partitions_) indexed += partition.count;
  return pages == page_count_ && indexed == page_count_ && free == free_count_;
}

}  // namespace fb
