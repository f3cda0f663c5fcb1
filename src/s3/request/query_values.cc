// SPDX-License-Identifier: Apache-2.0
#include "s3/request/query_values.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "s3/request/route.h"
#include "s3/request/xml_body.h"

namespace fb::s3 {
namespace {

// Counts are signed 32-bit numbers in S3; what does not fit is no number.
constexpr uint32_t kCountMax = INT32_MAX;

std::optional<uint32_t> parse_count(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kCountMax) return std::nullopt;
  return value;
}

}  // namespace

S3Result<std::optional<std::string>> query_text(QueryView query, std::string_view name) {
  const auto raw = query.get(name);
  if (!raw) return std::optional<std::string>();
  auto text = decode_query(*raw);
  if (!text) return S3Error::InvalidURI;
  if (text->size() > kKeySizeMax) return invalid_argument("The value is longer than 1024 bytes.", name, *raw);
  if (text->find('\0') != std::string::npos || !is_valid_utf8(*text)) {
    return invalid_argument("The value is not UTF-8 without NUL.", name, *raw);
  }
  return std::optional(std::move(*text));
}

S3Result<std::string> query_text_or_empty(QueryView query, std::string_view name) {
  FB_TRY(auto text, query_text(query, name));
  return text ? std::move(*text) : std::string();
}

S3Result<std::optional<uint32_t>> query_count(QueryView query, std::string_view name, uint32_t max) {
  const auto raw = query.get(name);
  if (!raw || raw->empty()) return std::optional<uint32_t>();
  const auto value = parse_count(*raw);
  if (value) return std::optional(std::min(*value, max));
  // A number below zero is told from what is none.
  if (raw->starts_with('-') && parse_count(raw->substr(1))) {
    return invalid_argument(fmt::format("Argument {} must be an integer between 0 and {}", name, kCountMax),
                            name, *raw);
  }
  return invalid_argument(fmt::format("Provided {} not an integer or within integer range", name), name,
                          *raw);
}

S3Result<std::optional<uint32_t>> query_part_number(QueryView query) {
  const auto raw = query.get("partNumber");
  if (!raw) return std::optional<uint32_t>();
  const auto value = parse_count(*raw);
  if (!value || *value < 1 || *value > kPartNumberMax) {
    return invalid_argument("Part number must be an integer between 1 and 10000, inclusive.", "partNumber",
                            *raw);
  }
  return value;
}

S3Result<bool> query_encode_url(QueryView query) {
  const auto raw = query.get("encoding-type");
  if (!raw || raw->empty()) return false;
  if (ascii_iequals(*raw, "url")) return true;
  return invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", *raw);
}

S3Result<void> check_version_id(QueryView query) {
  const auto raw = query.get("versionId");
  if (!raw || *raw == "null") return {};
  if (raw->empty()) return invalid_argument("Version id cannot be the empty string", "versionId", *raw);
  return S3Failure(
             S3Error::NotImplemented,
             fmt::format("Versions are not implemented here: versionId is {}; this server takes null.", *raw))
      .with("ArgumentName", "versionId")
      .with("ArgumentValue", *raw);
}

}  // namespace fb::s3
