// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bss/blob/cache.h"
#include "bss/blob/format.h"
#include "bss/blob/options.h"
#include "io/buffer_pool.h"
#include "io/env.h"
#include "io/sync.h"

namespace fb::bss {

// Pieces that the shards of a core move at the same time, if puts use up space; half as many otherwise.
inline constexpr uint64_t kCompactionTurns = 4;

// The environment, memory and turns that the shards of one core share. BlobFront owns all of it, and it
// outlives the shards. A core reads another core's shard with its own context: its ring, its memory, its
// cache.
struct CoreContext {
  Env& env;
  const BlobStoreOptions& options;
  const Superblock& superblock;
  BlobCache& cache;
  BufferPool& pool;  // descriptors, scans, compaction and checkpoints: not the requests' memory
  BlobStats& stats;
  Semaphore& scrub_turn;       // one shard at a time reads everything
  Semaphore& compaction_turn;  // kCompactionTurns
};

}  // namespace fb::bss
