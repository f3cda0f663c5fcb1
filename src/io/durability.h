// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace fb {

// When a write counts as being on stable media. `plp` is for drives with power-loss protection that write 4
// KiB as a whole, below a file system that overwrites in place: what such a drive has answered, it keeps. The
// file system keeps nothing of the kind for its own: where a block lies, how long a file is, what a folder
// holds is flushed in both modes.
enum class Durability : uint8_t { strict, plp };

constexpr std::string_view to_string(Durability durability) {
  return durability == Durability::plp ? "plp" : "strict";
}

}  // namespace fb
