// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"

namespace fb::bss {

// How much space a shard has left, and what was tried in vain: whether another segment can be made, whether
// compaction can help, whether something queued waits for a segment, whether puts are refused. The writers
// and the workers that make room ask it and tell it; it does nothing by itself. Shard owns it; its core only.
class SpaceState {
 public:
  SpaceState(const ShardContext& context, const SegmentTable& table) : context_(context), table_(table) {}

  uint64_t capacity_bytes() const { return table_.segments_max() * context_.segment_room(); }
  uint64_t reserve_bytes() const { return kReservedSegments * context_.segment_room(); }
  // For puts.
  uint64_t available_bytes() const;
  // In blocks of 1 MiB, with what they leave unused at the end of each segment.
  bool has_room_for_blocks(uint64_t content_bytes) const;
  bool has_room_for_puts() const { return has_room_for_puts(kBatchBytesMax); }
  // Puts wait for a segment to become free, or soon would.
  bool will_keep_puts_waiting() const;
  // For what is moved, without taking more than there is.
  uint64_t room_for_moves() const;

  bool may_create() const;
  bool is_short() const { return table_.free_count() <= kReservedSegments && !may_create(); }
  bool is_getting_short() const;
  // Compaction must make room for every block that is written, so batches wait until they are fuller.
  bool is_scarce() const { return table_.live_bytes() > capacity_bytes() / 2 && !may_create(); }

  // The shard has or wants segments.
  bool used() const { return used_; }
  void set_used() { used_ = true; }
  // Something queued needs a segment that is not there.
  bool blocked() const { return blocked_; }
  void set_blocked() { blocked_ = true; }
  void set_unblocked() { blocked_ = false; }
  // There was no space for a put, and none has become free since.
  bool refuses_puts() const { return refuses_puts_; }
  void set_refuses_puts() { refuses_puts_ = true; }
  void note_segment_is_free();
  // The last attempt to make a segment.
  void note_creation(const Result<void>& created);
  // Operations that wait for a segment wait for space, and not for something else that kept one from being
  // made.
  bool is_full() const;

  bool compacting() const { return compacting_; }
  void begin_compaction();
  // `hopeful`: a segment was freed, or is left alone for a reason of its own.
  void end_compaction(bool hopeful);
  // An erase gave compaction something to free.
  void note_erased() { compaction_failures_ = 0; }
  bool compaction_despairs() const;
  unsigned compaction_failures() const { return compaction_failures_; }

 private:
  bool has_room_for_puts(uint64_t bytes) const;

  const ShardContext& context_;
  const SegmentTable& table_;
  bool used_ = false;
  bool blocked_ = false;
  bool refuses_puts_ = false;
  bool compacting_ = false;
  unsigned compaction_failures_ = 0;  // in a row
  std::optional<Error> creation_error_;
  Instant creation_retry_;
};

}  // namespace fb::bss
