// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bss/aligned_bytes.h"
#include "bss/blob/batch_order.h"
#include "bss/blob/batch_scan.h"
#include "bss/blob/batch_wiper.h"
#include "bss/blob/index.h"
#include "bss/blob/payload_check.h"
#include "bss/blob/shard_context.h"

namespace fb::bss {

// Decides, while a shard is opened, which entries of a batch count that nothing says was durable, and makes
// durable what counts. Recovery owns it; the owner's core only; one batch at a time, in their order, since
// the index must hold what earlier batches said.
class BatchProver {
 public:
  BatchProver(ShardContext& context, const BlobIndex& index, BatchOrder& order, BatchWiper& wiper)
      : context_(context), index_(index), order_(order), wiper_(wiper) {}

  // A crash, or a write that failed, may have left any part of the batch. Entries that match stay; the others
  // were never acknowledged, or have rotted since, which nothing can tell apart. Without them the descriptor
  // is written anew, for later starts to believe; if nothing is left, it is wiped. What is left is written
  // once more, the same bytes: a killed process may have written it and not come to flush it, and a sync that
  // failed at a start before this one may have given it up, which the next sync does not say. False: nothing
  // is left. `image` is working memory.
  Task<Result<bool>> prove(ScannedBatch& batch, AlignedBytes& image);
  // A batch that cannot be wiped yet closes its segment, and nothing says that the batch has ended: as after
  // a failed write.
  Task<void> wipe_or_doubt(const EndedBatch& batch);
  // Once more, the bytes that stand there.
  Task<Result<void>> rewrite_header(Segment& segment);

 private:
  struct Payload {
    uint64_t at;  // in the batch
    uint64_t bytes;
  };
  bool counts_unverified(const DescriptorEntry& entry, uint64_t place, Verdict verdict) const;
  Task<std::vector<DescriptorEntry>> entries_that_count(const ScannedBatch& batch, AlignedBytes& image,
                                                        bool whole, std::vector<Payload>& readable);
  Task<Result<void>> write_again(Segment& segment, std::span<const std::byte> bytes, uint64_t offset);

  ShardContext& context_;
  const BlobIndex& index_;
  BatchOrder& order_;
  BatchWiper& wiper_;
};

}  // namespace fb::bss
