// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "bss/blob/format.h"
#include "io/file.h"

namespace fb::bss {

// Batches of different kinds go to segments of their own: blobs that compaction moves have lived long, and
// are not mixed with blobs that may die soon.
enum class Stream : uint8_t { puts, moves };  // erases go with the puts
inline constexpr size_t kStreamCount = 2;

// How far a segment's blocks have been written before batches go there. Only speed depends on it, and with
// Durability::plp whether a batch needs a flush of the file system.
struct SegmentZeros {
  bool fresh = false;     // its extents may be merely allocated: zeros are written ahead of the segment's end
  bool has_gaps = false;  // batches overtook the zeros, or were there before them
  bool wholly_settled = false;              // zeroed from end to end, and synced: for later generations, too
  uint64_t zeroed_to = kSegmentDataOffset;  // if fresh
  // Blocks ahead of the end that have been written and synced since: a batch there needs no flush of the
  // file system.
  uint64_t settled_from = kSegmentDataOffset;
  uint64_t settled_to = kSegmentDataOffset;

  bool settled(uint64_t offset, uint64_t bytes) const {
    return offset >= settled_from && offset + bytes <= settled_to;
  }
};

// One segment file of a shard, as it stands on the medium and as the index uses it. SegmentTable owns it;
// only the shard's core touches it. Other cores read through `file`, after they have taken a hold on the
// segment.
struct Segment {
  enum class State : uint8_t {
    free,       // header written, no batch
    active,     // takes batches
    sealed,     // takes no more
    recycling,  // becoming free
    damaged,    // its header is lost: kept as it is, not used
  };
  File file;
  uint32_t number = 0;
  State state = State::free;
  bool moved_out = false;  // holds entries that something elsewhere has replaced: see Compactor::droppable()
  uint8_t recycle_failures = 0;
  bool pinned = false;      // holds a payload that cannot be read: compaction leaves it alone
  bool cut_short = false;   // sealed though more would have gone into it
  bool distrusted = false;  // behind its end stands a torn batch that could not be wiped
  uint64_t generation = 0;
  uint64_t nonce = 0;
  uint64_t end = kSegmentDataOffset;  // where the next batch goes
  uint64_t live_bytes = 0;            // padded payloads that the index points to
  uint64_t tombstones = 0;
  uint64_t written_at = 0;  // SegmentTable::clock_bytes() at its last batch
  SegmentZeros zeros;
  uint32_t readers = 0;  // of the owner's core; other cores' are counted by SegmentTable
  uint32_t writers = 0;

  bool empty() const { return live_bytes == 0 && tombstones == 0; }
};

}  // namespace fb::bss
