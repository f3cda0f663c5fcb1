// SPDX-License-Identifier: Apache-2.0
#include "io/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/poison.h"
#include "io/env.h"

namespace fb {
namespace {

// Heap memory kept for reuse by one pool.
constexpr size_t kCachedHeapBytesMax = 16 * kMiB;
// For the texts of XML bodies; the largest one has 8 MiB.
constexpr size_t kTextBytesMin = 16 * kMiB;
// Copies at a time at most, so that the pool keeps room for everyone else; fewer if the pool is small.
constexpr size_t kCopiesMax = 8;
// A smaller pool is not divided among uses.
constexpr size_t kSharedPoolBytesMin = 8 * kMiB;

std::byte* map_arena(size_t bytes) {
  if (bytes == 0) return nullptr;
  FB_ASSERT(is_aligned(bytes, kBufferSizeMax), bytes);
  // Twice the alignment is mapped and the rest unmapped, so that whole huge pages can back it.
  const size_t mapped_bytes = bytes + kBufferSizeMax;
  void* mapped = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FB_ASSERT(mapped != MAP_FAILED, mapped_bytes);
  auto* start = static_cast<std::byte*>(mapped);
  auto* arena = reinterpret_cast<std::byte*>(align_up(reinterpret_cast<uintptr_t>(start), kBufferSizeMax));
  const auto before = static_cast<size_t>(arena - start);
  if (before != 0) munmap(start, before);
  munmap(arena + bytes, kBufferSizeMax - before);
  return arena;
}

std::byte* allocate_heap(size_t bytes) {
  void* memory = std::aligned_alloc(kDirectIoAlignment, bytes);
  FB_ASSERT(memory != nullptr, bytes);
  return static_cast<std::byte*>(memory);
}

}  // namespace

struct Buffer::Block {
  BufferPool* pool;
  std::byte* memory;
  uint32_t references;
  uint8_t size_class;
  bool in_arena;
  BufferUse use;
};

Buffer::Buffer(const Buffer& other) noexcept : block_(other.block_) {
  if (block_ != nullptr) ++block_->references;
}

std::byte* Buffer::data() const {
  FB_ASSERT(block_ != nullptr);
  return block_->memory;
}

size_t Buffer::capacity() const { return block_ == nullptr ? 0 : kBufferSizeMin << block_->size_class; }

bool Buffer::shared() const { return block_ != nullptr && block_->references > 1; }

void Buffer::reset() noexcept {
  if (block_ == nullptr) return;
  Block* block = std::exchange(block_, nullptr);
  FB_ASSERT(block->references > 0);
  if (--block->references == 0) block->pool->release(block);
}

struct BufferPool::WaitForTurn {
  Waiter& waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter.handle = handle;
    WaitQueue& queue = waiter.pool.queues_[index(waiter.use)];
    waiter.previous = queue.last;
    (queue.last == nullptr ? queue.first : queue.last->next) = &waiter;
    queue.last = &waiter;
    ++queue.size;
    ++waiter.pool.waiting_;
    ++waiter.pool.waits_;
    waiter.since = waiter.pool.env_.now();
    if (waiter.pool.on_shortage_) waiter.pool.on_shortage_();
  }
  void await_resume() const noexcept {}
};

BufferPool::BufferPool(Env& env, Options options) : env_(env), options_(options) {
  static_assert(kBufferSizeMin << (kClassCount - 1) == kBufferSizeMax);
  arena_ = map_arena(options_.arena_bytes);
  poison_memory(arena_, options_.arena_bytes);
  const size_t units = options_.arena_bytes / kBufferSizeMin;
  const size_t units_max = kBufferSizeMax / kBufferSizeMin;
  arena_free_class_.assign(units, 0);
  for (size_t unit = 0; unit < units; unit += units_max) {
    arena_free_[kClassCount - 1].push_back(static_cast<uint32_t>(unit));
    arena_free_class_[unit] = kClassCount;
  }
  std::ranges::reverse(arena_free_[kClassCount - 1]);  // the lowest addresses first
  set_shares();
}

