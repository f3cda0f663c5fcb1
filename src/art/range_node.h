// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "art/page_format.h"

// A range: a node whose children live in other pages, by intervals of their first byte. For n intervals:
// first[n] (sorted), bound[n], flags[n], link[n] (8 bytes each). Interval i holds the bytes from first[i] to
// before first[i + 1]; the first interval also holds the bytes below it, the last one all bytes above. A
// block is as large as its intervals need and is replaced when they change. PageEditor inserts and removes
// intervals.

namespace fb::art::range_node {

inline constexpr uint32_t kEntryBytes = 11;
inline constexpr uint32_t kFirst = kNodeArrays;
inline constexpr uint32_t kCountMax = 256;

constexpr uint32_t fixed_bytes(uint32_t count) { return kNodeArrays + kEntryBytes * count; }
constexpr uint32_t bound_at(uint32_t count, uint32_t i) { return kFirst + count + i; }
constexpr uint32_t flags_at(uint32_t count, uint32_t i) { return kFirst + 2 * count + i; }
constexpr uint32_t word_at(uint32_t count, uint32_t i) { return kFirst + 3 * count + 8 * i; }

// The interval of `byte` in a node of `count` > 0 intervals.
inline uint32_t find(const std::byte* node, uint32_t count, uint8_t byte) {
  uint32_t low = 0;
  uint32_t high = count;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (load8(node + kFirst + middle) <= byte) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// One interval as page operations carry it, packed in this order without padding.
struct Entry {
  uint8_t first = 0;
  uint8_t bound = 0;
  uint8_t flags = 0;
  uint64_t word = 0;
};
inline Entry load(const std::byte* node, uint32_t count, uint32_t i) {
  return {load8(node + kFirst + i), load8(node + bound_at(count, i)), load8(node + flags_at(count, i)),
          load64(node + word_at(count, i))};
}
void store(std::byte* node, uint32_t count, uint32_t i, const Entry& entry);

// Entries packed one behind the other.
Entry unpack(std::string_view packed, uint32_t i);
void pack(std::string& out, const Entry& entry);

}  // namespace fb::art::range_node
