// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace fb {

inline constexpr char kHexDigits[] = "0123456789abcdef";

// Lower-case digits; writes 2 * bytes.size() characters at `out` and returns the end.
char* hex_encode(std::span<const uint8_t> bytes, char* out);

}  // namespace fb