void BufferPool::set_shares() {
  const size_t limit = options_.limit_bytes;
  fill_.fill(limit);
  share_.fill(limit);
  share_[index(BufferUse::text)] = std::max(kTextBytesMin, limit / 4);
  share_[index(BufferUse::copy)] = std::clamp(limit, kCopyReservedBytes, kCopiesMax * kCopyReservedBytes);
  if (limit < kSharedPoolBytesMin) return;
  fill_[index(BufferUse::request)] = share_[index(BufferUse::request)] = limit - limit / 16;
  fill_[index(BufferUse::incoming)] = limit - limit / 32 * 3;
  share_[index(BufferUse::incoming)] = limit / 8 * 3;
  for (const BufferUse use : {BufferUse::body, BufferUse::answer}) {
    fill_[index(use)] = limit - limit / 8;
    share_[index(use)] = limit / 8 * 5;
  }
}

BufferPool::~BufferPool() {
  FB_ASSERT(buffers_out_ == 0 || env_.abandoned(), buffers_out_);
  free_cached_heap();
  if (arena_ == nullptr) return;
  unpoison_memory(arena_, options_.arena_bytes);
  munmap(arena_, options_.arena_bytes);
}

size_t BufferPool::class_of(size_t size_bytes) {
  FB_ASSERT(size_bytes > 0);
  FB_ASSERT(size_bytes <= kBufferSizeMax, size_bytes);
  return static_cast<size_t>(
      std::countr_zero(std::bit_ceil(std::max(size_bytes, kBufferSizeMin)) / kBufferSizeMin));
}

// Splits the smallest free piece that is large enough; null if there is none.
std::byte* BufferPool::find_in_arena(size_t size_class) {
  for (size_t from = size_class; from < kClassCount; ++from) {
    std::vector<uint32_t>& free = arena_free_[from];
    while (!free.empty()) {
      const uint32_t unit = free.back();
      free.pop_back();
      if (arena_free_class_[unit] != from + 1) continue;  // stale: merged or taken since
      arena_free_class_[unit] = 0;
      for (size_t half = from; half > size_class; --half) {
        const auto buddy = static_cast<uint32_t>(unit + (size_t{1} << (half - 1)));
        arena_free_class_[buddy] = static_cast<uint8_t>(half);
        arena_free_[half - 1].push_back(buddy);
      }
      return arena_ + unit * kBufferSizeMin;
    }
  }
  return nullptr;
}

void BufferPool::give_back_to_arena(std::byte* memory, size_t size_class) {
  auto unit = static_cast<size_t>(memory - arena_) / kBufferSizeMin;
  FB_ASSERT(unit < arena_free_class_.size() && arena_free_class_[unit] == 0, unit);
  while (size_class + 1 < kClassCount) {
    const size_t buddy = unit ^ (size_t{1} << size_class);
    if (arena_free_class_[buddy] != size_class + 1) break;
    arena_free_class_[buddy] = 0;  // its entry in the list goes stale
    unit = std::min(unit, buddy);
    ++size_class;
  }
  arena_free_class_[unit] = static_cast<uint8_t>(size_class + 1);
  arena_free_[size_class].push_back(static_cast<uint32_t>(unit));
}

Buffer::Block* BufferPool::take_from_arena(size_t size_class) {
  std::byte* memory = find_in_arena(size_class);
  if (memory == nullptr) return nullptr;
  if (spare_blocks_.empty()) {
    blocks_.push_back(std::make_unique<Buffer::Block>());
    spare_blocks_.push_back(blocks_.back().get());
  }
  Buffer::Block* block = spare_blocks_.back();
  spare_blocks_.pop_back();
  *block = {.pool = this,
            .memory = memory,
            .references = 1,
            .size_class = static_cast<uint8_t>(size_class),
            .in_arena = true,
            .use = BufferUse::own};
  return block;
}

Buffer::Block* BufferPool::take_from_heap(size_t size_class) {
  std::vector<Buffer::Block*>& cached = heap_free_[size_class];
  if (!cached.empty()) {
    Buffer::Block* block = cached.back();
    cached.pop_back();
    cached_heap_bytes_ -= class_bytes(size_class);
    block->references = 1;
    return block;
  }
  return new Buffer::Block{.pool = this,
                           .memory = allocate_heap(class_bytes(size_class)),
                           .references = 1,
                           .size_class = static_cast<uint8_t>(size_class),
                           .in_arena = false,
                           .use = BufferUse::own};
}

