// SPDX-License-Identifier: Apache-2.0
#include "bss/index.h"

#include <xxhash.h>

#include <algorithm>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr uint32_t kTableCapacityMin = 8;

// The capacity at which so many entries are at the load of a table that has just grown.
uint32_t grown_capacity(uint64_t count) {
  return static_cast<uint32_t>(count * 1000 / BlobIndex::kLoadGrown);
}
uint64_t count_max(uint32_t capacity) {
  return std::min<uint64_t>(uint64_t{capacity} * BlobIndex::kLoadMax / 1000, capacity - 1);
}

}  // namespace

size_t KeyPrefixes::Hash::operator()(const Prefix& prefix) const {
  const uint64_t words[2] = {prefix.high, prefix.incarnation};
  return XXH3_64bits(words, sizeof(words));
}

uint32_t KeyPrefixes::find(const Prefix& prefix) const {
  if (last_id_ != 0 && prefix == last_) return last_id_;
  const auto found = ids_.find(prefix);
  if (found == ids_.end()) return 0;
  last_ = prefix;
  return last_id_ = found->second;
}

uint32_t KeyPrefixes::take(const Prefix& prefix) {
  uint32_t id = find(prefix);
  if (id == 0) {
    FB_ASSERT(!full(), rows_.size());
    if (unused_.empty()) {
      id = static_cast<uint32_t>(rows_.size());
      rows_.emplace_back();
    } else {
      id = unused_.back();
      unused_.pop_back();
    }
    rows_[id].prefix = prefix;
    ids_.emplace(prefix, id);
  }
  ++rows_[id].keys;
  return id;
}

void KeyPrefixes::give_back(uint32_t id) {
  FB_ASSERT(id != 0 && id < rows_.size() && rows_[id].keys > 0, id);
  if (--rows_[id].keys != 0) return;
  ids_.erase(rows_[id].prefix);
  unused_.push_back(id);
  if (last_id_ == id) last_id_ = 0;
}

uint64_t BlobIndex::hash_of(uint64_t key, uint16_t block) {
  const uint64_t words[2] = {key, block};
  return XXH3_64bits(words, sizeof(words));
}

BlobIndex::Packed BlobIndex::packed_at(const Table& table, uint32_t slot) {
  return {.key = table.keys()[slot],
          .place = table.places()[slot],
          .checksum = table.checksums()[slot],
          .block = table.blocks()[slot]};
}

void BlobIndex::store(Table& table, uint32_t slot, const Packed& packed) {
  table.keys()[slot] = packed.key;
  table.places()[slot] = packed.place;
  table.checksums()[slot] = packed.checksum;
  table.blocks()[slot] = packed.block;
}

IndexEntry BlobIndex::unpacked(const Packed& packed) const {
  const KeyPrefixes::Prefix& prefix = prefixes_[static_cast<uint32_t>(packed.key >> kNumberBits)];
  return {.number = (prefix.high & ~kNumberMask) | (packed.key & kNumberMask),
          .checksum = packed.checksum,
          .incarnation = prefix.incarnation,
          .block = static_cast<uint32_t>(prefix.high & kNumberMask) | packed.block,
          .place = packed.place};
}

BlobIndex::Found BlobIndex::find(uint64_t number, uint32_t incarnation, uint32_t block) const {
  Found found;
  const uint32_t prefix = prefixes_.find(prefix_of(number, incarnation, block));
  if (prefix == 0) return found;
  const uint64_t key = uint64_t{prefix} << kNumberBits | (number & kNumberMask);
  const auto block_low = static_cast<uint16_t>(block);
  const uint64_t hash = hash_of(key, block_low);
  const Table& table = tables_[table_of(hash)];
  if (table.count == 0) return found;
  const uint64_t* keys = table.keys();
  uint32_t slot = home_of(hash, table.capacity);
  for (; keys[slot] != key || table.blocks()[slot] != block_low;) {
    if (keys[slot] == 0) return found;
    if (++slot == table.capacity) slot = 0;
  }
  found.number = number;
  found.checksum = table.checksums()[slot];
  found.incarnation = incarnation;
  found.block = block;
  found.place = table.places()[slot];
  found.table = static_cast<uint32_t>(table_of(hash));
  found.slot = slot;
  return found;
}

void BlobIndex::place(Table& table, uint64_t hash, const Packed& packed) {
  uint32_t slot = home_of(hash, table.capacity);
  while (table.keys()[slot] != 0) {
    if (++slot == table.capacity) slot = 0;
  }
  store(table, slot, packed);
  ++table.count;
}

