// SPDX-License-Identifier: Apache-2.0
#include "s3/object_headers.h"

#include <algorithm>

namespace fb::s3 {
namespace {

constexpr std::string_view kAmzPrefix = "x-amz-";
constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";

enum class Match : uint8_t { exact, prefix };
struct HeaderRule {
  std::string_view name;  // lower case, behind "x-amz-"
  Match match;
  std::string_view passing;  // the value that passes beside the empty one; none where empty
};

// The first rule that fits a name counts.
constexpr HeaderRule kRules[] = {
    {"acl", Match::exact, "private"},  // see also is_default_acl()
    {"grant-", Match::prefix, ""},
    {"object-ownership", Match::exact, "BucketOwnerEnforced"},
    {"server-side-encryption-bucket-key-enabled", Match::exact, "false"},
    {"server-side-encryption", Match::prefix, ""},
    {"copy-source-server-side-encryption", Match::prefix, ""},
    {"tagging", Match::exact, ""},
    // Tags cannot be set, so both directives leave the copy without any.
    {"tagging-directive", Match::exact, "COPY"},
    {"object-lock-legal-hold", Match::exact, "OFF"},
    {"object-lock-", Match::prefix, ""},
    {"bucket-object-lock-enabled", Match::exact, "false"},
    {"bypass-governance-retention", Match::exact, "false"},
    {"website-redirect-location", Match::exact, ""},
    {"request-payer", Match::exact, "requester"},
    {"mfa", Match::exact, ""},
    {"write-offset-bytes", Match::exact, ""},
    {"bucket-namespace", Match::exact, "global"},
    // Nothing here was ever restored from an archive, so a listing has nothing to add.
    {"optional-object-attributes", Match::exact, "RestoreStatus"},
};

constexpr std::string_view kStorageClasses[] = {
    "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",     "DEEP_ARCHIVE",
    "OUTPOSTS",           "GLACIER_IR",  "SNOW",       "EXPRESS_ONEZONE",     "FSX_OPENZFS", "FSX_ONTAP",
};

// Buckets and what is in them have one owner, so granting the bucket's owner full control grants nothing new.
bool is_default_acl(std::string_view name, std::string_view value) {
  return ascii_iequals(name, "acl") && value == "bucket-owner-full-control";
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ascii_iequals(text.substr(0, prefix.size()), prefix);
}

bool fits(const HeaderRule& rule, std::string_view name) {
  return rule.match == Match::exact ? ascii_iequals(name, rule.name)
                                    : starts_with_ignoring_case(name, rule.name);
}

S3Failure unsupported_header(const HeaderField& field) {
  return S3Failure(
             S3Error::NotImplemented,
             fmt::format("The header {} with this value asks for a function that is not implemented here.",
                         field.name))
      .with("Header", field.name)
      .with("Value", field.value);
}

S3Failure invalid_value(std::string_view header) {
  return {S3Error::InvalidRequest, fmt::format("Value for {} header is invalid.", header)};
}

S3Result<void> check_storage_class(const HeaderField& field) {
  if (field.value == "STANDARD") return {};
  if (std::ranges::find(kStorageClasses, field.value) != std::end(kStorageClasses))
    return unsupported_header(field);
  return S3Failure(S3Error::InvalidStorageClass).with("StorageClassRequested", field.value);
}

// `name` is the header's behind "x-amz-".
S3Result<void> check_header(std::string_view name, const HeaderField& field, std::string_view account_id) {
  if (ascii_iequals(name, "storage-class")) return check_storage_class(field);
  if (ascii_iequals(name, "expected-bucket-owner") || ascii_iequals(name, "source-expected-bucket-owner")) {
    if (field.value == account_id) return {};
    return S3Failure(S3Error::AccessDenied,
                     "The bucket does not belong to the account given as its expected owner.");
  }
  if (ascii_iequals(name, "tagging-directive") && field.value == "REPLACE") return {};
  if (is_default_acl(name, field.value)) return {};
  for (const HeaderRule& rule : kRules) {
    if (!fits(rule, name)) continue;
    const bool passes = !rule.passing.empty() && ascii_iequals(field.value, rule.passing);
    if (!passes) return unsupported_header(field);
    return {};
  }
  return {};
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
    if (!kind) return unsupported_header(field);
    FB_CHECK(use(*kind, field));
  }
  return {};
}

S3Failure several_checksums() {
  return {S3Error::InvalidRequest,
          "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."};
}

}  // namespace

S3Result<void> check_unsupported_headers(const RequestHead& head, std::string_view account_id) {
  for (const HeaderField& field : head.headers) {
    if (field.value.empty() || !starts_with_ignoring_case(field.name, kAmzPrefix)) continue;
    FB_CHECK(check_header(field.name.substr(kAmzPrefix.size()), field, account_id));
  }
  return {};
}

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

bool wants_checksums(const RequestHead& head) {
  return ascii_iequals(head.header("x-amz-checksum-mode"), "ENABLED");
}

S3Result<ResponseOverrides> parse_response_overrides(QueryView query) {
  ResponseOverrides overrides;
  for (const QueryItem& item : query) {
    for (int i = 0; i < kSystemFieldCount; ++i) {
      const std::string_view name = kSystemHeaders[i].override_item;
      if (!item.is(name)) continue;
      auto value = decode_query(item.value);
      const bool good = value && std::ranges::none_of(*value, [](char c) {
                          return static_cast<uint8_t>(c) < 0x20 || c == 0x7F;
                        });
      if (!good) return invalid_argument("The value cannot stand in a header.", name, item.value);
      overrides.values[i] = std::move(*value);
      overrides.any = true;
    }
  }
  return overrides;
}

}  // namespace fb::s3
