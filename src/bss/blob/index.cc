// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/index.h"

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

// --- prefixes ---

uint64_t KeyPrefixes::hash_of(const Prefix& prefix) {
  const uint64_t words[2] = {prefix.high, prefix.incarnation};
  return XXH3_64bits(words, sizeof(words));
}

// Where it stands, or the empty slot where it would.
uint32_t KeyPrefixes::slot_of(const Prefix& prefix) const {
  const uint32_t mask = capacity_.load(std::memory_order_relaxed) - 1;
  const uint64_t* table = words();
  auto slot = static_cast<uint32_t>(hash_of(prefix)) & mask;
  for (;; slot = (slot + 1) & mask) {
    const uint64_t rest = table[slot * kSlotWords + 1];
    if (rest == 0) return slot;
    if (table[slot * kSlotWords] == prefix.high && rest >> 32 == prefix.incarnation) return slot;
  }
}

uint32_t KeyPrefixes::find(const Prefix& prefix) const {
  if (last_id_ != 0 && prefix == last_) return last_id_;
  if (count_ == 0) return 0;
  const auto id = static_cast<uint32_t>(words()[slot_of(prefix) * kSlotWords + 1]);
  if (id == 0) return 0;
  last_ = prefix;
  return last_id_ = id;
}

uint32_t KeyPrefixes::look(const Prefix& prefix, uint32_t version) const {
  const uint64_t* table = published_.load(std::memory_order_relaxed);
  const uint32_t capacity = capacity_.load(std::memory_order_relaxed);
  if (!version_.unchanged(version) || capacity == 0) return 0;  // the two belong together
  auto slot = static_cast<uint32_t>(hash_of(prefix)) & (capacity - 1);
  for (uint32_t steps = 0; steps < capacity; ++steps) {
    const uint64_t rest = look_word(table[slot * kSlotWords + 1]);
    if (rest == 0) return 0;
    if (rest >> 32 == prefix.incarnation && look_word(table[slot * kSlotWords]) == prefix.high)
      return static_cast<uint32_t>(rest);
    slot = (slot + 1) & (capacity - 1);
  }
  return 0;
}

void KeyPrefixes::place(uint64_t* words, uint32_t capacity, const Prefix& prefix, uint32_t id) {
  auto slot = static_cast<uint32_t>(hash_of(prefix)) & (capacity - 1);
  while (words[slot * kSlotWords + 1] != 0) slot = (slot + 1) & (capacity - 1);
  put_word(words[slot * kSlotWords], prefix.high);
  put_word(words[slot * kSlotWords + 1], rest_of(prefix, id));
}

void KeyPrefixes::replace(std::unique_ptr<std::byte[]> memory, uint32_t capacity) {
  {
    const ChangeVersion::Change change(version_, owner_);
    memory_.swap(memory);
    published_.store(words(), std::memory_order_relaxed);
    capacity_.store(capacity, std::memory_order_relaxed);
  }
  if (epochs_ != nullptr) epochs_->retire(std::move(memory));
}

void KeyPrefixes::add(const Prefix& prefix, uint32_t id) {
  const uint32_t capacity = capacity_.load(std::memory_order_relaxed);
  if ((count_ + 1) * 2 > capacity) {
    const uint32_t grown = std::max(kCapacityMin, capacity * 2);
    auto memory = std::make_unique<std::byte[]>(size_t{grown} * kSlotWords * sizeof(uint64_t));
    auto* table = reinterpret_cast<uint64_t*>(memory.get());
    for (uint32_t slot = 0; slot < capacity; ++slot) {
      const uint64_t rest = words()[slot * kSlotWords + 1];
      if (rest == 0) continue;
      const auto moved = static_cast<uint32_t>(rest);
      place(table, grown, rows_[moved].prefix, moved);
    }
    replace(std::move(memory), grown);
  }
  const ChangeVersion::Change change(version_, owner_);
  place(words(), capacity_.load(std::memory_order_relaxed), prefix, id);
  ++count_;
}

// Closes the hole as BlobIndex::erase does.
void KeyPrefixes::remove(const Prefix& prefix) {
  const uint32_t mask = capacity_.load(std::memory_order_relaxed) - 1;
  uint64_t* table = words();
  uint32_t hole = slot_of(prefix);
  FB_ASSERT(table[hole * kSlotWords + 1] != 0, hole, mask);
  const ChangeVersion::Change change(version_, owner_);
  for (uint32_t slot = (hole + 1) & mask; table[slot * kSlotWords + 1] != 0; slot = (slot + 1) & mask) {
    const auto id = static_cast<uint32_t>(table[slot * kSlotWords + 1]);
    const uint32_t home = static_cast<uint32_t>(hash_of(rows_[id].prefix)) & mask;
    if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
    for (size_t word = 0; word < kSlotWords; ++word)
      put_word(table[hole * kSlotWords + word], table[slot * kSlotWords + word]);
    hole = slot;
  }
  for (size_t word = 0; word < kSlotWords; ++word) put_word(table[hole * kSlotWords + word], uint64_t{0});
  --count_;
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
    add(prefix, id);
  }
  ++rows_[id].keys;
  return id;
}

