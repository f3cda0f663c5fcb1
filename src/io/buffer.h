// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/units.h"

namespace fb {

class BufferPool;

inline constexpr size_t kBufferSizeMin = 4 * kKiB;
inline constexpr size_t kBufferSizeMax = 2 * kMiB;

// Memory for direct I/O: aligned to 4096 bytes, capacity a power of two from kBufferSizeMin to
// kBufferSizeMax. A reference-counted handle: copies share the bytes. Belongs to the core whose pool made it;
// the count is not atomic. The last handle gives the memory back to the pool and wakes the waiters for it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer& other) noexcept;
  Buffer(Buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Buffer() { reset(); }

  explicit operator bool() const { return block_ != nullptr; }
  std::byte* data() const;
  size_t capacity() const;
  std::span<std::byte> span() const { return {data(), capacity()}; }
  std::span<std::byte> span(size_t offset, size_t length) const {
    FB_ASSERT(offset + length <= capacity(), offset, length);
    return span().subspan(offset, length);
  }
  bool shared() const;
  void reset() noexcept;

  // The pool's bookkeeping for one piece of memory; opaque to users.
  struct Block;

 private:
  friend class BufferPool;
  explicit Buffer(Block* block) noexcept : block_(block) {}
  Block* block_ = nullptr;
};

}  // namespace fb
