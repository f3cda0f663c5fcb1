// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/store.h"
#include "bss/metadata_store.h"

namespace fb {

// Sizes inside the engines that no user sets; 0 is the engine's default. Simulations make them so small that
// checkpoints, trims and compaction happen all the time.
struct StoreTuning {
  uint64_t journal_segment_bytes = 0;
  uint64_t journal_bytes_max = 0;
  uint32_t page_bytes = 0;
  uint64_t page_growth_bytes = 0;
  uint64_t page_log_bytes = 0;
  uint32_t blob_shards = 0;
  uint64_t blob_segment_bytes = 0;
  uint64_t blob_checkpoint_bytes = 0;

  void apply(bss::MetadataStore::Options& options) const;
  void apply(bss::BlobStoreOptions& options) const;
};

}  // namespace fb
