// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/etag_text.h"
#include "s3/checksum/hash.h"

namespace fb::s3 {

// S3's ETag: the MD5 of an object in lower-case hex; of a multipart object the MD5 of its parts' MD5s and,
// behind a hyphen, their number.
struct Etag {
  Md5Digest md5{};
  uint32_t part_count = 0;  // 0: not a multipart object

  static Etag of_parts(std::span<const Md5Digest> parts);
  // With or without quotes, either letter case.
  static std::optional<Etag> parse(std::string_view text);

  static constexpr size_t kTextSizeMax = kEtagTextSizeMax;
  static constexpr size_t kQuotedSizeMax = kTextSizeMax + 2;
  // Write without and with quotes; return the end.
  char* write_text(char* out) const;
  char* write_quoted(char* out) const;
  std::string text() const;
  std::string quoted() const;

  bool operator==(const Etag&) const = default;
};

}  // namespace fb::s3
