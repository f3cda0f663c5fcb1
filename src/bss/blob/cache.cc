// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/cache.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace fb::bss {
namespace {
constexpr int kEvictionsPerAllocationMax = 64;
constexpr size_t kRegionsToChooseFrom = 8;
constexpr size_t kRegionsLookedAtMax = 64;
}  // namespace

BlobCache::BlobCache(Env& env, size_t budget_bytes)
    : pool_(env, {.arena_bytes = align_down(budget_bytes, kBufferSizeMax),
                  .limit_bytes = align_down(budget_bytes, kBufferSizeMax)}) {
  const size_t count = pool_.limit_bytes() / kBufferSizeMin;
  if (count == 0) return;
  slots_.resize(count);
  free_slots_.reserve(count);
  for (size_t index = count; index > 0; --index) free_slots_.push_back(static_cast<uint32_t>(index - 1));
  table_.assign(std::bit_ceil(count * 2), kNone);
  slot_at_.assign(count, kNone);
  seen_.resize(kSeenCount);
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
  slot.marked = true;
  out->buffer = slot.buffer;
  out->offset = offset;
  out->length = length;
  return &slot.origin;
}

bool BlobCache::wants(const BlobKey& key, uint32_t length, uint32_t bytes) {
  if (slots_.empty()) return false;
  if (length <= kSmallBytesMax) return true;
  const uint64_t hash = std::hash<BlobKey>()(key);
  const auto tag = static_cast<uint32_t>(hash);
  Seen& seen = seen_[(hash >> 32) % kSeenCount];
  if (seen.tag != tag) seen = {.tag = tag};
  if (seen.bytes >= length) {
    seen.bytes = 0;  // once it has been evicted, it begins anew
    return true;
  }
  seen.bytes += bytes;
  return false;
}

Buffer BlobCache::allocate(uint32_t length) {
  if (slots_.empty()) return {};
  if (length <= kSmallBytesMax) {
    for (int tries = 0; tries <= kEvictionsPerAllocationMax; ++tries) {
      if (Buffer buffer = pool_.try_allocate_in_arena(length)) return buffer;
      if (!evict_one()) break;
    }
  } else if (Buffer buffer = pool_.try_allocate_in_arena(length)) {
    return buffer;
  }
  if (!empty_a_region()) return {};
  return pool_.try_allocate_in_arena(length);
}

BlobCache::RegionUse BlobCache::look_at_region(size_t region) {
  RegionUse use;
  size_t evictable_bytes = 0;
  const size_t begin = region * kUnitsOfRegion;
  for (size_t unit = begin; unit < begin + kUnitsOfRegion; ++unit) {
    if (slot_at_[unit] == kNone) continue;
    const Slot& slot = slots_[slot_at_[unit]];
    if (slot.buffer.shared()) return {};
    evictable_bytes += slot.buffer.capacity();
    if (slot.marked) use.marked_bytes += slot.buffer.capacity();
  }
  const size_t free_bytes = pool_.arena_free_bytes(region * kRegionBytes, kRegionBytes);
  use.can_be_emptied = evictable_bytes != 0 && evictable_bytes + free_bytes == kRegionBytes;
  return use;
}

// Entries of the regions that were looked at in vain lose their marks, as those that the hand passes.
bool BlobCache::empty_a_region() {
  const size_t regions = slot_at_.size() / kUnitsOfRegion;
  const auto each_of = [this](size_t region, auto&& visit) {
    for (size_t unit = region * kUnitsOfRegion; unit < (region + 1) * kUnitsOfRegion; ++unit) {
      if (slot_at_[unit] != kNone) visit(slot_at_[unit]);
    }
  };
  size_t best = regions;
  size_t best_marked_bytes = SIZE_MAX;
  size_t seen = 0;
  for (size_t looked = 0; looked < std::min(regions, kRegionsLookedAtMax) && seen < kRegionsToChooseFrom;
       ++looked) {
    const size_t region = next_region_;
    next_region_ = (next_region_ + 1) % regions;
    const RegionUse use = look_at_region(region);
    if (!use.can_be_emptied) continue;
    ++seen;
    if (use.marked_bytes < best_marked_bytes) {
      best = region;
      best_marked_bytes = use.marked_bytes;
    }
    if (use.marked_bytes == 0) break;
    each_of(region, [this](uint32_t index) { slots_[index].marked = false; });
  }
  if (best == regions) return false;
  each_of(best, [this](uint32_t index) { remove(index); });
  return true;
}

void BlobCache::insert(const BlobKey& key, Buffer buffer, uint32_t length, Origin origin) {
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
  slot_at_[unit_of(slots_[index].buffer)] = index;
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
  slot_at_[unit_of(slot.buffer)] = kNone;
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
    if (!slot.marked) break;
    slot.marked = false;
    hand_ = slot.newer;
  }
  remove(hand_);
  return true;
}

}  // namespace fb::bss
