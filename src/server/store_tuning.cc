// SPDX-License-Identifier: Apache-2.0
#include "server/store_tuning.h"

namespace fb {

void StoreTuning::apply(bss::MetadataStore::Options& options) const {
  if (journal_segment_bytes != 0) options.journal_segment_bytes = journal_segment_bytes;
  if (journal_bytes_max != 0) options.journal_bytes_max = journal_bytes_max;
  if (page_bytes != 0) options.page_bytes = page_bytes;
  if (page_growth_bytes != 0) options.page_growth_bytes = page_growth_bytes;
  if (page_log_bytes != 0) options.page_log_bytes = page_log_bytes;
}

void StoreTuning::apply(bss::BlobStoreOptions& options) const {
  if (blob_shards != 0) options.shard_count = blob_shards;
  if (blob_segment_bytes != 0) options.segment_bytes = blob_segment_bytes;
  if (blob_checkpoint_bytes != 0) options.checkpoint_interval_bytes = blob_checkpoint_bytes;
}

}  // namespace fb