void KeyPrefixes::give_back(uint32_t id) {
  FB_ASSERT(id != 0 && id < rows_.size() && rows_[id].keys > 0, id);
  if (--rows_[id].keys != 0) return;
  remove(rows_[id].prefix);
  unused_.push_back(id);
  if (last_id_ == id) last_id_ = 0;
}

void KeyPrefixes::clear() {
  replace(nullptr, 0);
  rows_.resize(1);
  unused_.clear();
  count_ = 0;
  last_id_ = 0;
}

// --- keys ---

uint64_t BlobIndex::hash_of(uint64_t key, uint16_t block) {
  const uint64_t words[2] = {key, block};
  return XXH3_64bits(words, sizeof(words));
}

BlobIndex::Packed BlobIndex::packed_at(const Arrays& arrays, uint32_t slot) {
  return {.key = arrays.keys()[slot],
          .place = arrays.places()[slot],
          .checksum = arrays.checksums()[slot],
          .block = arrays.blocks()[slot]};
}

void BlobIndex::store(const Arrays& arrays, uint32_t slot, const Packed& packed) {
  put_word(arrays.keys()[slot], packed.key);
  put_word(arrays.places()[slot], packed.place);
  put_word(arrays.checksums()[slot], packed.checksum);
  put_word(arrays.blocks()[slot], packed.block);
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
  const Arrays arrays = table.arrays();
  const uint64_t* keys = arrays.keys();
  uint32_t slot = home_of(hash, arrays.capacity);
  for (; keys[slot] != key || arrays.blocks()[slot] != block_low;) {
    if (keys[slot] == 0) return found;
    if (++slot == arrays.capacity) slot = 0;
  }
  found.number = number;
  found.checksum = arrays.checksums()[slot];
  found.incarnation = incarnation;
  found.block = block;
  found.place = arrays.places()[slot];
  found.table = static_cast<uint32_t>(table_of(hash));
  found.slot = slot;
  return found;
}

// A place is moved by set_place alone, in one word: so it is read as one that publishes what it names.
BlobIndex::Sight BlobIndex::look_once(Env& reader, const BlobKey& key, IndexEntry& found) const {
  const uint32_t prefixes_seen = prefixes_.version().value();
  if (ChangeVersion::changing(prefixes_seen)) return Sight::changing;
  const uint32_t prefix =
      prefixes_.look(prefix_of(key.id.number, key.id.incarnation.value, key.block), prefixes_seen);
  reader.point("index prefix looked up");
  Sight sight = Sight::absent;
  if (prefix != 0) {
    const uint64_t wanted = uint64_t{prefix} << kNumberBits | (key.id.number & kNumberMask);
    const auto block_low = static_cast<uint16_t>(key.block);
    const uint64_t hash = hash_of(wanted, block_low);
    const Table& table = tables_[table_of(hash)];
    const uint32_t seen = table.version.value();
    if (ChangeVersion::changing(seen)) return Sight::changing;
    const Arrays arrays = table.arrays();
    if (!table.version.unchanged(seen)) return Sight::changing;  // memory and capacity belong together
    uint32_t slot = arrays.capacity == 0 ? 0 : home_of(hash, arrays.capacity);
    for (uint32_t steps = 0; steps < arrays.capacity; ++steps) {
      const uint64_t there = look_word(arrays.keys()[slot]);
      if (there == 0) break;
      if (there == wanted && look_word(arrays.blocks()[slot]) == block_low) {
        reader.point("index key found");
        found = {.number = key.id.number,
                 .checksum = look_word(arrays.checksums()[slot]),
                 .incarnation = key.id.incarnation.value,
                 .block = key.block,
                 .place = look_word(arrays.places()[slot], std::memory_order_acquire)};
        sight = Sight::found;
        break;
      }
      if (++slot == arrays.capacity) slot = 0;
    }
    if (!table.version.unchanged(seen)) return Sight::changing;
  }
  // Its number may be another prefix's by now.
  return prefixes_.version().unchanged(prefixes_seen) ? sight : Sight::changing;
}

BlobIndex::Sight BlobIndex::look(Env& reader, const BlobKey& key, IndexEntry& found) const {
  for (int looks = 0; looks < kLooksMax; ++looks) {
    const Sight sight = look_once(reader, key, found);
    if (sight != Sight::changing) return sight;
    reader.pause();
  }
  return Sight::changing;
}

