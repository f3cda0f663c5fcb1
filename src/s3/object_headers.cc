// SPDX-License-Identifier: Apache-2.0
#include "s3/object_headers.h"

#include <algorithm>

namespace fb::s3 {
namespace {

constexpr std::string_view kAmzPrefix = "x-amz-";

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

}  // namespace

S3Result<void> check_unsupported_headers(const RequestHead& head, std::string_view account_id) {
  for (const HeaderField& field : head.headers) {
    if (field.value.empty() || !starts_with_ignoring_case(field.name, kAmzPrefix)) continue;
    FB_CHECK(check_header(field.name.substr(kAmzPrefix.size()), field, account_id));
  }
  return {};
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
