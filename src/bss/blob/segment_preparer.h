// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bss/blob/batch_order.h"
#include "bss/blob/compactor.h"
#include "bss/blob/segment_chooser.h"
#include "bss/blob/segment_maker.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"

namespace fb::bss {

// Keeps one free segment beyond the reserve. If none can be made, it lets compaction help, then puts take
// what is left of the segment of moves, and at last it refuses what waits for space that cannot be had. Shard
// owns it; its core only.
class SegmentPreparer {
 public:
  SegmentPreparer(ShardContext& context, ShardSignals& signals, const SegmentTable& table, SpaceState& space,
                  WriteQueues& queues, const BatchOrder& order, SegmentChooser& chooser, SegmentMaker& maker,
                  const Compactor& compactor)
      : context_(context),
        signals_(signals),
        table_(table),
        space_(space),
        queues_(queues),
        order_(order),
        chooser_(chooser),
        maker_(maker),
        compactor_(compactor) {}

  // The worker.
  static Task<void> run(SegmentPreparer& self);

 private:
  bool wants_segment() const;
  Task<void> make_segment();
  void help_blocked();
  void refuse_blocked();
  void refuse_blocked_moves();

  ShardContext& context_;
  ShardSignals& signals_;
  const SegmentTable& table_;
  SpaceState& space_;
  WriteQueues& queues_;
  const BatchOrder& order_;
  SegmentChooser& chooser_;
  SegmentMaker& maker_;
  const Compactor& compactor_;
};

}  // namespace fb::bss
