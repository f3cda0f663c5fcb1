// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bss/blob/batch_order.h"
#include "bss/blob/batch_prover.h"
#include "bss/blob/batch_scan.h"
#include "bss/blob/checkpoint_reader.h"
#include "bss/blob/checkpointer.h"
#include "bss/blob/index.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/space_state.h"

namespace fb::bss {

// Opens a shard: checkpoint, descriptors written since, index.
//
// 1. Every segment file is opened; its header gives its generation and nonce.
// 2. A valid checkpoint gives the index as of batch S, and for each segment (by generation) where later
// batches
//    begin. Entries of a generation that is gone are dropped: their blobs were moved or erased after S, and
//    the later batches say which.
// 3. Descriptors are read from there on; without a checkpoint, all of them. A bad block never ends a scan: it
//    goes on at the next block. With a checkpoint it ends once nothing has been found for as far as writes
//    may run ahead.
// 4. Batches are applied in order of their sequence. Of the last few, which nothing proves durable, a crash
// may
//    have torn any part, and the rest may be readable and not be on the medium. Their payloads are verified;
//    entries that do not match are dropped; what is left is written once more, durably, before it counts.
//
// It lives as long as Shard::open() runs, and fills the shard's parts. Nobody else uses them meanwhile; scans
// of segments run side by side on the owner's core. All that it believes is durable when run() has succeeded.
class Recovery {
 public:
  struct Parts {
    ShardContext& context;
    BlobIndex& index;
    SegmentTable& table;
    SpaceState& space;
    BatchOrder& order;
    BatchWiper& wiper;
    Checkpointer& checkpointer;
  };
  explicit Recovery(const Parts& parts)
      : context_(parts.context),
        index_(parts.index),
        table_(parts.table),
        space_(parts.space),
        order_(parts.order),
        checkpointer_(parts.checkpointer),
        prover_(parts.context, parts.index, parts.order, parts.wiper) {}

  Task<Result<void>> run();

 private:
  // A segment as the checkpoint has it.
  struct Inherited {
    bool known = false;  // the checkpoint holds this generation
    bool sealed = false;
    uint64_t end = kSegmentDataOffset;
    uint64_t tombstones = 0;
  };
  // How far a segment was written, by its batches.
  struct Written {
    uint64_t last_sequence = 0;  // 0: it was not
    bool has_hole = false;
  };

  Task<Result<void>> open_segments();
  Task<Result<void>> open_segment(uint32_t number);
  void adopt_checkpoint();
  void adopt_doubts();
  void drop_entries_of_lost_generations();
  Task<Result<void>> scan_segments();
  static Task<void> scan_into(Recovery& self, Segment* segment, std::optional<Error>* error);
  Task<Result<void>> make_durable();
  Task<Result<void>> replay();
  Task<void> drop_doubted_batches();
  void apply(const ScannedBatch& batch);
  void apply_tombstone(const DescriptorEntry& entry);
  void count_missing();
  void settle_segments();
  std::vector<Written> note_ends();
  void go_on(std::span<Segment* const> open);
  void recount_live();
  void report_damaged_segments();
  Task<Result<void>> make_room();

  ShardContext& context_;
  BlobIndex& index_;
  SegmentTable& table_;
  SpaceState& space_;
  BatchOrder& order_;
  Checkpointer& checkpointer_;
  BatchProver prover_;
  std::optional<Checkpoint> checkpoint_;
  std::vector<Inherited> inherited_;   // by segment
  std::vector<ScannedBatch> batches_;  // since the checkpoint; after replay() those that count
};

}  // namespace fb::bss
