// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

// Searches over bytes of HTTP heads, 32 bytes at a time if the processor can.

namespace fb {

// NUL to 0x1f without the tab, and DEL: no line of a head may hold these.
constexpr bool http_is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

// Offset of the first control character (see above) at or behind `from`, or text.size().
size_t find_control(std::string_view text, size_t from);

// True if every byte is a visible ASCII character other than '#': a request target may hold only these.
bool is_target_text(std::string_view text);

// True if every byte may stand in a host with its port.
bool is_host_text(std::string_view text);

// Letters, digits and !#$%&'*+-.^_`|~ : methods and field names.
bool http_is_token_char(char c);
bool http_is_token(std::string_view text);

}  // namespace fb
