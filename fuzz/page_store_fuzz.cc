// SPDX-License-Identifier: Apache-2.0
// The page store's superblock, table and slots from any bytes. The first byte chooses whether checksums are
// made right first, so that what lies behind them is reached.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "bss/page/page_file_table.h"

namespace fb {
namespace {

constexpr StoreId kStore{1};
constexpr uint32_t kSlotBytes = 4096;

void read_head(std::vector<std::byte>& bytes, bool seals) {
  PageTableHead head;
  if (read_table_head(bytes, kStore, kSlotBytes, head) != HeaderState::valid) return;
  FB_ASSERT(head.chunk_count == chunk_count_of(head.slot_count));
  FB_ASSERT(head.epoch_count <= kPageEpochsMax, head.epoch_count);
  const uint64_t stated = sizeof(head) + 8 * (uint64_t{head.epoch_count} + head.chunk_count);
  if (stated > bytes.size()) return;
  const std::span<std::byte> whole = std::span(bytes).first(stated);
  if (seals) seal_table_head(whole, page_store_seed(kStore));
  FB_ASSERT(table_head_intact(whole, page_store_seed(kStore)) || !seals);
}

// A table that takes the chunk agrees with itself.
void load_chunk(std::span<const std::byte> bytes) {
  const auto chunk = std::make_unique<TableChunk>();
  std::memcpy(chunk->slots.data(), bytes.data(), std::min(bytes.size(), sizeof(TableChunk)));
  const std::array<uint64_t, 3> epochs{7, 9, 7};
  PageTable table;
  table.prepare_load(kChunkSlots - 1, 0);
  if (table.load(0, *chunk, epochs)) FB_ASSERT(table.verify());
}

}  // namespace
}  // namespace fb

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb;
  if (size == 0) return 0;
  const bool seals = data[0] % 2 == 1;
  std::vector<std::byte> bytes(kSlotBytes);
  std::memcpy(bytes.data(), data + 1, std::min(size - 1, bytes.size()));
  PageSuperblock superblock;
  (void)parse_page_superblock({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, kStore,
                              superblock);
  load_chunk(std::as_bytes(std::span(data + 1, size - 1)));
  SlotTrailer trailer;
  (void)read_slot(bytes, 3, 5, trailer);
  if (seals) {
    const auto length = static_cast<uint32_t>(size % (page_length_max_of(kSlotBytes) + 1));
    seal_slot(bytes, 3, 5, {size}, {1, 2}, length);
    FB_ASSERT(read_slot(bytes, 3, 5, trailer) && trailer.length == length, length);
    std::memcpy(bytes.data(), data + 1, std::min(size - 1, bytes.size()));
  }
  PageTableHead head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  if (seals) {
    head.magic = PageTableHead().magic;
    head.version = kPageStoreVersion;
    head.store_id = kStore;
    head.slot_bytes = kSlotBytes;
    head.chunk_count = chunk_count_of(head.slot_count);
    std::memcpy(bytes.data(), &head, sizeof(head));
  }
  read_head(bytes, seals);
  return 0;
}
