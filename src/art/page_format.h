// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/ids.h"

// The bytes of a page (docs/formats/page.md). A page is a header and a heap of blocks, which are the nodes of
// a connected piece of the radix tree. Blocks point to one another by their offsets in the page.
//
//     0        64              gap begin    gap end                   heap end   page size
//     | header | node | node | | free       | leaf | link | node | ..  | free      |
//
// When a page is laid out anew, its nodes come first, with room behind them for new nodes, so that a search
// reads neighbouring cache lines. Some of the blocks are garbage.
//
// All blocks begin with the same two bytes, so that the next one can be sized without knowing who points to
// it:
//
//     leaf          kind+flags  label size  value size (2)                     label  value
//     link          kind        label size  bound (1)  flags (1)  link (8)     label
//     node4..256    kind        label size  count (2)  value offset (2)  arrays  label
//     range         kind        label size  count (2)  value offset (2)  arrays  label
//
// A label is the part of an edge behind the byte that selects it. A page's root is a node or range without
// label. A value of a node is a leaf without label. A range is a wide node whose children live in other
// pages, divided by their first byte: the byte selects a page and is not consumed.

namespace fb::art {

inline constexpr uint32_t kPageBytesMin = 256;  // for tests; 4 KiB is the least for a store
inline constexpr uint32_t kPageBytesMax = 64 * 1024;
// Keys are a path of 1024 bytes, with the bytes that their owners put before and behind it.
inline constexpr uint32_t kKeyBytesMax = 1088;
inline constexpr uint32_t kBoundStep = 32;
static_assert(kKeyBytesMax / kBoundStep <= 255);

struct PageHeader {
  uint64_t checksum;   // XXH3 of the rest, set when the page is written
  uint64_t lsn_epoch;  // of the last record applied
  uint64_t lsn_position;
  uint64_t page_id;
  uint32_t magic;
  uint32_t page_bytes;
  uint32_t heap_end;
  uint32_t garbage_bytes;  // in [sizeof(PageHeader), heap_end)
  uint32_t entries;        // values and links to pages
  uint16_t root;           // offset of the root's block
  uint16_t reserved16;
  uint32_t gap_begin;  // free room behind the nodes, for more of them; from the header's end to the heap's
  uint32_t gap_end;
};
static_assert(sizeof(PageHeader) == 64);
inline constexpr uint32_t kHeaderBytes = sizeof(PageHeader);
inline constexpr uint32_t kPageMagic = 0x31504146;  // "FAP1": the kind of page and the version of its format

// The largest label, value and unshared end of a new key in one page.
constexpr uint32_t label_bytes_max(uint32_t page_bytes) {
  return page_bytes / 8 < 255 ? page_bytes / 8 : 255;
}
constexpr uint32_t value_bytes_max(uint32_t page_bytes) {
  // The header takes a quarter of the smallest pages.
  return page_bytes < 512 ? page_bytes / 8 : page_bytes / 4;
}
constexpr uint32_t tail_bytes_max(uint32_t page_bytes) { return (page_bytes - kHeaderBytes) / 6; }

enum class BlockKind : uint8_t {
  none = 0,
  leaf = 1,
  link = 2,
  node4 = 3,
  node16 = 4,
  node48 = 5,
  node256 = 6,
  range = 7,
  partition_link = 8,  // reserved: the subtree belongs to another partition
};

constexpr bool is_node(BlockKind kind) { return kind >= BlockKind::node4 && kind <= BlockKind::range; }

// The high half of a leaf's first byte.
inline constexpr uint8_t kValueSpilled = 1;  // the value is a reference to the place of the real one
inline constexpr uint8_t kValueFlagsMask = 0x0f;

inline constexpr uint32_t kLeafFixed = 4;
inline constexpr uint32_t kLinkFixed = 12;
inline constexpr uint32_t kLinkBound = 2;
inline constexpr uint32_t kLinkFlags = 3;
inline constexpr uint32_t kLinkWord = 4;
inline constexpr uint32_t kNodeCount = 2;
inline constexpr uint32_t kNodeValue = 4;
inline constexpr uint32_t kNodeArrays = 6;

inline uint16_t load16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
inline uint32_t load32(const std::byte* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
inline uint64_t load64(const std::byte* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
inline uint8_t load8(const std::byte* at) { return static_cast<uint8_t>(*at); }
inline void store8(std::byte* at, uint32_t value) { *at = static_cast<std::byte>(value); }
inline void store16(std::byte* at, uint32_t value) {
  const auto narrow = static_cast<uint16_t>(value);
  std::memcpy(at, &narrow, sizeof(narrow));
}
inline void store64(std::byte* at, uint64_t value) { std::memcpy(at, &value, sizeof(value)); }

// A child found in a node: the byte that selects it, and the position of its offset in the node's block
// (slot). slot 0: none.
struct ChildSlot {
  uint16_t byte = 0;
  uint16_t slot = 0;
};

}  // namespace fb::art
