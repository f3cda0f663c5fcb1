// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "bss/blob/format.h"

namespace fb::bss {

struct SegmentDump {
  uint64_t headers_damaged = 0;  // of the two copies
  uint64_t batches = 0;
  uint64_t entries = 0;
  uint64_t payloads_damaged = 0;
  uint64_t tables_damaged = 0;
  uint64_t unknown_bytes = 0;  // in front of the last batch, and neither a batch nor zeros

  bool intact() const { return headers_damaged + payloads_damaged + tables_damaged + unknown_bytes == 0; }
};

// What a segment's bytes say, in lines for people: headers, batches with their entries, and what is none of
// these. Any bytes will do. Without a valid header descriptors cannot be verified, since they are keyed with
// its nonce: what looks like one is shown as such, and its payloads tell whether it is. `bytes` must be
// aligned to 8.
SegmentDump dump_segment(std::span<const std::byte> bytes, const std::function<void(std::string_view)>& line);

}  // namespace fb::bss
