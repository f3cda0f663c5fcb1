// SPDX-License-Identifier: Apache-2.0
#include "bss/page/page_file_format.h"

#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"

namespace fb {
namespace {

constexpr uint64_t kMix = 0x9e3779b97f4a7c15ull;
constexpr size_t kTableChecksumOffset = offsetof(PageTableHead, checksum);

uint64_t slot_checksum(std::span<const std::byte> slot, uint64_t seed, uint32_t number) {
  return xxh3(slot.first(slot.size() - sizeof(uint64_t)), seed ^ ((uint64_t{number} + 1) * kMix));
}

uint64_t superblock_checksum(const PageSuperblock& superblock) {
  return xxh3(std::as_bytes(std::span(&superblock, 1)).first(offsetof(PageSuperblock, checksum)));
}

bool makes_sense(const PageSuperblock& superblock) {
  const bool slot = superblock.slot_bytes >= kSlotBytesMin && superblock.slot_bytes <= kSlotBytesMax &&
                    (superblock.slot_bytes & (superblock.slot_bytes - 1)) == 0;
  return slot && is_aligned(superblock.log_bytes, kJournalBlock) &&
         superblock.log_bytes >= 2 * kPageLogGroupBytesMax;
}

}  // namespace

std::string encode_page_superblock(const PageSuperblock& superblock) {
  PageSuperblock sealed = superblock;
  sealed.checksum = superblock_checksum(sealed);
  return std::string(reinterpret_cast<const char*>(&sealed), sizeof(sealed));
}

HeaderState parse_page_superblock(std::string_view bytes, const StoreId& store_id, PageSuperblock& out) {
  if (bytes.size() < sizeof(PageSuperblock)) return HeaderState::damaged;
  std::memcpy(&out, bytes.data(), sizeof(out));
  if (out.magic != PageSuperblock().magic) return HeaderState::not_ours;
  if (out.checksum != superblock_checksum(out)) return HeaderState::damaged;
  if (out.version != kPageStoreVersion) return HeaderState::other_version;
  if (out.store_id != store_id) return HeaderState::other_store;
  return makes_sense(out) ? HeaderState::valid : HeaderState::damaged;
}

uint64_t page_store_seed(const StoreId& store_id) { return xxh3(std::as_bytes(std::span(store_id))); }

void seal_slot(std::span<std::byte> slot, uint64_t seed, uint32_t number, PageId id, Lsn version,
               uint32_t length) {
  const size_t trailer_at = slot.size() - sizeof(SlotTrailer);
  FB_ASSERT(length <= trailer_at, length, trailer_at);
  std::memset(slot.data() + length, 0, trailer_at - length);
  SlotTrailer trailer;
  trailer.length = length;
  trailer.slot = number;
  trailer.id = id.value;
  trailer.epoch = version.epoch;
  trailer.position = version.position;
  std::memcpy(slot.data() + trailer_at, &trailer, sizeof(trailer));
  trailer.checksum = slot_checksum(slot, seed, number);
  std::memcpy(slot.data() + trailer_at, &trailer, sizeof(trailer));
}

bool read_slot(std::span<const std::byte> slot, uint64_t seed, uint32_t number, SlotTrailer& out) {
  const size_t trailer_at = slot.size() - sizeof(SlotTrailer);
  std::memcpy(&out, slot.data() + trailer_at, sizeof(out));
  return out.magic == SlotTrailer::kMagic && out.version == kPageStoreVersion && out.slot == number &&
         out.length <= trailer_at && out.checksum == slot_checksum(slot, seed, number);
}

uint64_t chunk_checksum(const TableChunk& chunk, uint64_t seed, uint64_t number, uint32_t index) {
  return xxh3(std::as_bytes(std::span(chunk.slots)), seed ^ (number * kMix) ^ (uint64_t{index} << 32));
}

void seal_table_head(std::span<std::byte> bytes, uint64_t seed) {
  std::memset(bytes.data() + kTableChecksumOffset, 0, sizeof(uint64_t));
  const uint64_t checksum = xxh3(bytes, seed);
  std::memcpy(bytes.data() + kTableChecksumOffset, &checksum, sizeof(checksum));
}

HeaderState read_table_head(std::span<const std::byte> block, const StoreId& store_id, uint32_t slot_bytes,
                            PageTableHead& out) {
  std::memcpy(&out, block.data(), sizeof(out));
  if (out.magic != PageTableHead().magic) {
    return out.magic[0] == 0 ? HeaderState::blank : HeaderState::not_ours;
  }
  if (out.version != kPageStoreVersion) return HeaderState::other_version;
  if (out.store_id != store_id) return HeaderState::other_store;
  const bool sizes_fit = out.slot_bytes == slot_bytes && out.chunk_count == chunk_count_of(out.slot_count) &&
                         out.epoch_count <= kPageEpochsMax && out.page_count <= out.slot_count;
  return sizes_fit ? HeaderState::valid : HeaderState::damaged;
}

bool table_head_intact(std::span<std::byte> bytes, uint64_t seed) {
  uint64_t stated = 0;
  std::memcpy(&stated, bytes.data() + kTableChecksumOffset, sizeof(stated));
  seal_table_head(bytes, seed);
  uint64_t computed = 0;
  std::memcpy(&computed, bytes.data() + kTableChecksumOffset, sizeof(computed));
  return stated == computed;
}

}  // namespace fb
