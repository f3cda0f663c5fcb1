// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>

#include "art/page_format.h"

// A node of up to 4 children: sorted keys[4], offsets[4]. Also used for no child (a page's empty root) and
// for one child. Functions take the block's first byte. Readers may meet a block in the middle of a change:
// counts are clamped.

namespace fb::art::node4 {

inline constexpr uint32_t kCapacity = 4;
inline constexpr uint32_t kKeys = kNodeArrays;
inline constexpr uint32_t kOffsets = kKeys + kCapacity;
inline constexpr uint32_t kFixed = kOffsets + 2 * kCapacity;

inline uint32_t count(const std::byte* node) {
  return std::min<uint32_t>(load16(node + kNodeCount), kCapacity);
}

inline uint16_t find(const std::byte* node, uint8_t byte) {
  // Finds the lowest byte that is zero after the exclusive or. If it is not in use, no higher one is.
  const uint32_t differs = load32(node + kKeys) ^ (0x01010101u * byte);
  const uint32_t zeros = (differs - 0x01010101u) & ~differs & 0x80808080u;
  const auto i = static_cast<uint32_t>(std::countr_zero(zeros)) / 8;
  return i < count(node) ? static_cast<uint16_t>(kOffsets + 2 * i) : uint16_t{0};
}

// The first child whose byte is at least `from`.
inline ChildSlot next(const std::byte* node, uint32_t from) {
  const uint32_t children = count(node);
  for (uint32_t i = 0; i < children; ++i) {
    const uint8_t byte = load8(node + kKeys + i);
    if (byte >= from) return {byte, static_cast<uint16_t>(kOffsets + 2 * i)};
  }
  return {};
}

void insert(std::byte* node, uint8_t byte, uint16_t offset);
void erase(std::byte* node, uint8_t byte);

}  // namespace fb::art::node4
