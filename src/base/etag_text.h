// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fb {

// S3's ETag as text, without quotes: an MD5 in lower-case hex and, of a multipart object, behind a hyphen the
// number of its parts (0: none). Writes at most kEtagTextSizeMax characters at `out` and returns the end.
inline constexpr size_t kEtagTextSizeMax = 32 + 1 + 10;
char* write_etag_text(const std::array<uint8_t, 16>& md5, uint32_t part_count, char* out);

}  // namespace fb
