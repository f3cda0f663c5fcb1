// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "art/page_editor.h"
#include "base/assert.h"

// Shared by the two halves of PageEditor; for no other code.

namespace fb::art {

constexpr uint32_t capacity_of(BlockKind kind) {
  switch (kind) {
    case BlockKind::node4:
      return node4::kCapacity;
    case BlockKind::node16:
      return node16::kCapacity;
    case BlockKind::node48:
      return node48::kCapacity;
    default:
      return node256::kCapacity;
  }
}
constexpr BlockKind next_kind(BlockKind kind) {
  return static_cast<BlockKind>(static_cast<uint8_t>(kind) + 1);
}
constexpr BlockKind kind_for(uint32_t count) {
  if (count <= node4::kCapacity) return BlockKind::node4;
  if (count <= node16::kCapacity) return BlockKind::node16;
  return count <= node48::kCapacity ? BlockKind::node48 : BlockKind::node256;
}
// A node returns to a smaller kind only some children below the count at which it outgrew that kind.
constexpr BlockKind shrunk_kind(BlockKind kind, uint32_t count) {
  constexpr uint32_t kTo4 = 3;
  constexpr uint32_t kTo16 = 12;
  constexpr uint32_t kTo48 = 37;
  if (count <= kTo4) return BlockKind::node4;
  if (count <= kTo16 && kind > BlockKind::node16) return BlockKind::node16;
  return count <= kTo48 && kind > BlockKind::node48 ? BlockKind::node48 : kind;
}
constexpr uint32_t fixed_bytes_of(BlockKind kind) { return kFixedBytes[static_cast<uint8_t>(kind)]; }

// The slots of the blocks on a path, and the bytes that select them.
struct PageEditor::Trace {
  std::array<uint16_t, kKeyBytesMax + 2> slots;
  std::array<uint8_t, kKeyBytesMax + 2> bytes;
  uint32_t size = 0;

  void operator()(uint32_t slot, uint32_t byte) {
    slots[size] = static_cast<uint16_t>(slot);
    bytes[size] = static_cast<uint8_t>(byte);
    ++size;
  }
  uint32_t slot() const { return slots[size - 1]; }
  bool at_root() const { return size == 1; }
};

// The content to be put at the end of a path.
struct PageEditor::Payload {
  BlockKind kind = BlockKind::leaf;  // leaf, link, or none: an image
  uint8_t value_flags = 0;
  std::string_view value;
  Link link;
  const PageView* image = nullptr;
};

}  // namespace fb::art
