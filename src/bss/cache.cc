// SPDX-License-Identifier: Apache-2.0
#include "bss/cache.h"

#include <bit>

#include "base/assert.h"

namespace fb::bss {
namespace {
constexpr int kEvictionsPerAllocationMax = 64;
}

BlobCache::BlobCache(Env& env, size_t budget_bytes, uint32_t payload_bytes_max)
    : payload_bytes_max_(payload_bytes_max),
      pool_(env, {.arena_bytes = align_down(budget_bytes, kBufferSizeMax),
                  .limit_bytes = align_down(budget_bytes, kBufferSizeMax)}) {
  const size_t count = pool_.limit_bytes() / kBufferSizeMin;
  if (count == 0) return;
  slots_.resize(count);
  free_slots_.reserve(count);
  for (size_t index = count; index > 0; --index) free_slots_.push_back(static_cast<uint32_t>(index - 1));
  table_.assign(std::bit_ceil(count * 2), kNone);
}

uint32_t BlobCache::lookup(const BlobKey& key, uint64_t hash) const {
  const size_t mask = table_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const uint32_t index = table_[at];
    if (index == kNone) return kNone;
    if (slots_[index].hash == hash && slots_[index].key == key) return index;
  }
}

BlobCache::Origin* BlobCache::find(const BlobKey& key, uint32_t offset, uint32_t length, BlobData* out) {
  if (count_ == 0) return nullptr;
  const uint32_t index = lookup(key, std::hash<BlobKey>()(key));
  if (index == kNone) return nullptr;
  Slot& slot = slots_[index];
  if (offset > slot.length || length > slot.length - offset) return nullptr;
  slot.visited = true;
  out->buffer = slot.buffer;
  out->offset = offset;
  out->length = length;
  return &slot.origin;
}

Buffer BlobCache::allocate(uint32_t length) {
  if (!takes(length)) return {};
  for (int tries = 0; tries <= kEvictionsPerAllocationMax; ++tries) {
    if (Buffer buffer = pool_.try_allocate(length)) return buffer;
    if (!evict_one()) break;
  }
  return {};
}

void BlobCache::insert(const BlobKey& key, Buffer buffer, uint32_t length, Origin origin) {
  FB_ASSERT(takes(length), length);
  FB_ASSERT(length <= buffer.capacity(), length, buffer.capacity());
  const uint64_t hash = std::hash<BlobKey>()(key);
  if (const uint32_t there = count_ == 0 ? kNone : lookup(key, hash); there != kNone) {
    // Blobs are immutable: it is the same, unless it was erased meanwhile and is there again.
    if (slots_[there].origin.checksum == origin.checksum) {
      slots_[there].origin = origin;
      return;
    }
    remove(there);
  }
  if (free_slots_.empty() && !evict_one()) return;
  const uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  slots_[index] = Slot{.key = key,
                       .hash = hash,
                       .buffer = std::move(buffer),
                       .origin = origin,
                       .length = length,
                       .older = newest_};
  if (newest_ != kNone) slots_[newest_].newer = index;
  newest_ = index;
  if (oldest_ == kNone) oldest_ = index;
  const size_t mask = table_.size() - 1;
  size_t at = hash & mask;
  while (table_[at] != kNone) at = (at + 1) & mask;
  table_[at] = index;
  ++count_;
}

void BlobCache::erase(const BlobKey& key) {
  if (count_ == 0) return;
  const uint32_t index = lookup(key, std::hash<BlobKey>()(key));
  if (index != kNone) remove(index);
}

void BlobCache::remove_from_table(uint32_t index) {
  const size_t mask = table_.size() - 1;
  size_t hole = slots_[index].hash & mask;
  while (table_[hole] != index) hole = (hole + 1) & mask;
  for (size_t at = (hole + 1) & mask; table_[at] != kNone; at = (at + 1) & mask) {
    const size_t home = slots_[table_[at]].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;  // its home lies behind the hole
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = kNone;
}

void BlobCache::remove(uint32_t index) {
  remove_from_table(index);
  Slot& slot = slots_[index];
  if (hand_ == index) hand_ = slot.newer;
  (slot.older == kNone ? oldest_ : slots_[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? newest_ : slots_[slot.newer].older) = slot.older;
  slot.buffer.reset();
  free_slots_.push_back(index);
  --count_;
}

bool BlobCache::evict_one() {
  if (count_ == 0) return false;
  for (;;) {
    if (hand_ == kNone) hand_ = oldest_;
    Slot& slot = slots_[hand_];
    if (!slot.visited) break;
    slot.visited = false;
    hand_ = slot.newer;
  }
  remove(hand_);
  return true;
}

}  // namespace fb::bss
