// SPDX-License-Identifier: Apache-2.0
#include "art/node48.h"

#include <bit>

#include "base/assert.h"

namespace fb::art::node48 {

ChildSlot next(const std::byte* node, uint32_t from) {
  uint32_t at = from;
  for (; at < 256 && at % 8 != 0; ++at) {
    if (const uint16_t slot = find(node, static_cast<uint8_t>(at))) return {static_cast<uint16_t>(at), slot};
  }
  for (; at < 256; at += 8) {
    const uint64_t places = load64(node + kIndex + at);
    if (places == 0) continue;
    const uint32_t byte = at + static_cast<uint32_t>(std::countr_zero(places)) / 8;
    const uint16_t slot = find(node, static_cast<uint8_t>(byte));
    // A reader in the middle of a change may get a wrong slot here; it notices when it validates.
    return {static_cast<uint16_t>(byte), slot};
  }
  return {};
}

void insert(std::byte* node, uint8_t byte, uint16_t offset) {
  const uint32_t children = load16(node + kNodeCount);
  FB_ASSERT(children < kCapacity, children);
  FB_ASSERT(load8(node + kIndex + byte) == 0, byte);
  // The places in use are the first `children`: erase moves the last one into the gap.
  store8(node + kIndex + byte, children + 1);
  store16(node + kOffsets + 2 * children, offset);
  store16(node + kNodeCount, children + 1);
}

void erase(std::byte* node, uint8_t byte) {
  const uint32_t children = load16(node + kNodeCount);
  const uint32_t place = load8(node + kIndex + byte);
  FB_ASSERT(place != 0, byte);
  FB_ASSERT(place <= children, place, children);
  store8(node + kIndex + byte, 0);
  if (place != children) {
    store16(node + kOffsets + 2 * (place - 1), load16(node + kOffsets + 2 * (children - 1)));
    for (uint32_t i = 0; i < 256; ++i) {
      if (load8(node + kIndex + i) == children) store8(node + kIndex + i, place);
    }
  }
  store16(node + kOffsets + 2 * (children - 1), 0);
  store16(node + kNodeCount, children - 1);
}

}  // namespace fb::art::node48
