// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "art/page_format.h"

// A node of any number of children: offsets[256], zero if there is none.

namespace fb::art::node256 {

inline constexpr uint32_t kCapacity = 256;
inline constexpr uint32_t kOffsets = kNodeArrays;
inline constexpr uint32_t kFixed = kOffsets + 2 * kCapacity;

inline uint16_t find(const std::byte* node, uint8_t byte) {
  const uint32_t slot = kOffsets + 2 * uint32_t{byte};
  return load16(node + slot) == 0 ? 0 : static_cast<uint16_t>(slot);
}

ChildSlot next(const std::byte* node, uint32_t from);
void insert(std::byte* node, uint8_t byte, uint16_t offset);
void erase(std::byte* node, uint8_t byte);

}  // namespace fb::art::node256
