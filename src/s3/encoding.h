// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/hex.h"

// Hexadecimal, base64 and comparison in constant time. Nothing here allocates unless it returns a
// std::string.

namespace fb::s3 {

using Bytes = std::span<const uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

using fb::hex_encode;
std::string hex_encode(Bytes bytes);
// Both letter cases; false unless `text` is exactly 2 * out.size() hex digits.
bool hex_decode(std::string_view text, std::span<uint8_t> out);
bool is_lower_hex(std::string_view text);

constexpr size_t base64_length(size_t byte_count) { return (byte_count + 2) / 3 * 4; }
// Padded, standard alphabet; writes base64_length(bytes.size()) characters at `out` and returns the end.
char* base64_encode(Bytes bytes, char* out);
std::string base64_encode(Bytes bytes);
// Strict: padded, no white space, unused bits zero. The decoded size, or nothing where the text is malformed
// or does not fit `out`.
std::optional<size_t> base64_decode(std::string_view text, std::span<uint8_t> out);
std::optional<std::string> base64_decode(std::string_view text);

// Takes the same time wherever the first difference stands. Unequal lengths are told apart at once.
bool constant_time_equal(std::string_view a, std::string_view b);
bool constant_time_equal(Bytes a, Bytes b);

}  // namespace fb::s3
