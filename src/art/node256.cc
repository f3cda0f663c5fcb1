// SPDX-License-Identifier: Apache-2.0
#include "art/node256.h"

#include "base/assert.h"

namespace fb::art::node256 {

ChildSlot next(const std::byte* node, uint32_t from) {
  for (uint32_t byte = from; byte < 256; ++byte) {
    if (const uint16_t slot = find(node, static_cast<uint8_t>(byte))) {
      return {static_cast<uint16_t>(byte), slot};
    }
  }
  return {};
}

void insert(std::byte* node, uint8_t byte, uint16_t offset) {
  std::byte* slot = node + kOffsets + 2 * uint32_t{byte};
  FB_ASSERT(load16(slot) == 0, byte);
  store16(slot, offset);
  store16(node + kNodeCount, load16(node + kNodeCount) + 1u);
}

void erase(std::byte* node, uint8_t byte) {
  std::byte* slot = node + kOffsets + 2 * uint32_t{byte};
  FB_ASSERT(load16(slot) != 0, byte);
  store16(slot, 0);
  store16(node + kNodeCount, load16(node + kNodeCount) - 1u);
}

}  // namespace fb::art::node256
