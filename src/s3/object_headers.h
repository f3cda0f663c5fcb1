// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/checksum.h"
#include "s3/error.h"
#include "s3/hash.h"
#include "s3/object_metadata.h"
#include "s3/uri.h"

// What requests say in headers about the object or its transfer, beside the metadata that is stored.

namespace fb::s3 {

// Content-MD5; InvalidDigest where it is not the base64 of 16 bytes.
S3Result<std::optional<Md5Digest>> parse_content_md5(const RequestHead& head);

enum class ChecksumType : uint8_t { full_object, composite };
std::string_view to_string(ChecksumType type);  // "FULL_OBJECT"

// The checksum a client declares for the bytes of one upload: its value in a header, or only its kind, with
// the value in the trailer.
struct DeclaredChecksum {
  std::optional<ChecksumValue> value;
  std::optional<ChecksumKind> trailer;

  bool empty() const { return !value && !trailer; }
};
S3Result<DeclaredChecksum> parse_declared_checksum(const RequestHead& head);

// x-amz-checksum-algorithm and x-amz-checksum-type, as CreateMultipartUpload and CopyObject take them.
struct ChecksumChoice {
  std::optional<ChecksumKind> kind;
  std::optional<ChecksumType> type;
};
S3Result<ChecksumChoice> parse_checksum_choice(const RequestHead& head);
// The type a multipart upload gets: the one asked for where it fits the kind (else InvalidRequest), or the
// kind's default: FULL_OBJECT for CRC64NVME, COMPOSITE for the others.
S3Result<ChecksumType> resolve_checksum_type(ChecksumKind kind, std::optional<ChecksumType> asked);

// The checksum of a whole multipart object, as CompleteMultipartUpload may state it: base64, or base64-N.
struct ObjectChecksum {
  ChecksumKind kind = ChecksumKind::crc32;
  std::string_view text;
};
S3Result<std::optional<ObjectChecksum>> parse_object_checksum(const RequestHead& head);

// x-amz-checksum-mode: absent, or ENABLED.
S3Result<bool> wants_checksums(const RequestHead& head);

// response-content-type and its like, as ISO-8859-1, which headers are in; InvalidArgument where a value
// could not stand in one.
S3Result<ResponseOverrides> parse_response_overrides(QueryView query);

}  // namespace fb::s3
