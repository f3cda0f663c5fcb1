// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/batch_builder.h"
#include "bss/blob/batch_entries.h"
#include "bss/blob/batch_order.h"
#include "bss/blob/batch_wiper.h"
#include "bss/blob/batch_writer.h"
#include "bss/blob/checkpointer.h"
#include "bss/blob/compactor.h"
#include "bss/blob/index.h"
#include "bss/blob/scrubber.h"
#include "bss/blob/segment_chooser.h"
#include "bss/blob/segment_maker.h"
#include "bss/blob/segment_preparer.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_reader.h"
#include "bss/blob/shard_signals.h"
#include "bss/blob/space_state.h"
#include "bss/blob/write_queue.h"
#include "bss/blob/zeroer.h"
#include "client/blob_client.h"
#include "io/scope.h"

namespace fb::bss {

// One shard: an index, and the parts that work on it. What each part does stands with its class; this one
// composes them and takes the shard through its life: open, start, stop, finish. BlobFront of the owner's
// core owns it, and only that core touches it, but for reader(), which any core calls with a context of its
// own.
//
//     submit -> queues -> BatchBuilder -> BatchWriter -> one durable write -> index, answer
//               SegmentPreparer, Zeroer: segments ahead of that; Compactor: free ones again
//               Checkpointer, BatchWiper, Scrubber: beside it; Recovery: before it
//
// Puts, erases and moves queue here; up to writes_in_flight batches are on their way to disk, each one
// descriptor and its payloads in one durable write. A put is durable when it is answered. See docs/blobs.md.
class Shard {
 public:
  Shard(CoreContext& context, uint32_t number);
  ~Shard();

  Task<Result<void>> open();
  void start(Scope& scope);
  // No calls may be under way. Ends the workers; the caller then joins the scope and calls finish(), which
  // writes the checkpoint.
  void stop();
  Task<Result<void>> finish();

  uint32_t number() const { return context_.number(); }
  // How many segments have been filled with puts.
  uint64_t segments_sealed() const { return table_.segments_sealed(); }
  uint64_t live_bytes() const { return table_.live_bytes(); }
  const SpaceState& space() const { return space_; }
  BlobUsage usage() const;
  BlobIndex& index() { return index_; }

  void submit(WriteOp& op) { writer_.submit(op); }
  uint64_t payload_bytes_max() const;
  // From here until finish() other cores may read.
  void share() { reader_.share(); }
  // Any core's.
  ShardReader& reader() { return reader_; }
  BlobPage enumerate(uint64_t cursor);
  // Reads everything, at once; ends early after stop_scrub() or stop().
  Task<ScrubReport> scrub_now() { return scrubber_.run_once(); }
  void stop_scrub() { scrubber_.stop(); }
  // Index against segments: every entry inside a written segment, live bytes exact.
  bool verify();

 private:
  ShardContext context_;
  ShardSignals signals_;
  BlobIndex index_;
  SegmentTable table_{context_, signals_};
  SpaceState space_{context_, table_};
  WriteQueues queues_;
  BatchOrder order_;
  BatchWiper wiper_{context_, signals_, order_};
  Zeroer zeroer_{context_, signals_, table_};
  ShardReader reader_{context_, index_, table_};
  Checkpointer checkpointer_{context_, signals_, index_, table_, order_};
  Scrubber scrubber_{context_, index_, table_, order_};
  SegmentChooser chooser_{context_, signals_, table_, space_, zeroer_};
  BatchEntries entries_{context_, signals_, index_, table_, space_, order_, reader_};
  BatchBuilder builder_{context_, signals_, table_, space_, queues_, order_, chooser_, entries_, zeroer_};
  BatchWriter writer_{context_, signals_, table_,   space_,   queues_,      order_,
                      wiper_,   zeroer_,  entries_, builder_, checkpointer_};
  SegmentMaker maker_{context_, table_, space_, order_};
  Compactor compactor_{context_, signals_, index_, table_, space_, queues_, writer_, maker_};
  SegmentPreparer preparer_{context_, signals_, table_, space_,    queues_,
                            order_,   chooser_, maker_, compactor_};
};

}  // namespace fb::bss
