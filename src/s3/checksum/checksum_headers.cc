// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/checksum_headers.h"

#include <algorithm>

#include "base/ascii.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kPrefix = "x-amz-checksum-";
constexpr std::string_view kAlgorithm = "x-amz-checksum-algorithm";
constexpr std::string_view kType = "x-amz-checksum-type";
// AWS takes these; here they are not built.
constexpr std::string_view kOthersOfAws[] = {"md5", "sha512", "xxhash64", "xxhash3", "xxhash128"};

// The value of the only field of that name; null data where there is none.
S3Result<std::string_view> only_value(const RequestHead& head, std::string_view name) {
  std::string_view value;
  for (const HeaderField& field : head.headers) {
    if (!ascii_iequals(field.name, name)) continue;
    if (value.data() != nullptr) return repeated_header(field);
    value = field.value;
  }
  return value;
}

}  // namespace

std::string_view to_string(ChecksumType type) {
  return type == ChecksumType::full_object ? "FULL_OBJECT" : "COMPOSITE";
}

S3Result<ChecksumChoice> parse_checksum_choice(const RequestHead& head) {
  ChecksumChoice choice;
  FB_TRY(const std::string_view algorithm, only_value(head, kAlgorithm));
  if (!algorithm.empty()) {
    choice.kind = checksum_kind_of_name(algorithm);
    if (!choice.kind) {
      return S3Failure(
          S3Error::InvalidRequest,
          "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
          "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    }
  }
  FB_TRY(const std::string_view type, only_value(head, kType));
  if (type.empty()) return choice;
  for (const ChecksumType known : {ChecksumType::full_object, ChecksumType::composite}) {
    if (ascii_iequals(type, to_string(known))) choice.type = known;
  }
  if (!choice.type) return invalid_header_value(kType);
  return choice;
}

S3Result<ChecksumType> resolve_checksum_type(ChecksumKind kind, std::optional<ChecksumType> asked) {
  const ChecksumType type =
      asked.value_or(can_be_composite(kind) ? ChecksumType::composite : ChecksumType::full_object);
  const bool fits_kind = type == ChecksumType::composite ? can_be_composite(kind) : can_be_full_object(kind);
  if (!fits_kind) {
    return S3Failure(S3Error::InvalidRequest,
                     fmt::format("The {} checksum type cannot be used with the {} checksum algorithm.",
                                 to_string(type), lower_name(kind)));
  }
  return type;
}

S3Result<std::optional<ObjectChecksum>> parse_object_checksum(const RequestHead& head) {
  std::optional<ObjectChecksum> found;
  for (const HeaderField& field : head.headers) {
    if (!is_checksum_value_header(field.name)) continue;
    const auto kind = checksum_kind_of_header(field.name);
    if (!kind) return unknown_checksum(field.name);
    if (found) return found->kind == *kind ? repeated_header(field) : several_checksums();
    if (!ChecksumValue::parse(*kind, field.value) && !CompositeValue::parse(*kind, field.value))
      return invalid_header_value(checksum_header(*kind));
    found = {*kind, field.value};
  }
  return found;
}

bool is_checksum_value_header(std::string_view name) {
  if (name.size() <= kPrefix.size() || !ascii_iequals(name.substr(0, kPrefix.size()), kPrefix)) return false;
  const std::string_view suffix = name.substr(kPrefix.size());
  return !ascii_iequals(suffix, "algorithm") && !ascii_iequals(suffix, "type") &&
         !ascii_iequals(suffix, "mode");
}

std::string lower_name(ChecksumKind kind) {
  std::string name(checksum_name(kind));
  std::ranges::transform(name, name.begin(), ascii_lower);
  return name;
}

S3Failure repeated_header(const HeaderField& second) {
  return invalid_argument("Only one value may be specified.", second.name, second.value);
}

S3Failure several_checksums() {
  return {S3Error::InvalidRequest,
          "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."};
}

S3Failure unknown_checksum(std::string_view header) {
  const std::string_view name = header.substr(std::min(kPrefix.size(), header.size()));
  for (const std::string_view other : kOthersOfAws) {
    if (ascii_iequals(name, other)) return not_implemented(fmt::format("The checksum {}", other));
  }
  return {S3Error::InvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid."};
}

S3Failure invalid_header_value(std::string_view header) {
  return {S3Error::InvalidRequest, fmt::format("Value for {} header is invalid.", header)};
}

S3Failure checksum_mismatch(std::string_view expected, std::string_view sent) {
  return {S3Error::InvalidRequest,
          fmt::format("Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                      expected, sent)};
}

}  // namespace fb::s3
