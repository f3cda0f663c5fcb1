// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "art/page_format.h"

// A node of up to 16 children: sorted keys[16], offsets[16]. All keys are compared at once.

namespace fb::art::node16 {

inline constexpr uint32_t kCapacity = 16;
inline constexpr uint32_t kKeys = kNodeArrays;
inline constexpr uint32_t kOffsets = kKeys + kCapacity;
inline constexpr uint32_t kFixed = kOffsets + 2 * kCapacity;

inline uint32_t count(const std::byte* node) {
  return std::min<uint32_t>(load16(node + kNodeCount), kCapacity);
}

// One bit for each key in use that is equal to `byte`, or not below it.
inline uint32_t equal_mask(const std::byte* node, uint8_t byte) {
  const uint32_t used = (1u << count(node)) - 1;
#if defined(__SSE2__)
  const __m128i keys = _mm_loadu_si128(reinterpret_cast<const __m128i*>(node + kKeys));
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(byte));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(keys, wanted))) & used;
#else
  uint32_t mask = 0;
  for (uint32_t i = 0; i < kCapacity; ++i) mask |= uint32_t{load8(node + kKeys + i) == byte} << i;
  return mask & used;
#endif
}
inline uint32_t not_below_mask(const std::byte* node, uint8_t byte) {
  const uint32_t used = (1u << count(node)) - 1;
#if defined(__SSE2__)
  const __m128i keys = _mm_loadu_si128(reinterpret_cast<const __m128i*>(node + kKeys));
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(byte));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(keys, wanted), keys))) & used;
#else
  uint32_t mask = 0;
  for (uint32_t i = 0; i < kCapacity; ++i) mask |= uint32_t{load8(node + kKeys + i) >= byte} << i;
  return mask & used;
#endif
}

inline uint16_t find(const std::byte* node, uint8_t byte) {
  const uint32_t mask = equal_mask(node, byte);
  return mask == 0 ? 0 : static_cast<uint16_t>(kOffsets + 2 * std::countr_zero(mask));
}

inline ChildSlot next(const std::byte* node, uint32_t from) {
  if (from > 255) return {};
  const uint32_t mask = not_below_mask(node, static_cast<uint8_t>(from));
  if (mask == 0) return {};
  const auto i = static_cast<uint32_t>(std::countr_zero(mask));
  return {load8(node + kKeys + i), static_cast<uint16_t>(kOffsets + 2 * i)};
}

void insert(std::byte* node, uint8_t byte, uint16_t offset);
void erase(std::byte* node, uint8_t byte);

}  // namespace fb::art::node16
