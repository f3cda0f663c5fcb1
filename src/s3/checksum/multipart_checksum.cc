// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/multipart_checksum.h"

#include <algorithm>

#include "base/assert.h"

namespace fb::s3 {
namespace {

S3Failure several_of_part(const CompletedPart& listed) {
  std::string given;
  for (const ChecksumValue& value : listed.checksums)
    given += fmt::format("{}:{};", checksum_name(value.kind()), value.to_base64());
  return invalid_argument("Invalid Base64 or multiple checksums present in request", "Checksum", given);
}

S3Failure bad_digest(ChecksumKind kind) {
  return {S3Error::BadDigest,
          fmt::format("The {} you specified did not match the calculated checksum.", checksum_name(kind))};
}

// From the parts' checksums of that kind; nothing where one of them has none.
std::optional<ChecksumValue> combined(std::span<const PartChecksums> parts, ChecksumKind kind,
                                      ChecksumType type) {
  FB_ASSERT(type == ChecksumType::composite ? can_be_composite(kind) : can_be_full_object(kind), kind);
  Checksum of_checksums(kind);
  std::optional<ChecksumValue> whole;
  for (const PartChecksums& part : parts) {
    const std::optional<ChecksumValue> value = part.of(kind);
    if (!value) return std::nullopt;
    if (type == ChecksumType::composite) {
      of_checksums.update(value->bytes());
    } else {
      whole = whole ? combine(*whole, *value, part.size_bytes) : value;
    }
  }
  return type == ChecksumType::composite ? of_checksums.finish() : whole;
}

bool states(const ObjectChecksum& stated, const ChecksumValue& value, ChecksumType type, size_t part_count) {
  if (stated.text == value.to_base64()) return true;
  return type == ChecksumType::composite &&
         stated.text == CompositeValue{value, static_cast<uint32_t>(part_count)}.to_string();
}

// What is stated of an object whose upload has no algorithm, in the one or two ways in which it can be meant.
// Where parts have no checksum of that kind it cannot be compared, and is ignored as AWS ignores it.
S3Result<void> check_unasked(std::span<const PartChecksums> parts, const ObjectChecksum& stated) {
  bool known = false;
  for (const ChecksumType type : {ChecksumType::full_object, ChecksumType::composite}) {
    const bool possible =
        type == ChecksumType::composite ? can_be_composite(stated.kind) : can_be_full_object(stated.kind);
    if (!possible) continue;
    const auto value = combined(parts, stated.kind, type);
    if (value && states(stated, *value, type, parts.size())) return {};
    known = known || value.has_value();
  }
  if (known) return bad_digest(stated.kind);
  return {};
}

S3Result<void> check_type(const UploadChecksum& upload, std::optional<ChecksumType> stated) {
  if (!stated || *stated == upload.type) return {};  // without an algorithm it is FULL_OBJECT
  return S3Failure(S3Error::InvalidRequest,
                   fmt::format("The upload was created using the {} checksum mode. The complete request must "
                               "use the same checksum mode.",
                               upload.kind ? to_string(upload.type) : "null"));
}

}  // namespace

std::optional<ChecksumValue> PartChecksums::of(ChecksumKind kind) const {
  if (own && own->kind() == kind) return own;
  return kind == ChecksumKind::crc64nvme ? crc64nvme : std::nullopt;
}

S3Result<void> check_part(const CompletedPart& listed, const PartChecksums& stored,
                          const UploadChecksum& upload) {
  if (listed.checksums.size() > 1) return several_of_part(listed);
  if (listed.checksums.empty()) {
    if (!upload.kind || upload.type == ChecksumType::full_object) return {};
    return S3Failure(
        S3Error::InvalidRequest,
        fmt::format("The upload was created using a {} checksum. The complete request must include "
                    "the checksum for each part. It was missing for part {} in the request.",
                    lower_name(*upload.kind), listed.number));
  }
  const ChecksumValue& given = listed.checksums.front();
  if (upload.kind && given.kind() != *upload.kind) {
    return S3Failure(S3Error::BadDigest,
                     fmt::format("The {} you specified for part {} did not match what we received.",
                                 lower_name(given.kind()), listed.number));
  }
  if (stored.of(given.kind()) != given) return S3Error::InvalidPart;
  return {};
}

S3Result<std::optional<MultipartChecksum>> object_checksum(const UploadChecksum& upload,
                                                           std::span<const PartChecksums> parts,
                                                           const std::optional<ObjectChecksum>& stated,
                                                           std::optional<ChecksumType> stated_type) {
  FB_CHECK(check_type(upload, stated_type));
  if (!upload.kind) {
    if (stated) FB_CHECK(check_unasked(parts, *stated));
    const auto value = combined(parts, ChecksumKind::crc64nvme, ChecksumType::full_object);
    if (!value) return std::optional<MultipartChecksum>();
    return std::optional(MultipartChecksum{.value = *value});
  }
  if (stated && stated->kind != *upload.kind)
    return checksum_mismatch(lower_name(*upload.kind), lower_name(stated->kind));
  const auto value = combined(parts, *upload.kind, upload.type);
  if (!value) {
    return S3Failure(S3Error::InvalidRequest,
                     fmt::format("A part has no {} checksum. Upload it again.", checksum_name(*upload.kind)));
  }
  if (stated && !states(*stated, *value, upload.type, parts.size())) return bad_digest(*upload.kind);
  return std::optional(MultipartChecksum{.value = *value, .type = upload.type});
}

}  // namespace fb::s3
