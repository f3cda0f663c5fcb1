// SPDX-License-Identifier: Apache-2.0
#include "s3/object_headers.h"

#include <algorithm>

#include "s3/header_rules.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ascii_iequals(text.substr(0, prefix.size()), prefix);
}

S3Failure invalid_value(std::string_view header) {
  return {S3Error::InvalidRequest, fmt::format("Value for {} header is invalid.", header)};
}

// Calls use(kind, field) for each header that carries a checksum value.
template <class Use>
S3Result<void> for_each_checksum_header(const RequestHead& head, Use&& use) {
  for (const HeaderField& field : head.headers) {
    if (!starts_with_ignoring_case(field.name, kChecksumPrefix)) continue;
    const std::string_view suffix = field.name.substr(kChecksumPrefix.size());
    if (ascii_iequals(suffix, "algorithm") || ascii_iequals(suffix, "type") || ascii_iequals(suffix, "mode"))
      continue;
    const auto kind = checksum_kind_of_header(field.name);
    if (!kind) return unsupported_header(field, "CRC32, CRC32C, CRC64NVME, SHA1 and SHA256");
    FB_CHECK(use(*kind, field));
  }
  return {};
}

S3Failure several_checksums() {
  return {S3Error::InvalidRequest,
          "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."};
}

}  // namespace

S3Result<std::optional<Md5Digest>> parse_content_md5(const RequestHead& head) {
  if (!head.has_header("content-md5")) return std::optional<Md5Digest>();
  const std::string_view text = head.header("content-md5");
  Md5Digest digest;
  const auto size = base64_decode(text, digest);
  if (!size || *size != digest.size()) return S3Failure(S3Error::InvalidDigest).with("Content-MD5", text);
  return std::optional(digest);
}

std::string_view to_string(ChecksumType type) {
  return type == ChecksumType::full_object ? "FULL_OBJECT" : "COMPOSITE";
}

S3Result<DeclaredChecksum> parse_declared_checksum(const RequestHead& head) {
  DeclaredChecksum declared;
  FB_CHECK(for_each_checksum_header(head, [&](ChecksumKind kind, const HeaderField& field) -> S3Result<void> {
    if (declared.value) return several_checksums();
    declared.value = ChecksumValue::parse(kind, field.value);
    if (!declared.value) return invalid_value(checksum_header(kind));
    return {};
  }));
  const std::string_view trailer = head.header("x-amz-trailer");
  if (!trailer.empty()) {
    declared.trailer = checksum_kind_of_header(ascii_trim(trailer));
    if (!declared.trailer) {
      return S3Failure(S3Error::InvalidRequest,
                       "The value specified in the x-amz-trailer header is not supported");
    }
    if (declared.value) return several_checksums();
  }
  return declared;
}

S3Result<ChecksumChoice> parse_checksum_choice(const RequestHead& head) {
  ChecksumChoice choice;
  if (const std::string_view text = head.header("x-amz-checksum-algorithm"); !text.empty()) {
    choice.kind = checksum_kind_of_name(text);
    if (!choice.kind) {
      return S3Failure(
          S3Error::InvalidRequest,
          "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
          "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    }
  }
  if (const std::string_view text = head.header("x-amz-checksum-type"); !text.empty()) {
    if (ascii_iequals(text, to_string(ChecksumType::full_object))) {
      choice.type = ChecksumType::full_object;
    } else if (ascii_iequals(text, to_string(ChecksumType::composite))) {
      choice.type = ChecksumType::composite;
    } else {
      return invalid_value("x-amz-checksum-type");
    }
  }
  return choice;
}

S3Result<ChecksumType> resolve_checksum_type(ChecksumKind kind, std::optional<ChecksumType> asked) {
  const ChecksumType type =
      asked.value_or(can_be_composite(kind) ? ChecksumType::composite : ChecksumType::full_object);
  const bool fits_kind = type == ChecksumType::composite ? can_be_composite(kind) : can_be_full_object(kind);
  if (!fits_kind) {
    return S3Failure(S3Error::InvalidRequest,
                     fmt::format("The {} checksum type cannot be used with the {} checksum algorithm.",
                                 to_string(type), checksum_name(kind)));
  }
  return type;
}

S3Result<std::optional<ObjectChecksum>> parse_object_checksum(const RequestHead& head) {
  std::optional<ObjectChecksum> found;
  FB_CHECK(for_each_checksum_header(head, [&](ChecksumKind kind, const HeaderField& field) -> S3Result<void> {
    if (found) return several_checksums();
    if (!ChecksumValue::parse(kind, field.value) && !CompositeValue::parse(kind, field.value)) {
      return invalid_value(checksum_header(kind));
    }
    found = {kind, field.value};
    return {};
  }));
  return found;
}

S3Result<bool> wants_checksums(const RequestHead& head) {
  const std::string_view mode = head.header("x-amz-checksum-mode");
  if (!mode.empty() && !ascii_iequals(mode, "ENABLED")) return invalid_value("x-amz-checksum-mode");
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
