// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/units.h"
#include "bss/journal/journal_format.h"
#include "client/page_client.h"

// Bytes of a page store; docs/formats/page_store.md. Encoding and checking only. The log's segments have the
// header and the groups of journal_format.h.
//
//     a slot       page, zeros ...                                   | trailer (64) |
//     a log group  GroupHeader | frame length u32 | PageLogEntry ...  | zeros        |
//     a table      PageTableHead | epochs u64 ... | checksums u64 ... | zeros | chunks of slots ...

namespace fb {

inline constexpr uint32_t kPageStoreVersion = 1;
inline constexpr uint32_t kSlotBytesMin = 4 * kKiB;
inline constexpr uint32_t kSlotBytesMax = 64 * kKiB;
inline constexpr uint64_t kPageIdMax = (uint64_t{1} << 44) - 1;
// Epochs that the versions of stored pages have between them: each start of a writer has one.
inline constexpr uint32_t kPageEpochsMax = uint32_t{1} << 20;

struct PageSuperblock {
  std::array<char, 8> magic{'F', 'B', 'P', 'A', 'G', 'E', 'S', '\0'};
  uint32_t version = kPageStoreVersion;
  uint32_t slot_bytes = 0;
  StoreId store_id{};
  uint64_t log_bytes = 0;  // of each copy of each log
  uint64_t checksum = 0;   // of everything before
};
static_assert(sizeof(PageSuperblock) == 48);
std::string encode_page_superblock(const PageSuperblock& superblock);
HeaderState parse_page_superblock(std::string_view bytes, const StoreId& store_id, PageSuperblock& out);

// What seeds the checksums of a store: bytes of another one never pass.
uint64_t page_store_seed(const StoreId& store_id);

// The last bytes of a slot. Behind the page, so that the page begins where its buffer does.
struct SlotTrailer {
  static constexpr uint32_t kMagic = 0x47504246;
  uint32_t magic = kMagic;
  uint32_t version = kPageStoreVersion;
  uint32_t length = 0;
  uint32_t slot = 0;
  uint64_t id = 0;
  uint64_t epoch = 0;
  uint64_t position = 0;
  uint64_t reserved[2] = {};
  uint64_t checksum = 0;  // of the whole slot before it, seeded with store and slot
};
static_assert(sizeof(SlotTrailer) == 64);
constexpr uint32_t page_length_max_of(uint32_t slot_bytes) {
  return slot_bytes - static_cast<uint32_t>(sizeof(SlotTrailer));
}

// `slot` begins with `length` bytes of a page; everything behind them is written.
void seal_slot(std::span<std::byte> slot, uint64_t seed, uint32_t number, PageId id, Lsn version,
               uint32_t length);
// Whether a whole and intact page stands in what was read from slot `number`.
bool read_slot(std::span<const std::byte> slot, uint64_t seed, uint32_t number, SlotTrailer& out);

struct PageLogEntry {
  enum class Kind : uint32_t { put = 1, erase = 2 };
  uint64_t id = 0;
  uint64_t epoch = 0;
  uint64_t position = 0;
  uint32_t slot = 0;  // 0 of an erase
  Kind kind = Kind::put;
};
static_assert(sizeof(PageLogEntry) == 32);
inline constexpr size_t kPageLogEntriesMax = 2000;  // of a group
constexpr size_t page_log_group_bytes(size_t entries) {
  return align_up(sizeof(GroupHeader) + kFrameHeaderSize + entries * sizeof(PageLogEntry), kJournalBlock);
}
inline constexpr size_t kPageLogGroupBytesMax = page_log_group_bytes(kPageLogEntriesMax);

// A slot in the table, in memory and on disk: 16 bytes. An id of 0: the slot is free.
struct TableSlot {
  static constexpr unsigned kEpochShift = 44;
  uint64_t id_and_epoch = 0;  // low 44 bits the id, high 20 the index of the epoch
  uint64_t position = 0;
  uint64_t id() const { return id_and_epoch & kPageIdMax; }
  uint32_t epoch_index() const { return static_cast<uint32_t>(id_and_epoch >> kEpochShift); }
  bool free() const { return id_and_epoch == 0; }
};
static_assert(sizeof(TableSlot) == 16);
inline constexpr uint32_t kChunkSlots = 4096;
struct TableChunk {
  std::array<TableSlot, kChunkSlots> slots{};
};
static_assert(sizeof(TableChunk) == 64 * kKiB);

struct PageTableHead {
  std::array<char, 8> magic{'F', 'B', 'P', 'G', 'T', 'A', 'B', 'L'};
  uint32_t version = kPageStoreVersion;
  uint32_t slot_bytes = 0;
  StoreId store_id{};
  uint64_t number = 0;         // the generation of the first log that is not contained
  uint64_t next_sequence = 0;  // of the first log group that is not contained
  uint64_t sealed_epoch = 0;
  uint64_t page_count = 0;
  uint32_t slot_count = 0;
  uint32_t epoch_count = 0;
  uint32_t chunk_count = 0;
  uint32_t log_started = 0;  // 1: the log `number` was begun before this table was written
  uint64_t checksum = 0;     // of the head with epochs and checksums and this field 0
};
static_assert(sizeof(PageTableHead) == 88);

constexpr uint32_t chunk_count_of(uint32_t slot_count) {
  return (slot_count + kChunkSlots - 1) / kChunkSlots;
}
constexpr uint64_t table_head_bytes(uint64_t epoch_count, uint64_t chunk_count) {
  return align_up(sizeof(PageTableHead) + 8 * (epoch_count + chunk_count), kDirectIoAlignment);
}
constexpr uint64_t table_bytes(uint64_t epoch_count, uint64_t chunk_count) {
  return table_head_bytes(epoch_count, chunk_count) + chunk_count * sizeof(TableChunk);
}
uint64_t chunk_checksum(const TableChunk& chunk, uint64_t seed, uint64_t number, uint32_t index);
// Sets the checksum; `bytes` is head, epochs and chunk checksums.
void seal_table_head(std::span<std::byte> bytes, uint64_t seed);
// `block` is the first block; valid here means that the fixed part makes sense: check the rest with
// table_head_intact().
HeaderState read_table_head(std::span<const std::byte> block, const StoreId& store_id, uint32_t slot_bytes,
                            PageTableHead& out);
bool table_head_intact(std::span<std::byte> bytes, uint64_t seed);

}  // namespace fb
