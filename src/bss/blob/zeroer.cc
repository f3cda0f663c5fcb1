// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/zeroer.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr uint64_t kZeroChunkBytes = kMiB;
constexpr uint64_t kZeroAheadBytesMin = 4 * kMiB;
constexpr uint64_t kZeroAheadBytesMax = 32 * kMiB;
constexpr uint64_t kSettleBytes = 8 * kMiB;  // zeros between two syncs, if batches are far behind

}  // namespace

void Zeroer::note_batch(uint64_t bytes, uint64_t large_bytes) {
  FB_ASSERT(large_bytes <= bytes, large_bytes, bytes);
  const auto decayed = [](uint64_t lately) { return lately - lately / 8; };
  large_bytes_lately_ = decayed(large_bytes_lately_) + large_bytes;
  small_bytes_lately_ = decayed(small_bytes_lately_) + bytes - large_bytes;
}

// Ahead of the active segment's end, in long runs, because a durable write into a file whose extents have
// just changed waits for the file system's journal; or the next segment, as far as the active one's use calls
// for it. Large payloads cover what they need at once: zeros would only be written beside them.
Segment* Zeroer::segment_to_zero() {
  Segment* current = table_.active(Stream::puts);
  if (current == nullptr || large_bytes_lately_ > small_bytes_lately_) return nullptr;
  const uint64_t zeroed_to = current->zeros.zeroed_to;
  const uint64_t ahead = zeroed_to - std::min(zeroed_to, current->end);
  if (current->zeros.fresh && zeroed_to < context_.segment_bytes()) {
    long_run_ = ahead < kZeroAheadBytesMin || (long_run_ && ahead < kZeroAheadBytesMax);
    if (long_run_) return current;
  }
  if (table_.free_count() == 0) return nullptr;
  Segment* next = table_.next_free(Stream::puts);
  const uint64_t wanted = std::min(current->end + current->end / 2, context_.segment_bytes());
  return next->zeros.fresh && next->zeros.zeroed_to < wanted ? next : nullptr;
}

// Whether the zeros written so far are to be synced, for batches to need no flush there (Durability::plp).
bool Zeroer::wants_settling(const Segment& segment) const {
  const SegmentZeros& zeros = segment.zeros;
  const bool takes_puts = &segment == table_.active(Stream::puts);
  const bool last = zeros.zeroed_to == context_.segment_bytes();
  if (last && !takes_puts) return true;  // in either mode: then no batch waits for it
  if (!segment.file.keeps_overwrites()) return false;
  const uint64_t settled = zeros.settled_to - std::min(zeros.settled_to, segment.end);
  return last || (takes_puts && settled < kZeroAheadBytesMin) ||
         zeros.zeroed_to - zeros.settled_to >= kSettleBytes;
}

// How much is to be zeroed in one step. If writes have overtaken the zeros, they get a little room to go on
// meanwhile.
uint64_t Zeroer::make_way(Segment& segment, uint64_t chunk) const {
  SegmentZeros& zeros = segment.zeros;
  const bool overtaken = &segment == table_.active(Stream::puts) && zeros.zeroed_to <= segment.end;
  if (overtaken) {
    zeros.zeroed_to = std::min(segment.end + chunk, context_.segment_bytes());
    zeros.settled_from = zeros.settled_to = zeros.zeroed_to;
    zeros.has_gaps = true;
  }
  return std::min(chunk, context_.segment_bytes() - zeros.zeroed_to);
}

Task<void> Zeroer::zero(Segment& segment, const Buffer& zeros, uint64_t length) {
  FB_ASSERT(zeroing_ == nullptr);
  zeroing_ = &segment;
  zeroing_from_ = segment.zeros.zeroed_to;
  FB_ASSERT(zeroing_from_ >= segment.end, zeroing_from_, segment.end);
  ++segment.writers;
  Result<void> written = co_await segment.file.write_all(zeros.span(0, length), zeroing_from_);
  zeroing_ = nullptr;
  segment.zeros.zeroed_to = zeroing_from_ + length;
  signals_.work.notify_all();
  if (written && wants_settling(segment)) {
    written = co_await segment.file.sync();
    if (written) segment.zeros.settled_to = segment.zeros.zeroed_to;
  }
  --segment.writers;
  if (!written) segment.zeros.fresh = false;
  const bool to_the_end = segment.zeros.settled_to == context_.segment_bytes();
  segment.zeros.wholly_settled = written && to_the_end && !segment.zeros.has_gaps;
  signals_.work.notify_all();
}

Task<void> Zeroer::run(Zeroer& self) {
  const uint64_t chunk = std::clamp(align_down(self.context_.segment_bytes() / 8, kBlockBytes),
                                    uint64_t{kBlockBytes}, kZeroChunkBytes);
  while (!self.context_.stopping()) {
    Segment* segment = self.segment_to_zero();
    if (segment == nullptr) {
      co_await self.signals_.zero.wait();
      continue;
    }
    const Buffer zeros = co_await self.context_.pool().allocate(chunk);
    std::memset(zeros.data(), 0, chunk);
    if (segment != self.segment_to_zero() || self.context_.stopping()) continue;
    const uint64_t length = self.make_way(*segment, chunk);
    if (length != 0) co_await self.zero(*segment, zeros, length);
  }
}

}  // namespace fb::bss
