// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"

namespace fb::bss {

// Writes zeros ahead of the end of the segment that takes puts, and into the next one: durable writes into
// merely allocated extents cost far more than over written ones. Only speed depends on it. Shard owns it; its
// core only. Batches are written meanwhile, and keep out of the blocks that zeros are being written to.
class Zeroer {
 public:
  Zeroer(ShardContext& context, ShardSignals& signals, SegmentTable& table)
      : context_(context), signals_(signals), table_(table) {}

  // The worker.
  static Task<void> run(Zeroer& self);
  bool busy() const { return zeroing_ != nullptr; }
  // Batches may go up to this offset of the segment now.
  uint64_t limit_of(const Segment& segment) const {
    return zeroing_ == &segment ? zeroing_from_ : context_.segment_bytes();
  }
  // A batch of puts, and how much of it is large payloads. They cover what they need at once.
  void note_batch(uint64_t bytes, uint64_t large_bytes);

 private:
  Segment* segment_to_zero();
  bool wants_settling(const Segment& segment) const;
  uint64_t make_way(Segment& segment, uint64_t chunk) const;
  Task<void> zero(Segment& segment, const Buffer& zeros, uint64_t length);

  ShardContext& context_;
  ShardSignals& signals_;
  SegmentTable& table_;
  Segment* zeroing_ = nullptr;  // zeros are being written there from zeroing_from_ on
  uint64_t zeroing_from_ = 0;
  bool long_run_ = false;
  // Bytes put of late, in payloads of either size. If the large ones prevail, zeros ahead of them cost more
  // than they give.
  uint64_t small_bytes_lately_ = 0;
  uint64_t large_bytes_lately_ = 0;
};

}  // namespace fb::bss
