// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "io/buffer.h"
#include "io/task.h"
#include "io/timer_queue.h"

namespace fb {

class Env;

// What memory is for decides how much of a pool it may take, and who goes first where it is short:
// docs/admission.md.
enum class BufferUse : uint8_t {
  own,      // what the service needs to go on: pages, commits
  request,  // pieces of up to kRequestPieceBytes, records of TLS
  body,     // blocks of bodies that are received
  answer,   // blocks of content on their way to clients
};
inline constexpr size_t kBufferUseCount = 4;
inline constexpr size_t kRequestPieceBytes = 64 * kKiB;

// Buffers of one core. The first `arena_bytes` come from one contiguous arena that an environment may
// register with the kernel (fixed buffers), the rest from the heap; at most `limit_bytes` are out at a time.
// Where the limit is reached, or a use's share of it, allocate() waits in order of arrival (back-pressure)
// and try_allocate() answers an empty Buffer; who waits for a use of less weight does not hold up the others.
// Heap buffers given back are kept for reuse up to kCachedHeapBytesMax, and freed when no buffer is out. A
// caller that holds one Buffer and needs another must use try_allocate() for it, or it could wait for itself.
// Memory of buffers that are not out is poisoned (base/poison.h).
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
  Buffer try_allocate(size_t size_bytes, BufferUse use = BufferUse::own);
  Task<Buffer> allocate(size_t size_bytes, BufferUse use = BufferUse::own);
  // Empty after `wait`, and at once where kWaitersMax wait already: the caller may hold other buffers.
  Task<Buffer> allocate_within(size_t size_bytes, BufferUse use, Duration wait);
  // As try_allocate(), but for the heap: empty where no piece of the arena is large enough.
  Buffer try_allocate_in_arena(size_t size_bytes);
  // Of the arena's bytes [offset, offset + length), both multiples of kBufferSizeMin, those in free pieces
  // that begin there.
  size_t arena_free_bytes(size_t offset, size_t length) const;

  // Called when somebody begins to wait. `owner` tells one listener from another; one at a time.
  void listen_for_shortage(const void* owner, std::function<void()> on_shortage);
  void stop_listening(const void* owner);

  size_t used_bytes() const { return used_bytes_; }
  size_t used_bytes(BufferUse use) const { return used_by_[index(use)]; }
  // Less than half is used, so that slow clients may take their time and fast ones whole blocks.
  bool calm() const { return used_bytes_ < options_.limit_bytes / 2; }
  bool calm(BufferUse use) const { return calm() && used_by_[index(use)] < share_[index(use)] / 2; }
  size_t waiting_bytes() const { return waiting_bytes_; }
  size_t waiting() const { return waiting_; }
  uint64_t waits() const { return waits_; }      // allocations that had to
  uint64_t refused() const { return refused_; }  // and those in vain
  size_t limit_bytes() const { return options_.limit_bytes; }
  std::span<std::byte> arena() const { return {arena_, options_.arena_bytes}; }

 private:
  friend class Buffer;
  static constexpr size_t kClassCount = 10;  // 4 KiB << 9 == 2 MiB
  static constexpr size_t kWaitersMax = 256;
  // The timer ends a wait that has a bound.
  struct Waiter : Timer {
    Waiter(BufferPool& pool_in, size_t size_class_in, BufferUse use_in)
        : Timer(&BufferPool::give_up), pool(pool_in), size_class(size_class_in), use(use_in) {}
    BufferPool& pool;
    std::coroutine_handle<> handle;
    size_t size_class;
    BufferUse use;
    Buffer granted;
    Waiter* previous = nullptr;
    Waiter* next = nullptr;
  };
  struct WaitQueue {
    Waiter* first = nullptr;
    Waiter* last = nullptr;
  };
  struct WaitForTurn;

  static size_t class_of(size_t size_bytes);
  static size_t class_bytes(size_t size_class) { return kBufferSizeMin << size_class; }
  static constexpr size_t index(BufferUse use) { return static_cast<size_t>(use); }
  static void give_up(Timer& timer);
  void set_shares();
  bool fits(size_t size_class, BufferUse use) const;
  // Whether somebody waits who goes before a new arrival of this use.
  bool must_queue(BufferUse use) const;
  void leave_queue(Waiter& waiter);
  bool grant(BufferUse use);
  enum class From : uint8_t { arena, arena_or_heap };
  Buffer::Block* take(size_t size_class, BufferUse use, From from = From::arena_or_heap);
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
  std::array<size_t, kBufferUseCount> fill_{};   // to which the pool may be filled, by use
  std::array<size_t, kBufferUseCount> share_{};  // of the use itself
  std::array<size_t, kBufferUseCount> used_by_{};
  std::array<WaitQueue, kBufferUseCount> queues_{};
  size_t waiting_ = 0;
  size_t waiting_bytes_ = 0;
  uint64_t waits_ = 0;
  uint64_t refused_ = 0;
  const void* listener_ = nullptr;
  std::function<void()> on_shortage_;
};

}  // namespace fb
