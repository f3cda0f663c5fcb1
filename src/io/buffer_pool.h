// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "io/buffer.h"
#include "io/task.h"
#include "io/timer_queue.h"

namespace fb {

class Env;

// The use of memory decides how much of a pool it may take, and who goes first if memory is short:
// docs/admission.md.
enum class BufferUse : uint8_t {
  own,       // for the service to go on: pages, commits
  request,   // pieces of up to kRequestPieceBytes: small answers, and small bodies that have arrived
  incoming,  // pieces of that size, for bodies that have not arrived
  body,      // blocks of bodies that are received
  answer,    // blocks of content on their way to clients
  text,      // only counted: bodies of XML requests, which lie in the heap
  copy,      // only counted: the other uses' memory that a copy within the store may take
};
inline constexpr size_t kBufferUseCount = 7;
inline constexpr size_t kRequestPieceBytes = 64 * kKiB;
// Reserved for one copy, which holds up to two blocks while it waits for a third.
inline constexpr size_t kCopyReservedBytes = 4 * kMiB;

// Buffers of one core. The first `arena_bytes` come from one contiguous arena that an environment may
// register with the kernel (fixed buffers), the rest from the heap; at most `limit_bytes` are out at a time.
// If the limit is reached, or a use's share of it, allocate() waits in order of arrival (back-pressure) and
// try_allocate() answers an empty Buffer. A waiter for a use of less weight does not hold up the others. Heap
// buffers given back are kept for reuse up to kCachedHeapBytesMax, and freed when no buffer is out. A caller
// that holds one Buffer and needs another must use try_allocate() for it, or it could wait for itself. Memory
// of buffers that are not out is poisoned (base/poison.h).
//
// Two uses are only counted: reserve_within() gives a part of their share, and the pool hands out no memory
// for it. Their callers wait and are refused, and a shortage of them is known, as for the others.
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
  // Empty after `wait`, and at once if kWaitersMax wait for this use already: the caller may hold other
  // buffers.
  Task<Buffer> allocate_within(size_t size_bytes, BufferUse use, Duration wait);
  // A part of the share of a use that is only counted; given back by RAII.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), bytes_(other.bytes_), use_(other.use_) {}
    Reservation& operator=(Reservation&& other) noexcept {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      bytes_ = other.bytes_;
      use_ = other.use_;
      return *this;
    }
    ~Reservation() { reset(); }
    void reset();
    explicit operator bool() const { return pool_ != nullptr; }

   private:
    friend class BufferPool;
    Reservation(BufferPool& pool, size_t bytes, BufferUse use) : pool_(&pool), bytes_(bytes), use_(use) {}
    BufferPool* pool_ = nullptr;
    size_t bytes_ = 0;
    BufferUse use_ = BufferUse::text;
  };
  // Empty after `wait`, and at once if kWaitersMax wait already or the share is smaller than `bytes`.
  Task<Reservation> reserve_within(size_t bytes, BufferUse use, Duration wait);
  // Like try_allocate(), but never from the heap: empty if no piece of the arena is large enough.
  Buffer try_allocate_in_arena(size_t size_bytes);
  // The free bytes among the arena's bytes [offset, offset + length), both multiples of kBufferSizeMin; only
  // free pieces that begin there count.
  size_t arena_free_bytes(size_t offset, size_t length) const;

  // Called when somebody begins to wait. `owner` tells one listener from another; one at a time.
  void listen_for_shortage(const void* owner, std::function<void()> on_shortage);
  void stop_listening(const void* owner);

  size_t used_bytes() const { return used_bytes_; }
  size_t used_bytes(BufferUse use) const { return used_by_[index(use)]; }
  // Less than half is used, so that slow clients may take their time and fast ones whole blocks.
  bool calm() const { return used_bytes_ < options_.limit_bytes / 2; }
  bool calm(BufferUse use) const { return calm() && used_by_[index(use)] < share_[index(use)] / 2; }
  size_t share_bytes(BufferUse use) const { return share_[index(use)]; }
  size_t waiting() const { return waiting_; }
  bool waits(BufferUse use) const { return queues_[index(use)].first != nullptr; }
  // The bytes asked for by all who have waited for this use for `longer_than` or longer.
  size_t waiting_bytes(BufferUse use, Duration longer_than) const;
  // Whether giving back memory of use `held` helps the waiters for `wanted`: the uses are the same, or the
  // waiters lack room in the pool and not in their share.
  bool helps(BufferUse held, BufferUse wanted) const;
  uint64_t waits() const { return waits_; }      // allocations that had to wait
  uint64_t refused() const { return refused_; }  // waits in vain
  size_t limit_bytes() const { return options_.limit_bytes; }
  std::span<std::byte> arena() const { return {arena_, options_.arena_bytes}; }

 private:
  friend class Buffer;
  static constexpr size_t kClassCount = 10;   // 4 KiB << 9 == 2 MiB
  static constexpr size_t kWaitersMax = 256;  // per use
  // The timer ends a wait that has a bound.
  struct Waiter : Timer {
    Waiter(BufferPool& pool_in, size_t bytes_in, BufferUse use_in)
        : Timer(&BufferPool::give_up), pool(pool_in), bytes(bytes_in), use(use_in) {}
    BufferPool& pool;
    std::coroutine_handle<> handle;
    size_t bytes;
    BufferUse use;
    Instant since;
    Buffer granted;
    Reservation reserved;  // for a use that is only counted
    Waiter* previous = nullptr;
    Waiter* next = nullptr;
  };
  struct WaitQueue {
    Waiter* first = nullptr;
    Waiter* last = nullptr;
    size_t size = 0;
  };
  struct WaitForTurn;

  static size_t class_of(size_t size_bytes);
  static size_t class_bytes(size_t size_class) { return kBufferSizeMin << size_class; }
  static constexpr size_t index(BufferUse use) { return static_cast<size_t>(use); }
  static void give_up(Timer& timer);
  static constexpr bool is_counted_only(BufferUse use) { return use >= BufferUse::text; }
  void set_shares();
  bool fits(size_t bytes, BufferUse use) const;
  bool fits_share(size_t bytes, BufferUse use) const {
    return used_by_[index(use)] + bytes <= share_[index(use)];
  }
  // Whether a waiter is in line before a new arrival of this use.
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
  std::array<size_t, kBufferUseCount> fill_{};   // how far each use may fill the pool
  std::array<size_t, kBufferUseCount> share_{};  // the share of each use
  std::array<size_t, kBufferUseCount> used_by_{};
  std::array<WaitQueue, kBufferUseCount> queues_{};
  size_t waiting_ = 0;
  uint64_t waits_ = 0;
  uint64_t refused_ = 0;
  const void* listener_ = nullptr;
  std::function<void()> on_shortage_;
};

}  // namespace fb