void BlobIndex::resize(Table& table, uint32_t capacity) {
  Table other;
  other.capacity = std::max(kTableCapacityMin, capacity);
  FB_ASSERT(table.count < other.capacity, table.count, other.capacity);
  other.memory = std::make_unique<std::byte[]>(other.capacity * kSlotBytes);
  for (uint32_t slot = 0; slot < table.capacity; ++slot) {
    if (table.keys()[slot] == 0) continue;
    const Packed packed = packed_at(table, slot);
    place(other, hash_of(packed.key, packed.block), packed);
  }
  FB_ASSERT(other.count == table.count, other.count, table.count);
  table = std::move(other);
}

void BlobIndex::insert(const IndexEntry& entry) {
  FB_ASSERT(entry.length() != 0);
  FB_DCHECK(!find(entry.number, entry.incarnation, entry.block), entry.number);
  const uint32_t prefix = prefixes_.take(prefix_of(entry.number, entry.incarnation, entry.block));
  const Packed packed{.key = uint64_t{prefix} << kNumberBits | (entry.number & kNumberMask),
                      .place = entry.place,
                      .checksum = entry.checksum,
                      .block = static_cast<uint16_t>(entry.block)};
  const uint64_t hash = hash_of(packed.key, packed.block);
  Table& table = tables_[table_of(hash)];
  if (table.capacity == 0 || table.count + 1 > count_max(table.capacity))
    resize(table, std::max(grown_capacity(table.count + 1), table.capacity + 1));
  place(table, hash, packed);
  ++size_;
}

void BlobIndex::set_place(Found& found, uint64_t place) {
  FB_ASSERT(found && place != 0, found.number);
  tables_[found.table].places()[found.slot] = place;
  found.place = place;
}

void BlobIndex::set_checksum(Found& found, uint64_t checksum) {
  FB_ASSERT(!!found, found.number);
  tables_[found.table].checksums()[found.slot] = checksum;
  found.checksum = checksum;
}

// Closes the hole by moving back every entry of the run that may stand nearer to its home. A table that has
// become far too large is made smaller.
void BlobIndex::erase(const Found& found) {
  Table& table = tables_[found.table];
  uint32_t hole = found.slot;
  FB_ASSERT(hole < table.capacity && table.keys()[hole] != 0, hole, table.capacity);
  prefixes_.give_back(static_cast<uint32_t>(table.keys()[hole] >> kNumberBits));
  uint32_t slot = hole;
  for (;;) {
    if (++slot == table.capacity) slot = 0;
    if (table.keys()[slot] == 0) break;
    const uint32_t home = home_of(hash_of(table.keys()[slot], table.blocks()[slot]), table.capacity);
    const bool stays = hole <= slot ? (hole < home && home <= slot) : (hole < home || home <= slot);
    if (stays) continue;
    store(table, hole, packed_at(table, slot));
    hole = slot;
  }
  store(table, hole, {});
  FB_ASSERT(table.count > 0 && size_ > 0);
  --table.count;
  --size_;
  if (table.count == 0) {
    table = Table{};
  } else if (table.capacity > kTableCapacityMin && grown_capacity(table.count) < table.capacity / 2) {
    resize(table, grown_capacity(table.count) + 1);
  }
}

void BlobIndex::reserve(uint64_t count) {
  for (Table& table : tables_) {
    const uint32_t wanted = grown_capacity(table.count + count / kTableCount);
    if (wanted > table.capacity) resize(table, wanted);
  }
}

void BlobIndex::clear() {
  for (Table& table : tables_) table = Table{};
  prefixes_ = {};
  size_ = 0;
}

void BlobIndex::entries_of(size_t index, std::vector<IndexEntry>& out) const {
  const Table& table = tables_[index];
  out.clear();
  for (uint32_t slot = 0; slot < table.capacity; ++slot) {
    if (table.keys()[slot] != 0) out.push_back(unpacked(packed_at(table, slot)));
  }
}

uint64_t BlobIndex::memory_bytes() const {
  uint64_t slots = 0;
  for (const Table& table : tables_) slots += table.capacity;
  return slots * kSlotBytes;
}

bool BlobIndex::verify() const {
  uint64_t total = 0;
  std::vector<IndexEntry> entries;
  for (size_t index = 0; index < kTableCount; ++index) {
    entries_of(index, entries);
    if (entries.size() != tables_[index].count) return false;
    for (const IndexEntry& entry : entries) {
      const Found found = find(entry.number, entry.incarnation, entry.block);
      if (!found || found.table != index || found.place != entry.place || found.checksum != entry.checksum)
        return false;
    }
    total += entries.size();
  }
  return total == size_;
}

}  // namespace fb::bss
