// SPDX-License-Identifier: Apache-2.0
// Descriptors, segment headers, checkpoint headers and superblocks from any bytes. The first byte chooses
// whether the descriptor's checksum is made right first, so that what lies behind it is reached.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "bss/blob/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::bss;
  if (size == 0) return 0;
  std::vector<std::byte> bytes(kDescriptorBytesMax);
  std::memcpy(bytes.data(), data + 1, std::min(size - 1, bytes.size()));
  const DescriptorPlace place{
      .shard = 1, .generation = 2, .nonce = 3, .offset = 2 * kBlockBytes, .segment_bytes = 8 << 20};
  if (data[0] % 2 == 1) {
    const size_t count = 1 + data[0] / 2;
    finish_descriptor(place, 5, 4, count, kBatchBytesMax,
                      std::span(bytes).first(descriptor_bytes_for(count)));
  }
  if (const auto view = parse_descriptor(bytes, place)) {
    for (const DescriptorEntry& entry : view->entries) {
      FB_ASSERT(uint64_t{entry.payload_block} * kBlockBytes + entry.length <= view->header.batch_bytes ||
                entry.kind == EntryKind::tombstone);
    }
  }
  const StoreId store{};
  (void)parse_segment_header(bytes, store, 1, 1);
  (void)parse_checkpoint_header(std::span(bytes).first(kBlockBytes), store, 1);
  Superblock superblock;
  (void)parse_superblock({reinterpret_cast<const char*>(bytes.data()), kBlockBytes}, &superblock);
  return 0;
}
