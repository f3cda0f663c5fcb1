// SPDX-License-Identifier: Apache-2.0
// A dump of any bytes. The first one chooses whether they stand behind a valid header, so that descriptors
// are verified, or behind none.
#include <algorithm>
#include <cstring>
#include <vector>

#include "bss/blob/segment_dump.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::bss;
  if (size == 0) return 0;
  std::vector<uint64_t> words((kSegmentDataOffset + size + kBlockBytes) / sizeof(uint64_t));
  const auto bytes = std::as_writable_bytes(std::span(words));
  if (data[0] % 2 == 1) {
    encode_segment_header({.segment_bytes = fb::kMiB, .generation = 2, .nonce = 3},
                          bytes.first(kSegmentDataOffset));
  }
  std::memcpy(bytes.data() + kSegmentDataOffset, data + 1, size - 1);
  size_t shown = 0;
  (void)dump_segment(bytes, [&](std::string_view line) { shown += line.size(); });
  return 0;
}
