// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bss/blob/format.h"
#include "client/types.h"

namespace fb::bss {

// What reading everything found.
struct ScrubReport {
  static constexpr size_t kNamedMax = 200;

  uint64_t segments = 0;
  uint64_t payloads = 0;
  uint64_t bytes = 0;                // of payloads, pages and frames
  uint64_t damaged = 0;              // payloads that cannot be read, or not as they were put
  uint64_t tables_damaged = 0;       // checksums of pieces: the payload is intact
  uint64_t headers_damaged = 0;      // copies of segment headers; the other one serves
  uint64_t descriptors_damaged = 0;  // segments with some: the index still knows what they said
  // Of the metadata and journal volumes.
  uint64_t pages = 0, pages_damaged = 0;
  uint64_t frames = 0, frames_damaged = 0;
  uint64_t checkpoints_damaged = 0;  // copies of the record; the other one serves
  bool whole = true;                 // false: ended before everything was read
  std::vector<BlobKey> keys;         // of damaged payloads, at most kNamedMax

  bool sound() const {
    return damaged + tables_damaged + headers_damaged + descriptors_damaged + pages_damaged + frames_damaged +
               checkpoints_damaged ==
           0;
  }
  void add(const ScrubReport& other);
  // For people; the first word is "sound" where nothing is wrong.
  std::string to_string() const;
};

// How far the scrubber of a shard has come: kept in a file of its own beside the segments.
struct ScrubState {
  int64_t begun_seconds = 0;  // Unix time of the pass under way, or of the last one
  uint64_t next_segment = 0;
  bool under_way = false;
};
std::string encode_scrub_state(const ScrubState& state, const StoreId& store_id, uint32_t shard);
// False: damaged or another store's, as if there were none.
bool parse_scrub_state(std::string_view text, const StoreId& store_id, uint32_t shard, ScrubState* out);

}  // namespace fb::bss
