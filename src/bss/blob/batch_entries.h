// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/batch.h"
#include "bss/blob/batch_order.h"
#include "bss/blob/index.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_reader.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"

namespace fb::bss {

// Keeps the index in step with the batches: an entry is in the index, flagged, from the moment it joins a
// batch until that batch is durable or has failed. So a key is in one batch in flight at most. Shard owns it;
// its core only; nothing here suspends.
class BatchEntries {
 public:
  BatchEntries(const ShardContext& context, ShardSignals& signals, BlobIndex& index, SegmentTable& table,
               SpaceState& space, const BatchOrder& order, ShardReader& reader)
      : context_(context),
        signals_(signals),
        index_(index),
        table_(table),
        space_(space),
        order_(order),
        reader_(reader) {}

  enum class Admission : uint8_t {
    include,  // it goes into a batch
    done,     // nothing is to be written; the outcome is op.error
    defer,    // its key is in a batch in flight
  };
  // Decides by the index as it is now.
  Admission admit(WriteOp& op);
  // From here on the index knows the entry, flagged.
  void begin(const WriteOp& op, const Segment& segment);
  // The operation's batch is durable.
  void complete(const Batch& batch, const WriteOp& op);
  // The operation's batch has failed: the index is as it was before.
  void fail(const WriteOp& op);

 private:
  Admission admit_moved_tombstone(const WriteOp& op, bool indexed);
  void complete_put(const Batch& batch, const WriteOp& op);
  void complete_copy(const Batch& batch, const WriteOp& op);
  void complete_tombstone(const Batch& batch, const WriteOp& op);

  const ShardContext& context_;
  ShardSignals& signals_;
  BlobIndex& index_;
  SegmentTable& table_;
  SpaceState& space_;
  const BatchOrder& order_;
  ShardReader& reader_;
};

}  // namespace fb::bss
