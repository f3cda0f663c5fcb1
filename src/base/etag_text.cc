// SPDX-License-Identifier: Apache-2.0
#include "base/etag_text.h"

#include <charconv>

#include "base/hex.h"

namespace fb {

char* write_etag_text(const std::array<uint8_t, 16>& md5, uint32_t part_count, char* out) {
  char* const limit = out + kEtagTextSizeMax;
  out = hex_encode(md5, out);
  if (part_count == 0) return out;
  *out++ = '-';
  return std::to_chars(out, limit, part_count).ptr;
}

}  // namespace fb
