// SPDX-License-Identifier: Apache-2.0
#include "bss/index.h"

#include <xxhash.h>

#include <algorithm>

#include "base/assert.h"

namespace fb::bss {
namespace {
constexpr uint32_t kTableCapacityMin = 8;
}

uint64_t BlobIndex::hash_of(uint64_t number, uint32_t incarnation, uint32_t block) {
  const uint64_t words[2] = {number, uint64_t{incarnation} << 32 | block};
  return XXH3_64bits(words, sizeof(words));
}

IndexEntry* BlobIndex::find(uint64_t number, uint32_t incarnation, uint32_t block) {
  const uint64_t hash = hash_of(number, incarnation, block);
  Table& table = tables_[table_of(hash)];
  if (table.count == 0) return nullptr;
  uint32_t slot = home_of(hash, table.capacity);
  for (;;) {
    IndexEntry& entry = table.slots[slot];
    if (entry.place == 0) return nullptr;
    if (entry.number == number && entry.incarnation == incarnation && entry.block == block) return &entry;
    if (++slot == table.capacity) slot = 0;
  }
}

void BlobIndex::place(Table& table, uint64_t hash, const IndexEntry& entry) {
  uint32_t slot = home_of(hash, table.capacity);
  while (table.slots[slot].place != 0) {
    if (++slot == table.capacity) slot = 0;
  }
  table.slots[slot] = entry;
  ++table.count;
}

void BlobIndex::grow(Table& table) {
  Table larger;
  larger.capacity = std::max(kTableCapacityMin, table.capacity + table.capacity / 4);
  larger.slots = std::make_unique<IndexEntry[]>(larger.capacity);
  for (uint32_t slot = 0; slot < table.capacity; ++slot) {
    const IndexEntry& entry = table.slots[slot];
    if (entry.place != 0) place(larger, hash_of(entry), entry);
  }
  FB_ASSERT(larger.count == table.count, larger.count, table.count);
  table = std::move(larger);
}

void BlobIndex::insert(const IndexEntry& entry) {
  FB_ASSERT(entry.length() != 0);
  FB_DCHECK(find(entry.number, entry.incarnation, entry.block) == nullptr, entry.number);
  const uint64_t hash = hash_of(entry);
  Table& table = tables_[table_of(hash)];
  if (table.count + 1 > table.capacity - table.capacity / 8) grow(table);
  place(table, hash, entry);
  ++size_;
}

// Closes the hole by moving back every entry of the run that may stand nearer to its home.
void BlobIndex::erase(IndexEntry* entry) {
  Table& table = tables_[table_of(hash_of(*entry))];
  auto hole = static_cast<uint32_t>(entry - table.slots.get());
  FB_ASSERT(hole < table.capacity && entry->place != 0, hole, table.capacity);
  uint32_t slot = hole;
  for (;;) {
    if (++slot == table.capacity) slot = 0;
    const IndexEntry& candidate = table.slots[slot];
    if (candidate.place == 0) break;
    const uint32_t home = home_of(hash_of(candidate), table.capacity);
    const bool stays = hole <= slot ? (hole < home && home <= slot) : (hole < home || home <= slot);
    if (stays) continue;
    table.slots[hole] = candidate;
    hole = slot;
  }
  table.slots[hole] = IndexEntry{};
  FB_ASSERT(table.count > 0 && size_ > 0);
  --table.count;
  --size_;
}

void BlobIndex::clear() {
  for (Table& table : tables_) table = Table{};
  size_ = 0;
}

uint64_t BlobIndex::memory_bytes() const {
  uint64_t slots = 0;
  for (const Table& table : tables_) slots += table.capacity;
  return slots * sizeof(IndexEntry);
}

bool BlobIndex::verify() {
  uint64_t total = 0;
  for (Table& table : tables_) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < table.capacity; ++slot) {
      IndexEntry& entry = table.slots[slot];
      if (entry.place == 0) continue;
      ++count;
      if (find(entry.number, entry.incarnation, entry.block) != &entry) return false;
    }
    if (count != table.count) return false;
    total += count;
  }
  return total == size_;
}

}  // namespace fb::bss
