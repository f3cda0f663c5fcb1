// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fb {

// Bytes of an object's key.
inline constexpr size_t kObjectKeySizeMax = 1024;

// A key is 1 to 1024 bytes of UTF-8 without NUL, as S3 has it. One rule for all: the front end refuses such
// requests, the namespace such changes, and fsck names such keys as faults, because no request that was
// parsed correctly can have made them. (The front end may refuse more.)
enum class KeyFault : uint8_t { none, empty, too_long, nul, not_utf8 };
KeyFault fault_of_key(std::string_view key);
// "it holds a NUL byte": as the end of a sentence about the key.
std::string_view to_string(KeyFault fault);

}  // namespace fb
