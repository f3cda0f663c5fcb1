// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/buffer.h"
#include "io/task.h"

namespace fb {

class Env;

// Buffers of one core. The first `arena_bytes` come from one contiguous arena that an environment may
// register with the kernel (fixed buffers), the rest from the heap; at most `limit_bytes` are out at a time.
// Where the limit is reached, allocate() waits in order of arrival (back-pressure) and try_allocate() answers
// an empty Buffer. Heap buffers given back are kept for reuse up to kCachedHeapBytesMax, and freed when no
// buffer is out. A caller that holds one Buffer and needs another must use try_allocate() for it, or it could
// wait for itself. Memory of buffers that are not out is poisoned (base/poison.h).
class BufferPool {
 public:
  struct Options {
    size_t arena_bytes = 0;  // multiple of kBufferSizeMax
    size_t limit_bytes = 64 * kMiB;
  };
  BufferPool(Env& env, Options options);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // `size_bytes` from 1 to kBufferSizeMax, rounded up to a power of two. Contents are not cleared.
  Buffer try_allocate(size_t size_bytes);
  Task<Buffer> allocate(size_t size_bytes);
  // As try_allocate(), but for the heap: empty where no piece of the arena is large enough.
  Buffer try_allocate_in_arena(size_t size_bytes);
  // Of the arena's bytes [offset, offset + length), both multiples of kBufferSizeMin, those in free pieces
  // that begin there.
  size_t arena_free_bytes(size_t offset, size_t length) const;

  size_t used_bytes() const { return used_bytes_; }
  size_t limit_bytes() const { return options_.limit_bytes; }
  std::span<std::byte> arena() const { return {arena_, options_.arena_bytes}; }

 private:
  friend class Buffer;
  static constexpr size_t kClassCount = 10;  // 4 KiB << 9 == 2 MiB
  struct Waiter {
    std::coroutine_handle<> handle;
    size_t size_class;
    Buffer granted;
    Waiter* next = nullptr;
  };
  struct WaitForTurn;

  static size_t class_of(size_t size_bytes);
  static size_t class_bytes(size_t size_class) { return kBufferSizeMin << size_class; }
  bool fits(size_t size_class) const { return used_bytes_ + class_bytes(size_class) <= options_.limit_bytes; }
  enum class From : uint8_t { arena, arena_or_heap };
  Buffer::Block* take(size_t size_class, From from = From::arena_or_heap);
  Buffer::Block* take_from_heap(size_t size_class);
  std::byte* find_in_arena(size_t size_class);
  Buffer::Block* take_from_arena(size_t size_class);
  void give_back_to_arena(std::byte* memory, size_t size_class);
  void release(Buffer::Block* block) noexcept;
  void wake_waiters();
  void free_cached_heap();

  Env& env_;
  Options options_;
  std::byte* arena_ = nullptr;
  // Buddy allocator over the arena, in units of kBufferSizeMin: starts of free pieces by class, which may
  // hold stale entries, and for each unit one more than the class of the free piece that starts there, or 0.
  std::array<std::vector<uint32_t>, kClassCount> arena_free_;
  std::vector<uint8_t> arena_free_class_;
  std::array<std::vector<Buffer::Block*>, kClassCount> heap_free_;
  std::vector<std::unique_ptr<Buffer::Block>> blocks_;
  std::vector<Buffer::Block*> spare_blocks_;
  size_t used_bytes_ = 0;
  size_t cached_heap_bytes_ = 0;
  size_t buffers_out_ = 0;
  Waiter* first_waiter_ = nullptr;
  Waiter* last_waiter_ = nullptr;
};

}  // namespace fb
