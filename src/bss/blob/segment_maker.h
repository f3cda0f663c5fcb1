// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bss/blob/batch_order.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/space_state.h"

namespace fb::bss {

// Makes segments, and makes those that hold nothing live free again. Shard owns it; its core only. create()
// and recycle() may run side by side, each once at a time; a segment is in the table's free list when they
// return without an error, and what they say is durable by then.
class SegmentMaker {
 public:
  SegmentMaker(ShardContext& context, SegmentTable& table, SpaceState& space, BatchOrder& order)
      : context_(context), table_(table), space_(space), order_(order) {}

  // A segment is made whole under another name, so that one with its own name always has a valid header.
  Task<Result<void>> create();
  // A new generation makes every descriptor in it invalid. Until that is durable the old one counts as
  // existing. Nobody may read the segment or write to it.
  Task<Result<void>> recycle(Segment& segment);

 private:
  Task<Result<void>> write_new(File& file, const Segment& segment, const std::string& new_name,
                               const std::string& name);
  void set_free(Segment& segment, const SegmentHeader& header);

  ShardContext& context_;
  SegmentTable& table_;
  SpaceState& space_;
  BatchOrder& order_;
};

}  // namespace fb::bss
