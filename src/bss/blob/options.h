// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "base/units.h"
#include "client/types.h"
#include "io/durability.h"

namespace fb::bss {

inline constexpr uint32_t kWritesInFlightMax = 16;

struct BlobStoreOptions {
  std::string directory;
  Durability durability = Durability::strict;
  Incarnation incarnation;  // of the names new_blob() gives; never used before

  // Fixed when the store is made; an existing store keeps its own.
  uint16_t volume = 0;
  uint32_t shard_count = 16;
  uint64_t segment_bytes = 0;  // 0: 64 MiB, less on a small file system

  uint64_t capacity_bytes = 0;     // 0: what the file system has, but for a twentieth
  uint32_t writes_in_flight = 4;   // batches a shard, 1 to kWritesInFlightMax
  size_t cache_bytes = 64 * kMiB;  // per core; 0 switches the cache off
  // Bytes written to a shard between two of its checkpoints: at least this, and more where they are large.
  uint64_t checkpoint_interval_bytes = 16 * kMiB;
  // A segment is worth compacting when less than this share of it is live, or when space gets short.
  unsigned compaction_live_percent = 25;
  // Of the time; more where space gets short, and all where puts wait for it.
  unsigned compaction_time_percent = 25;
  // Everything is read once in so long; 0: never. Of the time of a core, while it is done.
  Duration scrub_period;
  unsigned scrub_time_percent = 10;
};

// Where the bytes of the segments are; headers are not counted. capacity_bytes is the sum of live, garbage,
// unwritten, free, unallocated and lost bytes, unless a smaller capacity was set than there are segments.
struct BlobUsage {
  uint64_t capacity_bytes = 0;
  uint64_t live_bytes = 0;         // payloads with their padding and the checksums of their pieces
  uint64_t garbage_bytes = 0;      // written and not live; of full segments also the end that took no batch
  uint64_t unwritten_bytes = 0;    // of segments that take batches
  uint64_t free_bytes = 0;         // of segments that hold nothing
  uint64_t unallocated_bytes = 0;  // of segments not made yet
  uint64_t lost_bytes = 0;         // of segments whose headers are lost
  uint64_t reserve_bytes = 0;      // which puts leave
  uint64_t available_bytes = 0;    // for puts
  uint64_t segments = 0, segments_free = 0, segments_max = 0;
  uint64_t blobs = 0;
  uint64_t tombstones = 0;        // kept for what segments still hold of erased blobs
  uint64_t index_bytes = 0;       // of memory
  uint64_t checkpoint_bytes = 0;  // beside the segments

  void add(const BlobUsage& other);
};

// The scrubber's work, counted.
struct ScrubCounts {
  uint64_t passes = 0;  // of whole shards
  uint64_t payloads = 0, bytes = 0, damaged = 0;
};

// Per core, without locks; summed when scraped.
struct BlobStats {
  uint64_t puts = 0, put_bytes = 0;
  uint64_t gets = 0, get_bytes = 0, cache_hits = 0;
  uint64_t erases = 0;
  uint64_t batches = 0, batch_bytes = 0;
  uint64_t write_errors = 0;
  uint64_t damaged = 0;          // payloads that failed their checksum or could not be read
  uint64_t reread = 0;           // reads that had to be begun again for it
  uint64_t damaged_batches = 0;  // found missing at start though they had been durable
  uint64_t torn_entries = 0;     // of the last batches before a crash: dropped at start
  uint64_t checkpoints = 0, checkpoint_bytes = 0;
  uint64_t checkpoints_lost = 0;  // damaged or missing at start: every descriptor was read instead
  uint64_t compacted_segments = 0, compacted_bytes = 0;
  uint64_t puts_refused_full = 0;
  ScrubCounts scrub;
};

}  // namespace fb::bss