// Null only if `from` is From::arena and the arena has no piece that is large enough.
Buffer::Block* BufferPool::take(size_t size_class, BufferUse use, From from) {
  Buffer::Block* block = take_from_arena(size_class);
  if (block == nullptr) {
    if (from == From::arena) return nullptr;
    block = take_from_heap(size_class);
  }
  unpoison_memory(block->memory, class_bytes(size_class));
  block->use = use;
  used_bytes_ += class_bytes(size_class);
  used_by_[index(use)] += class_bytes(size_class);
  ++buffers_out_;
  return block;
}

void BufferPool::release(Buffer::Block* block) noexcept {
  const size_t bytes = class_bytes(block->size_class);
  size_t& used_by = used_by_[index(block->use)];
  FB_ASSERT(used_by >= bytes && buffers_out_ > 0, used_by, buffers_out_);
  used_bytes_ -= bytes;
  used_by -= bytes;
  --buffers_out_;
  poison_memory(block->memory, bytes);
  if (block->in_arena) {
    give_back_to_arena(block->memory, block->size_class);
    spare_blocks_.push_back(block);
  } else if (cached_heap_bytes_ + bytes <= kCachedHeapBytesMax) {
    heap_free_[block->size_class].push_back(block);
    cached_heap_bytes_ += bytes;
  } else {
    std::free(block->memory);
    delete block;
  }
  if (waiting_ != 0) wake_waiters();
  if (buffers_out_ == 0) free_cached_heap();
}

void BufferPool::free_cached_heap() {
  if (cached_heap_bytes_ == 0) return;
  for (std::vector<Buffer::Block*>& cached : heap_free_) {
    for (Buffer::Block* block : cached) {
      std::free(block->memory);
      delete block;
    }
    cached.clear();
  }
  cached_heap_bytes_ = 0;
}

bool BufferPool::fits(size_t bytes, BufferUse use) const {
  return fits_share(bytes, use) && (is_counted_only(use) || used_bytes_ + bytes <= fill_[index(use)]);
}

bool BufferPool::must_queue(BufferUse use) const {
  if (waiting_ == 0) [[likely]]
    return false;
  if (queues_[index(use)].first != nullptr) return true;
  if (is_counted_only(use)) return false;
  if (queues_[index(BufferUse::own)].first != nullptr) return true;
  return use != BufferUse::own && queues_[index(BufferUse::request)].first != nullptr;
}

void BufferPool::leave_queue(Waiter& waiter) {
  WaitQueue& queue = queues_[index(waiter.use)];
  (waiter.previous == nullptr ? queue.first : waiter.previous->next) = waiter.next;
  (waiter.next == nullptr ? queue.last : waiter.next->previous) = waiter.previous;
  --queue.size;
  --waiting_;
  if (waiter.armed()) env_.timers().stop(waiter);
}

// True if nobody waits for this use any more. The first in line keeps its place: a smaller request behind it
// does not pass.
bool BufferPool::grant(BufferUse use) {
  WaitQueue& queue = queues_[index(use)];
  while (queue.first != nullptr && fits(queue.first->bytes, use)) {
    Waiter& waiter = *queue.first;
    leave_queue(waiter);
    if (is_counted_only(use)) {
      used_by_[index(use)] += waiter.bytes;
      waiter.reserved = Reservation(*this, waiter.bytes, use);
    } else {
      waiter.granted = Buffer(take(class_of(waiter.bytes), use));
    }
    env_.schedule(waiter.handle);
  }
  return queue.first == nullptr;
}

void BufferPool::wake_waiters() {
  if (env_.abandoned()) return;
  grant(BufferUse::text);
  grant(BufferUse::copy);
  if (!grant(BufferUse::own) || !grant(BufferUse::request)) return;
  grant(BufferUse::incoming);
  grant(BufferUse::body);
  grant(BufferUse::answer);
}

size_t BufferPool::waiting_bytes(BufferUse use, Duration longer_than) const {
  size_t bytes = 0;
  for (const Waiter* waiter = queues_[index(use)].first; waiter != nullptr; waiter = waiter->next) {
    if (env_.now() - waiter->since < longer_than) break;  // the waiters behind it came later
    bytes += waiter->bytes;
  }
  return bytes;
}

