// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "bss/blob/batch_order.h"
#include "bss/blob/index.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"

namespace fb::bss {

inline constexpr const char* kCheckpointName = "checkpoint";

// Writes a shard's checkpoint while the shard goes on working. The table of segments and the batch sequence S
// are taken first; the index is copied table by table while it changes. That is enough: whatever changed
// after S is said again by batches after S, which recovery applies on top, and an entry whose segment was
// recycled meanwhile is dropped there by its generation. A checkpoint is written under another name; it
// counts when its renaming is durable. Shard owns this; its core only; one checkpoint at a time.
class Checkpointer {
 public:
  Checkpointer(ShardContext& context, ShardSignals& signals, const BlobIndex& index,
               const SegmentTable& table, const BatchOrder& order)
      : context_(context), signals_(signals), index_(index), table_(table), order_(order) {}

  // The worker.
  static Task<void> run(Checkpointer& self);
  Task<Result<void>> write();
  // So much was written to segments; wakes the worker when it is enough for a checkpoint.
  void note_written(uint64_t bytes);
  // The size of the last checkpoint written in this life.
  uint64_t bytes() const { return bytes_; }

 private:
  std::vector<CheckpointSegment> segment_lines() const;
  Task<Result<void>> write_and_rename();
  Task<Result<void>> write_file(File& file);

  ShardContext& context_;
  ShardSignals& signals_;
  const BlobIndex& index_;
  const SegmentTable& table_;
  const BatchOrder& order_;
  uint64_t written_since_ = 0;
  uint64_t bytes_ = 0;
  bool writing_ = false;
};

}  // namespace fb::bss
