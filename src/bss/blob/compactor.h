// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bss/blob/batch_scan.h"
#include "bss/blob/batch_writer.h"
#include "bss/blob/index.h"
#include "bss/blob/segment_maker.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"

namespace fb::bss {

// Frees segments: moves what is live of a victim to the segment of moves, with the tombstones that are still
// needed, and recycles the victim when nobody reads it any more. Shard owns it; its core only. One victim at
// a time; puts, erases and reads go on meanwhile, and the index says at every step which copy is the one. A
// move is durable when its batch is; a victim is not recycled before that.
class Compactor {
 public:
  Compactor(ShardContext& context, ShardSignals& signals, BlobIndex& index, SegmentTable& table,
            SpaceState& space, const WriteQueues& queues, BatchWriter& writer, SegmentMaker& maker)
      : context_(context),
        signals_(signals),
        index_(index),
        table_(table),
        space_(space),
        queues_(queues),
        writer_(writer),
        maker_(maker) {}

  // The worker.
  static Task<void> run(Compactor& self);
  // It is at work, or would find something worth it.
  bool may_help() const;

 private:
  // Moves that go out together.
  struct Moves {
    std::vector<WriteOp> ops;
    uint64_t bytes = 0;  // of payloads
  };
  Segment* pick_victim() const;
  unsigned gain_percent_wanted() const;
  uint64_t gain_of(const Segment& segment) const;
  double benefit_of(const Segment& segment, uint64_t gain) const;
  Task<bool> compact(Segment& victim);
  Task<bool> move_live(Segment& victim);
  Task<Result<uint64_t>> scan_step(Segment& victim, uint64_t from, std::vector<ScannedBatch>& out);
  std::optional<WriteOp> move_of(const DescriptorEntry& entry, uint64_t batch_offset, const Segment& victim);
  bool droppable(const DescriptorEntry& tombstone, const Segment& holder) const;
  Task<bool> move_batch(Segment& victim, const ScannedBatch& batch, Moves& moves);
  Task<bool> flush(Segment& victim, Moves& moves);
  Task<bool> read_and_verify(Segment& victim, Moves& moves, const Buffer& payloads, uint64_t read_bytes);
  static Task<Result<void>> read_moves(Segment& victim, std::span<WriteOp> moves, const Buffer& payloads,
                                       uint64_t gap_bytes);
  Task<Buffer> finish_moves(std::span<WriteOp> moves);
  Task<void> pause(Instant since);

  ShardContext& context_;
  ShardSignals& signals_;
  BlobIndex& index_;
  SegmentTable& table_;
  SpaceState& space_;
  const WriteQueues& queues_;
  BatchWriter& writer_;
  SegmentMaker& maker_;
};

}  // namespace fb::bss
