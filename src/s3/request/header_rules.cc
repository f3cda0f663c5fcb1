// SPDX-License-Identifier: Apache-2.0
#include "s3/request/header_rules.h"

#include <algorithm>
#include <span>

namespace fb::s3 {
namespace {

constexpr std::string_view kAmzPrefix = "x-amz-";
static_assert(kAmzPrefix.size() == kAmzPrefixSize);
constexpr size_t kAccountSize = 12;

using Values = std::span<const std::string_view>;

constexpr std::string_view kAcls[] = {"public-read",   "public-read-write", "authenticated-read",
                                      "aws-exec-read", "bucket-owner-read", "log-delivery-write"};
constexpr std::string_view kOwnerships[] = {"BucketOwnerPreferred", "ObjectWriter"};
constexpr std::string_view kBooleans[] = {"true", "false"};
constexpr std::string_view kLegalHolds[] = {"ON"};
constexpr std::string_view kLockModes[] = {"GOVERNANCE", "COMPLIANCE"};
constexpr std::string_view kEncryptions[] = {"AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"};
constexpr std::string_view kCustomerEncryptions[] = {"AES256"};
constexpr std::string_view kNoOthers[] = {""};
constexpr std::string_view kNamespaces[] = {"account-regional"};
constexpr std::string_view kStorageClasses[] = {
    "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",     "DEEP_ARCHIVE",
    "OUTPOSTS",           "GLACIER_IR",  "SNOW",       "EXPRESS_ONEZONE",     "FSX_OPENZFS", "FSX_ONTAP",
};

struct HeaderRule {
  std::string_view name;     // lower case, behind "x-amz-"
  std::string_view passing;  // the value that passes; none where empty
  std::string_view also;     // another one
  // The values that S3 knows beside these; any text where there are none.
  Values known{};
  S3Error unknown_error = S3Error::InvalidArgument;
  std::string_view unknown_message{};  // its own where the error's does not fit
};

constexpr HeaderRule kRules[] = {
    // Buckets and what is in them have one owner, so granting the bucket's owner full control grants nothing.
    {"acl", "private", "bucket-owner-full-control", kAcls},
    {"bucket-namespace", "global", "", kNamespaces},
    {"bucket-object-lock-enabled", "false", "", kBooleans},
    {"bypass-governance-retention", "false", "", kBooleans},
    {"copy-source-server-side-encryption-customer-algorithm", "", "", kCustomerEncryptions},
    {"object-lock-legal-hold", "OFF", "", kLegalHolds, S3Error::InvalidArgument,
     "Legal Hold must be either of 'ON' or 'OFF'"},
    {"object-lock-mode", "", "", kLockModes, S3Error::InvalidArgument, "Unknown wormMode directive."},
    {"object-ownership", "BucketOwnerEnforced", "", kOwnerships},
    // Nothing here was ever restored from an archive, so a listing has nothing to add.
    {"optional-object-attributes", "RestoreStatus", ""},
    {"request-payer", "requester", ""},
    {"server-side-encryption", "", "", kEncryptions, S3Error::InvalidArgument,
     "The encryption method specified is not supported"},
    {"server-side-encryption-bucket-key-enabled", "false", "", kBooleans},
    {"server-side-encryption-customer-algorithm", "", "", kCustomerEncryptions},
    {"storage-class", "STANDARD", "", kStorageClasses, S3Error::InvalidStorageClass},
    // Tags cannot be set, so both directives leave the copy without any.
    {"tagging-directive", "COPY", "REPLACE", kNoOthers, S3Error::InvalidArgument,
     "Unknown tagging directive."},
};

bool is_account(std::string_view text) {
  return text.size() == kAccountSize && std::ranges::all_of(text, ascii_is_digit);
}

S3Result<void> check_owner(std::string_view expected, std::string_view account_id) {
  if (expected == account_id) return {};
  if (!is_account(expected)) return S3Error::InvalidBucketOwnerAWSAccountID;
  if (account_id.ends_with(expected)) return {};
  return S3Error::AccessDenied;
}

std::string taken_by(const HeaderRule& rule) {
  if (rule.also.empty()) return std::string(rule.passing);
  return fmt::format("{} and {}", rule.passing, rule.also);
}

S3Failure unknown_value(const HeaderRule& rule, const HeaderField& field) {
  if (rule.unknown_error == S3Error::InvalidStorageClass) {
    return S3Failure(S3Error::InvalidStorageClass).with("StorageClassRequested", field.value);
  }
  if (rule.name == "object-ownership") {
    return S3Failure(S3Error::InvalidArgument,
                     fmt::format("Invalid x-amz-object-ownership header: {}", field.value))
        .with("ArgumentName", "x-amz-object-ownership");
  }
  std::string message(rule.unknown_message);
  if (message.empty()) message = fmt::format("The value of {} is not valid.", field.name);
  return invalid_argument(std::move(message), fmt::format("{}{}", kAmzPrefix, rule.name), field.value);
}

bool has_value(Values values, std::string_view value) {
  return std::ranges::any_of(values, [&](std::string_view known) { return ascii_iequals(known, value); });
}

}  // namespace

bool is_amz_header(std::string_view name) {
  return name.size() > kAmzPrefix.size() && ascii_iequals(name.substr(0, kAmzPrefix.size()), kAmzPrefix);
}

S3Result<void> check_header_value(std::string_view name, const HeaderField& field,
                                  std::string_view account_id) {
  if (name == "expected-bucket-owner" || name == "source-expected-bucket-owner")
    return check_owner(field.value, account_id);
  const auto* const rule = std::ranges::find(kRules, name, &HeaderRule::name);
  if (rule == std::end(kRules)) return unsupported_header(field, {});
  const auto is = [&](std::string_view value) { return !value.empty() && ascii_iequals(field.value, value); };
  if (is(rule->passing) || is(rule->also)) return {};
  if (!rule->known.empty() && !has_value(rule->known, field.value)) return unknown_value(*rule, field);
  return unsupported_header(field, taken_by(*rule));
}

S3Failure unsupported_header(const HeaderField& field, std::string_view taken) {
  std::string message =
      fmt::format("{} {} has the value {}", info(S3Error::NotImplemented).message, field.name, field.value);
  message += taken.empty() ? "; leave the header out." : fmt::format("; this server takes {}.", taken);
  return S3Failure(S3Error::NotImplemented, std::move(message))
      .with("Header", field.name)
      .with("Value", field.value);
}

}  // namespace fb::s3
