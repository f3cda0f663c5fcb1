// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "base/assert.h"
#include "base/units.h"

namespace fb {

// A growing piece of memory that direct I/O can write from and read into. What lies past size() is undefined
// until pad() has zeroed it.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t capacity) { reserve(capacity); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::span<std::byte> span() { return {data_.get(), size_}; }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }
  void clear() { size_ = 0; }

  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    capacity = align_up(std::max(capacity, capacity_ * 2), kDirectIoAlignment);
    Memory larger(static_cast<std::byte*>(::operator new(capacity, std::align_val_t{kDirectIoAlignment})));
    if (size_ != 0) std::memcpy(larger.get(), data_.get(), size_);
    data_ = std::move(larger);
    capacity_ = capacity;
  }
  void resize(size_t size) {
    reserve(size);
    size_ = size;
  }
  void append(const void* bytes, size_t size) {
    if (size == 0) return;
    reserve(size_ + size);
    std::memcpy(data_.get() + size_, bytes, size);
    size_ += size;
  }
  // Zeroes up to a multiple of the alignment and gives the whole.
  std::span<const std::byte> pad() {
    const size_t padded = align_up(size_, kDirectIoAlignment);
    reserve(padded);
    std::memset(data_.get() + size_, 0, padded - size_);
    return {data_.get(), padded};
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete(memory, std::align_val_t{kDirectIoAlignment});
    }
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  Memory data_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace fb
