// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_scan.h"

#include <algorithm>
#include <span>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr uint64_t kScanWindowBytes = kAheadBytesMax;
constexpr size_t kScanReadBytes = kMiB;
// After a batch larger than this the descriptor of its successor is read alone, not with what follows it.
constexpr uint64_t kScanSparseBytes = 32 * kKiB;

// A piece of a segment in memory, which moves along while descriptors are looked for; it goes past bytes that
// cannot be read.
class SegmentWindow {
 public:
  SegmentWindow(BufferPool& pool, Segment& segment, uint64_t end)
      : pool_(pool), segment_(segment), end_(end) {}

  // The bytes at `at`, as many as a descriptor may have or `reads`, if that is less and the segment has them;
  // empty if they are unreadable. Bytes that are not in memory yet are read, `reads` of them.
  Task<std::span<const std::byte>> at(uint64_t at, uint64_t reads) {
    const uint64_t wanted = std::min<uint64_t>({kDescriptorBytesMax, reads, end_ - at});
    if (at >= begin_ && at + wanted <= begin_ + length_) co_return window(at);
    if (!buffer_) buffer_ = co_await pool_.allocate(kScanReadBytes);
    begin_ = at;
    length_ = 0;
    const uint64_t size = std::min(reads, end_ - at);
    if (co_await segment_.file.read_exactly(buffer_.span(0, size), at)) {
      length_ = size;
    } else if (co_await segment_.file.read_exactly(buffer_.span(0, kBlockBytes), at)) {
      length_ = kBlockBytes;
    }
    co_return window(at);
  }

 private:
  std::span<const std::byte> window(uint64_t at) const {
    return buffer_.span(at - begin_, std::min<uint64_t>(kDescriptorBytesMax, begin_ + length_ - at));
  }
  BufferPool& pool_;
  Segment& segment_;
  uint64_t end_;
  Buffer buffer_;
  uint64_t begin_ = 0;
  uint64_t length_ = 0;
};

}  // namespace

Task<Result<void>> scan_batches(const ShardContext& context, Segment& segment, ScanRange range,
                                std::vector<ScannedBatch>& out) {
  FB_ASSERT(range.end <= context.segment_bytes(), range.end);
  SegmentWindow window(context.pool(), segment, range.end);
  uint64_t found_to = range.from;
  uint64_t at = range.from;
  uint64_t reads = kScanReadBytes;
  while (at + kBlockBytes <= range.end) {
    if (!range.whole && at - found_to > kScanWindowBytes) break;
    const auto bytes = co_await window.at(at, reads);
    const auto view = parse_descriptor(bytes, context.place_of(segment, at));
    if (!view && reads < kScanReadBytes) {  // a longer one, or none
      reads = reads < kDescriptorBytesMax ? kDescriptorBytesMax : kScanReadBytes;
      continue;
    }
    if (!view) {
      at += kBlockBytes;
      continue;
    }
    out.push_back({.segment = &segment,
                   .sequence = view->header.sequence,
                   .durable_sequence = view->header.durable_sequence,
                   .offset = at,
                   .bytes = view->header.batch_bytes,
                   .entries = {view->entries.begin(), view->entries.end()}});
    at += view->header.batch_bytes;
    found_to = at;
    reads = view->header.batch_bytes > kScanSparseBytes ? kBlockBytes : kScanReadBytes;
  }
  co_return Result<void>();
}

}  // namespace fb::bss
