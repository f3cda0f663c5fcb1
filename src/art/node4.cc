// SPDX-License-Identifier: Apache-2.0
#include "art/node4.h"

#include "art/sorted_node.h"
#include "base/assert.h"

namespace fb::art::node4 {

void insert(std::byte* node, uint8_t byte, uint16_t offset) {
  sorted_node::insert<kCapacity, kKeys, kOffsets>(node, byte, offset);
}

void erase(std::byte* node, uint8_t byte) {
  const uint16_t slot = find(node, byte);
  FB_ASSERT(slot != 0, byte);
  sorted_node::erase<kKeys, kOffsets>(node, slot);
}

}  // namespace fb::art::node4
