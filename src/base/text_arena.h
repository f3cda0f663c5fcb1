// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace fb {

// Many small texts without an allocation each. Views of them are valid as long as the arena lives, also when
// it is moved.
class TextArena {
 public:
  TextArena() = default;
  TextArena(TextArena&& other) noexcept { swap(other); }
  TextArena& operator=(TextArena&& other) noexcept {
    swap(other);
    return *this;
  }

  std::string_view add(std::string_view text) {
    if (text.size() > room_) grow(text.size());
    char* const at = next_;
    next_ = std::ranges::copy(text, at).out;
    room_ -= text.size();
    return {at, text.size()};
  }

 private:
  static constexpr size_t kPieceBytesFirst = 4 * kKiB;
  static constexpr size_t kPieceBytesMax = 64 * kKiB;

  void grow(size_t bytes) {
    const size_t doubled = std::min(kPieceBytesFirst << std::min<size_t>(pieces_.size(), 4), kPieceBytesMax);
    room_ = std::max(bytes, doubled);
    pieces_.push_back(std::make_unique_for_overwrite<char[]>(room_));
    next_ = pieces_.back().get();
  }
  void swap(TextArena& other) noexcept {
    std::swap(pieces_, other.pieces_);
    std::swap(next_, other.next_);
    std::swap(room_, other.room_);
  }

  std::vector<std::unique_ptr<char[]>> pieces_;
  char* next_ = nullptr;
  size_t room_ = 0;
};

}  // namespace fb
