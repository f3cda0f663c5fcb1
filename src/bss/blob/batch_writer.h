// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bss/blob/batch.h"
#include "bss/blob/batch_builder.h"
#include "bss/blob/batch_entries.h"
#include "bss/blob/batch_order.h"
#include "bss/blob/batch_wiper.h"
#include "bss/blob/checkpointer.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"
#include "bss/blob/zeroer.h"

namespace fb::bss {

// Writes a shard's batches: takes puts, erases and moves, writes each batch by one durable write, and
// answers. An operation is answered without an error after its batch is on stable media, and not before; a
// batch that failed is withdrawn before it counts as ended. Shard owns it; its core only. Up to
// options().writes_in_flight workers run, each with one batch in flight at a time.
class BatchWriter {
 public:
  BatchWriter(ShardContext& context, ShardSignals& signals, SegmentTable& table, SpaceState& space,
              WriteQueues& queues, BatchOrder& order, BatchWiper& wiper, const Zeroer& zeroer,
              BatchEntries& entries, BatchBuilder& builder, Checkpointer& checkpointer)
      : context_(context),
        signals_(signals),
        table_(table),
        space_(space),
        queues_(queues),
        order_(order),
        wiper_(wiper),
        zeroer_(zeroer),
        entries_(entries),
        builder_(builder),
        checkpointer_(checkpointer) {}

  // `op` lives until its group's waiter runs; its memory belongs to the writer until then.
  void submit(WriteOp& op);
  // A worker.
  static Task<void> run(BatchWriter& self);
  // The worker that gives up puts whose deadline has come.
  static Task<void> run_expirer(BatchWriter& self);

 private:
  bool may_write() const;
  bool wants_to_gather() const;
  Task<void> gather_erases();
  Task<bool> withdraw(Batch& batch, const Result<size_t>& written);
  void complete(Batch& batch, const Result<size_t>& written);
  void complete_ops(const Batch& batch);
  void fail_ops(const Batch& batch, const Result<size_t>& written);
  void refuse_all();

  ShardContext& context_;
  ShardSignals& signals_;
  SegmentTable& table_;
  SpaceState& space_;
  WriteQueues& queues_;
  BatchOrder& order_;
  BatchWiper& wiper_;
  const Zeroer& zeroer_;
  BatchEntries& entries_;
  BatchBuilder& builder_;
  Checkpointer& checkpointer_;
  bool gathering_erases_ = false;  // one of the workers sleeps until there are more
};

}  // namespace fb::bss
