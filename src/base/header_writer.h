// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace fb {

// Collects response header fields as they will stand on the wire. Its memory is reused from request to
// request, so a steady state allocates nothing. Control characters in values (CR and LF above all) become
// spaces: no header splitting.
class HeaderWriter {
 public:
  void clear() { text_.clear(); }
  void add(std::string_view name, std::string_view value) {
    text_.append(name).append(": ");
    const size_t start = text_.size();
    text_.append(value);
    bool control = false;
    for (const char c : value) control |= is_control(c);
    if (control) std::replace_if(text_.begin() + static_cast<ptrdiff_t>(start), text_.end(), is_control, ' ');
    text_.append("\r\n");
  }
  void add(std::string_view name, uint64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    text_.append(name).append(": ").append(digits, end).append("\r\n");
  }
  // Lines "Name: value\r\n" that are known to be well formed.
  void add_lines(std::string_view lines) { text_.append(lines); }
  std::string_view text() const { return text_; }

 private:
  static bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

  std::string text_;
};

}  // namespace fb
