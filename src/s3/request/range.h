// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The Range header of reads, as S3 answers it: one range in bytes. What is malformed, names another unit or
// asks for several ranges is ignored, and the whole object is sent.
//
//   bytes=0-9    the first ten bytes; an end behind the object is clamped
//   bytes=10-    from byte 10; unsatisfiable where the object ends before it
//   bytes=-10    the last ten bytes, or all; of an empty object: all of it, with 200

namespace fb::s3 {

enum class RangeKind : uint8_t {
  whole,          // 200, all bytes
  partial,        // 206 with Content-Range
  unsatisfiable,  // 416 InvalidRange with "Content-Range: bytes */size"
};

struct ResolvedRange {
  RangeKind kind = RangeKind::whole;
  uint64_t offset = 0;
  uint64_t size = 0;
  bool operator==(const ResolvedRange&) const = default;
};

// `header` is empty where there is none.
ResolvedRange resolve_range(std::string_view header, uint64_t object_size);

// Content-Range of an answer: "bytes 0-9/100", or "bytes */100" where the range is unsatisfiable. Writes at
// most kContentRangeSizeMax characters at `out`; returns the end.
constexpr size_t kContentRangeSizeMax = 72;
char* write_content_range(const ResolvedRange& range, uint64_t object_size, char* out);
std::string content_range(const ResolvedRange& range, uint64_t object_size);

// x-amz-copy-source-range: "bytes=first-last" with both ends, nothing else.
struct CopyRange {
  uint64_t first = 0;
  uint64_t last = 0;  // inclusive
  bool operator==(const CopyRange&) const = default;
};
std::optional<CopyRange> parse_copy_range(std::string_view text);

}  // namespace fb::s3
