// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/time.h"
#include "bss/blob/batch.h"
#include "bss/blob/batch_entries.h"
#include "bss/blob/batch_order.h"
#include "bss/blob/segment_chooser.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"
#include "bss/blob/zeroer.h"

namespace fb::bss {

// Descriptor, payloads, and the blocks with checksums of pieces.
inline constexpr size_t kBatchVectorsMax = 1 + kBatchEntriesMax + kBatchPayloadBytesMax / kPieceBytes;

// Forms batches from what is queued: when one is worth writing, what it takes, how it is laid out. A batch
// that was formed has its place in its segment, its number, and its entries in the index. Shard owns it; its
// core only; nothing here suspends.
class BatchBuilder {
 public:
  BatchBuilder(const ShardContext& context, ShardSignals& signals, SegmentTable& table,
               const SpaceState& space, WriteQueues& queues, BatchOrder& order, SegmentChooser& chooser,
               BatchEntries& entries, Zeroer& zeroer)
      : context_(context),
        signals_(signals),
        table_(table),
        space_(space),
        queues_(queues),
        order_(order),
        chooser_(chooser),
        entries_(entries),
        zeroer_(zeroer) {}

  // Nothing is queued but erases, and too few for a batch of their own.
  bool only_few_erases() const;
  // Until then they are gathered.
  Instant gathered_at() const;
  // Whether a batch may go out now. One that is small waits while others are under way, for what comes until
  // one of them ends; and none goes further ahead of what is durable than recovery looks.
  bool may_build() const;
  // False: nothing could be taken. What is moved goes out by itself; if there is none, what is queued, erases
  // first, up to one batch of one segment.
  bool build(Batch& batch);

 private:
  // Entries and bytes of payloads.
  struct Share {
    uint64_t entries = 0;
    uint64_t bytes = 0;
  };
  // Memory that is filled while operations are taken.
  struct Collected {
    Share share;
    uint64_t room = 0;  // in the segment
    uint64_t payload_bytes = 0;
    uint64_t puts = 0;
    WriteOp* deferred = nullptr;
    bool full = false;
  };
  Share share_min() const;
  Share share_of_queue() const;
  uint64_t collect(Batch& batch, std::initializer_list<WriteQueue*> queues, Share share);
  void collect_from(WriteQueue& queue, Batch& batch, Collected& collected);
  bool include(Batch& batch, WriteOp& op, Collected& collected);
  void lay_out(Batch& batch);
  void lay_out_entries(Batch& batch, std::span<std::byte> descriptor);
  void note_payloads(const Batch& batch);

  const ShardContext& context_;
  ShardSignals& signals_;
  SegmentTable& table_;
  const SpaceState& space_;
  WriteQueues& queues_;
  BatchOrder& order_;
  SegmentChooser& chooser_;
  BatchEntries& entries_;
  Zeroer& zeroer_;
  Instant last_erases_;  // when a batch of erases alone was formed last
};

}  // namespace fb::bss
