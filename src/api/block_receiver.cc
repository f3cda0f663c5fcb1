// SPDX-License-Identifier: Apache-2.0
#include "api/block_receiver.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fb::api {
namespace {

// The beginning of a block that is larger than kRequestPieceBytes.
constexpr size_t kFirstPieceBytes = 16 * kKiB;
// A piece that took no longer came at once.
constexpr Duration kPromptMax = Duration::milliseconds(50);
// A block of a stream that came so quickly lets the next one be taken whole.
constexpr uint64_t kQuickBytesPerSecond = 1 * kMiB;

// The beginning of a block, if memory is short.
constexpr size_t kFirstPieceBytesShort = 4 * kKiB;
// A piece is so many times the one before it, if memory is short.
constexpr size_t kGrowth = 4;

}  // namespace

Task<S3Result<Block>> BlockReceiver::receive(size_t size) {
  const Instant began = env_.now();
  Block block;
  BufferPool& pool = env_.buffers();
  // If memory is short, none is taken for a client that has sent nothing.
  if (!pool.calm(BufferUse::incoming) && source_.at_hand() == 0) {
    source_.hold(0, BufferUse::incoming);
    FB_CO_CHECK(co_await source_.await_some());
  }
  size_t room = first_room(size);
  for (;;) {
    const BufferUse use = use_of(room, block.length);
    Buffer larger = pool.try_allocate(room, use);
    if (!larger) larger = co_await pool.allocate_within(room, use, kMemoryWaitMax);
    if (!larger) co_return s3::S3Error::SlowDown;
    move_to(std::move(larger), block);
    const Instant asked = env_.now();
    source_.hold(block.buffer.capacity(), use);
    FB_CO_TRY(const size_t filled,
              co_await source_.fill(block.buffer.span(block.length, room - block.length)));
    block.length += static_cast<uint32_t>(filled);
    if (block.length < room || room == size) break;
    room = next_room(room, size, env_.now() - asked <= kPromptMax);
  }
  const auto took_us = static_cast<uint64_t>((env_.now() - began).microseconds());
  quick_ = took_us * kQuickBytesPerSecond <= block.length * uint64_t{1'000'000};
  co_return block;
}

size_t BlockReceiver::first_room(size_t size) const {
  const size_t at_hand = source_.at_hand();
  if (at_hand >= size) return size;
  const BufferPool& pool = env_.buffers();
  if (pool.calm(BufferUse::incoming)) {
    const bool whole = size <= kRequestPieceBytes || (quick_ && pool.calm());
    return whole ? size : kFirstPieceBytes;
  }
  return std::min(size, std::clamp(std::bit_ceil(at_hand), kFirstPieceBytesShort, kFirstPieceBytes));
}

size_t BlockReceiver::next_room(size_t room, size_t size, bool prompt) const {
  if (room >= kRequestPieceBytes) return size;
  const BufferPool& pool = env_.buffers();
  if (prompt && pool.calm()) return size;
  return std::min(size, pool.calm(BufferUse::incoming) ? kRequestPieceBytes
                                                       : std::min(kGrowth * room, kRequestPieceBytes));
}

// Bytes that are here need no client: they have a larger share than those that are waited for.
BufferUse BlockReceiver::use_of(size_t room, size_t length) const {
  if (room > kRequestPieceBytes) return BufferUse::body;
  return source_.at_hand() >= room - length ? BufferUse::request : BufferUse::incoming;
}

void BlockReceiver::move_to(Buffer larger, Block& block) {
  if (block.length != 0) {
    std::memcpy(larger.data(), block.buffer.data(), block.length);
    env_.stats().bytes_copied += block.length;
  }
  block.buffer = std::move(larger);
}

}  // namespace fb::api
