// SPDX-License-Identifier: Apache-2.0
#include "s3/request/object_headers.h"

#include <algorithm>

#include "s3/checksum/checksum_headers.h"

namespace fb::s3 {

S3Result<bool> wants_checksums(const RequestHead& head) {
  const std::string_view mode = head.header("x-amz-checksum-mode");
  if (!mode.empty() && !ascii_iequals(mode, "ENABLED")) return invalid_header_value("x-amz-checksum-mode");
  return !mode.empty();
}

namespace {

// The text in ISO-8859-1; nothing if it is no UTF-8 or has characters beyond.
std::optional<std::string> utf8_to_latin1(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<uint8_t>(text[i]);
    if (first < 0x80) {
      out.push_back(text[i]);
      continue;
    }
    // U+0080 to U+00FF are C2 or C3 and a byte from 80 to BF.
    const auto second = i + 1 < text.size() ? static_cast<uint8_t>(text[++i]) : uint8_t{0};
    if ((first != 0xc2 && first != 0xc3) || (second & 0xc0) != 0x80) return std::nullopt;
    out.push_back(static_cast<char>((first & 0x03) << 6 | (second & 0x3f)));
  }
  return out;
}

}  // namespace

S3Result<ResponseOverrides> parse_response_overrides(QueryView query) {
  ResponseOverrides overrides;
  for (const QueryItem& item : query) {
    for (int i = 0; i < kSystemFieldCount; ++i) {
      const std::string_view name = kSystemHeaders[i].override_item;
      if (!item.is(name)) continue;
      const auto value = decode_query(item.value);
      if (!value) return S3Error::InvalidURI;
      auto header = utf8_to_latin1(*value);
      if (!header) {
        return invalid_argument("Header value cannot be represented using ISO-8859-1.", name, *value);
      }
      const bool good =
          std::ranges::none_of(*header, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; });
      if (!good) return invalid_argument("The value cannot stand in a header.", name, *value);
      overrides.values[i] = std::move(*header);
      overrides.any = true;
    }
  }
  return overrides;
}

}  // namespace fb::s3
