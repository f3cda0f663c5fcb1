// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_chooser.h"

#include "base/assert.h"

namespace fb::bss {

// Free segments that an operation must leave to those of more urgent kinds. The last one is compaction's:
// what it moves always has a place, and it gives a segment back.
size_t SegmentChooser::segments_to_leave(const WriteOp& op) {
  if (op.move) return 0;
  return op.kind == EntryKind::put ? kReservedSegments : 1;
}

Segment* SegmentChooser::other_active(const WriteOp& op) const {
  if (op.move) return table_.active(Stream::puts);
  // While it compacts, the room there is spoken for.
  return op.kind == EntryKind::put || space_.compacting() ? nullptr : table_.active(Stream::moves);
}

bool SegmentChooser::has_place(const WriteOp& op) const {
  if (fits(table_.active(stream_of(op)), op)) return op.kind != EntryKind::put || table_.puts_allowed();
  return table_.free_count() > segments_to_leave(op) || fits(other_active(op), op);
}

Segment* SegmentChooser::segment_for(const WriteOp& op) {
  const Stream stream = stream_of(op);
  Segment* segment = table_.active(stream);
  if (!has_place(op)) {
    space_.set_blocked();
    signals_.prepare.notify_all();
    return nullptr;
  }
  if (!fits(segment, op)) {
    if (table_.free_count() > segments_to_leave(op)) {
      if (segment != nullptr) table_.seal(stream);
      table_.activate(stream);
      segment = table_.active(stream);
    } else {
      segment = other_active(op);
    }
  }
  FB_ASSERT(segment != nullptr && segment->state == Segment::State::active);
  const uint64_t end = end_with(*segment, op);
  FB_ASSERT(end <= context_.segment_bytes(), end);
  const bool zeros_in_the_way = end > zeroer_.limit_of(*segment);
  return zeros_in_the_way ? nullptr : segment;
}

bool SegmentChooser::give_moves_segment_to(const WriteOp& put) {
  FB_ASSERT(put.kind == EntryKind::put, put.kind);
  const Segment* moves = table_.active(Stream::moves);
  if (table_.free_count() < kReservedSegments || !fits(moves, put)) return false;
  if (table_.active(Stream::puts) != nullptr) table_.seal(Stream::puts, true);
  table_.give_moves_to_puts();
  return true;
}

}  // namespace fb::bss
