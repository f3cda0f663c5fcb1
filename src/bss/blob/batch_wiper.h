// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/batch_order.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"

namespace fb::bss {

// Overwrites descriptors of batches that must not be believed: of a write that failed, or of one that a crash
// tore. A wipe is durable when wipe() has returned true. While a doubted batch is left, a start after a crash
// has more payloads to verify; nothing else depends on it. Shard owns it; its core only; several wipes may be
// under way, each of another descriptor.
class BatchWiper {
 public:
  BatchWiper(ShardContext& context, ShardSignals& signals, BatchOrder& order)
      : context_(context), signals_(signals), order_(order) {}

  // False: it could not be wiped, or the segment is being recycled.
  Task<bool> wipe(Segment& segment, uint64_t offset, int attempts);
  // All that are in doubt.
  Task<void> wipe_doubted(int attempts);
  // The worker: goes on trying.
  static Task<void> run(BatchWiper& self);

 private:
  ShardContext& context_;
  ShardSignals& signals_;
  BatchOrder& order_;
};

}  // namespace fb::bss
