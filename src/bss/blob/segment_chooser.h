// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"
#include "bss/blob/zeroer.h"

namespace fb::bss {

// Chooses the segment that a batch goes to. Puts, erases and moves leave different numbers of free segments
// to one another, so that what frees space never lacks it. Shard owns it; its core only; nothing here
// suspends.
class SegmentChooser {
 public:
  SegmentChooser(const ShardContext& context, ShardSignals& signals, SegmentTable& table, SpaceState& space,
                 const Zeroer& zeroer)
      : context_(context), signals_(signals), table_(table), space_(space), zeroer_(zeroer) {}

  // The segment that takes a batch which begins with this operation; null if the batch must wait for one. An
  // operation other than a put goes anywhere rather than wait.
  Segment* segment_for(const WriteOp& op);
  // Whether the operation could go out at once.
  bool has_place(const WriteOp& op) const;
  // Before puts are refused they take what is left of the segment of moves, if this one fits.
  bool give_moves_segment_to(const WriteOp& put);

 private:
  static size_t segments_to_leave(const WriteOp& op);
  static Stream stream_of(const WriteOp& op) { return op.move ? Stream::moves : Stream::puts; }
  uint64_t end_with(const Segment& segment, const WriteOp& op) const {
    return segment.end + descriptor_bytes_for(1) + op.stored();
  }
  bool fits(const Segment* segment, const WriteOp& op) const {
    return segment != nullptr && end_with(*segment, op) <= context_.segment_bytes();
  }
  Segment* other_active(const WriteOp& op) const;

  const ShardContext& context_;
  ShardSignals& signals_;
  SegmentTable& table_;
  SpaceState& space_;
  const Zeroer& zeroer_;
};

}  // namespace fb::bss
