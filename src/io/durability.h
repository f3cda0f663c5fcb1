// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace fb {

// When a write counts as being on stable media. `plp` is for drives with power-loss protection that write 4
// KiB as a whole, below a file system that overwrites in place: such a drive keeps every write that it has
// answered. The file system promises no such thing for its own data: the places of blocks, the lengths of
// files and the contents of folders are flushed in both modes.
enum class Durability : uint8_t { strict, plp };

constexpr std::string_view to_string(Durability durability) {
  return durability == Durability::plp ? "plp" : "strict";
}

}  // namespace fb