bool BufferPool::helps(BufferUse held, BufferUse wanted) const {
  if (held == wanted) return true;
  if (is_counted_only(held) || is_counted_only(wanted)) return false;
  const Waiter* const first = queues_[index(wanted)].first;
  return first != nullptr && fits_share(first->bytes, wanted);
}

void BufferPool::give_up(Timer& timer) {
  auto& waiter = static_cast<Waiter&>(timer);
  waiter.pool.leave_queue(waiter);
  ++waiter.pool.refused_;
  waiter.pool.env_.schedule(waiter.handle);
  waiter.pool.wake_waiters();  // the waiters behind it may want less
}

void BufferPool::listen_for_shortage(const void* owner, std::function<void()> on_shortage) {
  listener_ = owner;
  on_shortage_ = std::move(on_shortage);
}

void BufferPool::stop_listening(const void* owner) {
  if (listener_ != owner) return;
  listener_ = nullptr;
  on_shortage_ = nullptr;
}

Buffer BufferPool::try_allocate(size_t size_bytes, BufferUse use) {
  const size_t size_class = class_of(size_bytes);
  if (must_queue(use) || !fits(class_bytes(size_class), use)) return {};
  return Buffer(take(size_class, use));
}

Buffer BufferPool::try_allocate_in_arena(size_t size_bytes) {
  const size_t size_class = class_of(size_bytes);
  if (must_queue(BufferUse::own) || !fits(class_bytes(size_class), BufferUse::own)) return {};
  return Buffer(take(size_class, BufferUse::own, From::arena));
}

size_t BufferPool::arena_free_bytes(size_t offset, size_t length) const {
  size_t free_bytes = 0;
  for (size_t unit = offset / kBufferSizeMin; unit < (offset + length) / kBufferSizeMin; ++unit) {
    if (const uint8_t one_more = arena_free_class_[unit]; one_more != 0)
      free_bytes += class_bytes(one_more - 1U);
  }
  return free_bytes;
}

Task<Buffer> BufferPool::allocate(size_t size_bytes, BufferUse use) {
  const size_t size_class = class_of(size_bytes);
  FB_ASSERT(class_bytes(size_class) <= share_[index(use)], size_bytes, share_[index(use)]);
  if (!must_queue(use) && fits(class_bytes(size_class), use)) co_return Buffer(take(size_class, use));
  Waiter waiter(*this, class_bytes(size_class), use);
  co_await WaitForTurn{waiter};
  co_return std::move(waiter.granted);
}

Task<Buffer> BufferPool::allocate_within(size_t size_bytes, BufferUse use, Duration wait) {
  const size_t size_class = class_of(size_bytes);
  FB_ASSERT(class_bytes(size_class) <= share_[index(use)], size_bytes, share_[index(use)]);
  if (!must_queue(use) && fits(class_bytes(size_class), use)) co_return Buffer(take(size_class, use));
  if (queues_[index(use)].size >= kWaitersMax) {
    ++refused_;
    co_return Buffer();
  }
  Waiter waiter(*this, class_bytes(size_class), use);
  env_.timers().arm(waiter, env_.now() + wait);
  co_await WaitForTurn{waiter};
  co_return std::move(waiter.granted);
}

Task<BufferPool::Reservation> BufferPool::reserve_within(size_t bytes, BufferUse use, Duration wait) {
  FB_ASSERT(is_counted_only(use));
  if (!must_queue(use) && fits(bytes, use)) {
    used_by_[index(use)] += bytes;
    co_return Reservation(*this, bytes, use);
  }
  if (bytes > share_[index(use)] || queues_[index(use)].size >= kWaitersMax) {
    ++refused_;
    co_return Reservation();
  }
  Waiter waiter(*this, bytes, use);
  env_.timers().arm(waiter, env_.now() + wait);
  co_await WaitForTurn{waiter};
  co_return std::move(waiter.reserved);
}

void BufferPool::Reservation::reset() {
  BufferPool* const pool = std::exchange(pool_, nullptr);
  if (pool == nullptr || pool->env_.abandoned()) return;
  size_t& used_by = pool->used_by_[index(use_)];
  FB_ASSERT(used_by >= bytes_, used_by, bytes_);
  used_by -= bytes_;
  if (pool->waiting_ != 0) pool->wake_waiters();
}

}  // namespace fb
