// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "art/page_format.h"

// A node of up to 48 children: index[256] holds for each byte one more than the child's place in offsets[48].

namespace fb::art::node48 {

inline constexpr uint32_t kCapacity = 48;
inline constexpr uint32_t kIndex = kNodeArrays;
inline constexpr uint32_t kOffsets = kIndex + 256;
inline constexpr uint32_t kFixed = kOffsets + 2 * kCapacity;

inline uint16_t find(const std::byte* node, uint8_t byte) {
  const uint32_t place = load8(node + kIndex + byte);
  if (place == 0 || place > kCapacity) return 0;
  return static_cast<uint16_t>(kOffsets + 2 * (place - 1));
}

ChildSlot next(const std::byte* node, uint32_t from);
void insert(std::byte* node, uint8_t byte, uint16_t offset);
void erase(std::byte* node, uint8_t byte);

}  // namespace fb::art::node48
