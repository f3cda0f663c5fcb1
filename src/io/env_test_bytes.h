// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

// Contents for the tests of Env.

namespace fb {

inline std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }
inline std::span<const std::byte> view_of(const std::string& text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

inline std::string pattern(size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (size_t index = 0; index < size; ++index)
    text[index] = static_cast<char>((index * 131 + index / 251 + seed) % 253);
  return text;
}

}  // namespace fb