void BlobIndex::place(const Arrays& arrays, uint64_t hash, const Packed& packed) {
  uint32_t slot = home_of(hash, arrays.capacity);
  while (arrays.keys()[slot] != 0) {
    if (++slot == arrays.capacity) slot = 0;
  }
  store(arrays, slot, packed);
}

// Null: the table is emptied.
void BlobIndex::replace(Table& table, std::unique_ptr<std::byte[]> memory, uint32_t capacity) {
  {
    const ChangeVersion::Change change(table.version, owner_);
    table.owned.swap(memory);
    table.memory.store(table.owned.get(), std::memory_order_relaxed);
    table.capacity.store(capacity, std::memory_order_relaxed);
  }
  epochs_.retire(std::move(memory));
}

void BlobIndex::resize(Table& table, uint32_t capacity) {
  capacity = std::max(kTableCapacityMin, capacity);
  FB_ASSERT(table.count < capacity, table.count, capacity);
  auto memory = std::make_unique<std::byte[]>(capacity * kSlotBytes);
  const Arrays from = table.arrays();
  const Arrays to{.memory = memory.get(), .capacity = capacity};
  uint32_t count = 0;
  for (uint32_t slot = 0; slot < from.capacity; ++slot) {
    if (from.keys()[slot] == 0) continue;
    const Packed packed = packed_at(from, slot);
    place(to, hash_of(packed.key, packed.block), packed);
    ++count;
  }
  FB_ASSERT(count == table.count, count, table.count);
  replace(table, std::move(memory), capacity);
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
  const uint32_t capacity = table.arrays().capacity;
  if (capacity == 0 || table.count + 1 > count_max(capacity))
    resize(table, std::max(grown_capacity(table.count + 1), capacity + 1));
  const ChangeVersion::Change change(table.version, owner_);
  place(table.arrays(), hash, packed);
  ++table.count;
  ++size_;
}

// What the entry points to is published with it.
void BlobIndex::set_place(Found& found, uint64_t place) {
  FB_ASSERT(found && place != 0, found.number);
  put_word(tables_[found.table].arrays().places()[found.slot], place, std::memory_order_release);
  found.place = place;
}

void BlobIndex::set_checksum(Found& found, uint64_t checksum) {
  FB_ASSERT(!!found, found.number);
  put_word(tables_[found.table].arrays().checksums()[found.slot], checksum);
  found.checksum = checksum;
}

// Closes the hole by moving back every entry of the run that may stand nearer to its home. A table that has
// become far too large is made smaller.
void BlobIndex::erase(const Found& found) {
  Table& table = tables_[found.table];
  const Arrays arrays = table.arrays();
  uint32_t hole = found.slot;
  FB_ASSERT(hole < arrays.capacity && arrays.keys()[hole] != 0, hole, arrays.capacity);
  FB_ASSERT(table.count > 0 && size_ > 0);
  prefixes_.give_back(static_cast<uint32_t>(arrays.keys()[hole] >> kNumberBits));
  {
    const ChangeVersion::Change change(table.version, owner_);
    uint32_t slot = hole;
    for (;;) {
      if (++slot == arrays.capacity) slot = 0;
      if (arrays.keys()[slot] == 0) break;
      const uint32_t home = home_of(hash_of(arrays.keys()[slot], arrays.blocks()[slot]), arrays.capacity);
      const bool stays = hole <= slot ? (hole < home && home <= slot) : (hole < home || home <= slot);
      if (stays) continue;
      store(arrays, hole, packed_at(arrays, slot));
      hole = slot;
    }
    store(arrays, hole, {});
  }
  --table.count;
  --size_;
  if (table.count == 0) {
    replace(table, nullptr, 0);
  } else if (arrays.capacity > kTableCapacityMin && grown_capacity(table.count) < arrays.capacity / 2) {
    resize(table, grown_capacity(table.count) + 1);
  }
}

void BlobIndex::reserve(uint64_t count) {
  for (Table& table : tables_) {
    const uint32_t wanted = grown_capacity(table.count + count / kTableCount);
    if (wanted > table.arrays().capacity) resize(table, wanted);
  }
}

void BlobIndex::clear() {
  for (Table& table : tables_) {
    table.count = 0;
    replace(table, nullptr, 0);
  }
  prefixes_.clear();
  size_ = 0;
}

void BlobIndex::entries_of(size_t index, std::vector<IndexEntry>& out) const {
  const Arrays arrays = tables_[index].arrays();
  out.clear();
  for (uint32_t slot = 0; slot < arrays.capacity; ++slot) {
    if (arrays.keys()[slot] != 0) out.push_back(unpacked(packed_at(arrays, slot)));
  }
}

uint64_t BlobIndex::memory_bytes() const {
  uint64_t slots = 0;
  for (const Table& table : tables_) slots += table.arrays().capacity;
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
