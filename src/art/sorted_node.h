// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "art/page_format.h"
#include "base/assert.h"

// Shared by the kinds of nodes that keep their children's bytes sorted: an array of bytes at `Keys`, one of
// offsets at `Offsets`, both of `Capacity`.

namespace fb::art::sorted_node {

template <uint32_t Capacity, uint32_t Keys, uint32_t Offsets>
void insert(std::byte* node, uint8_t byte, uint16_t offset) {
  const uint32_t children = load16(node + kNodeCount);
  FB_ASSERT(children < Capacity, children);
  uint32_t at = 0;
  while (at < children && load8(node + Keys + at) < byte) ++at;
  std::memmove(node + Keys + at + 1, node + Keys + at, children - at);
  std::memmove(node + Offsets + 2 * (at + 1), node + Offsets + 2 * at, 2 * (children - at));
  store8(node + Keys + at, byte);
  store16(node + Offsets + 2 * at, offset);
  store16(node + kNodeCount, children + 1);
}

// Erases the child whose offset is at `slot`.
template <uint32_t Keys, uint32_t Offsets>
void erase(std::byte* node, uint16_t slot) {
  const uint32_t children = load16(node + kNodeCount);
  const uint32_t at = (slot - Offsets) / 2;
  std::memmove(node + Keys + at, node + Keys + at + 1, children - at - 1);
  std::memmove(node + Offsets + 2 * at, node + Offsets + 2 * (at + 1), 2 * (children - at - 1));
  // Unused places are zero: equal trees with equal histories have equal bytes, and no old data goes to disk.
  store8(node + Keys + children - 1, 0);
  store16(node + Offsets + 2 * (children - 1), 0);
  store16(node + kNodeCount, children - 1);
}

}  // namespace fb::art::sorted_node
