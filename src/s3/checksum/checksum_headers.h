// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/checksum/checksum.h"
#include "s3/response/error.h"

// What the headers of requests say about checksums of objects and of uploads. What they say about the body of
// the request itself is payload.h's.

namespace fb::s3 {

enum class ChecksumType : uint8_t { full_object, composite };
std::string_view to_string(ChecksumType type);  // "FULL_OBJECT"

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

// True for the name of a header that carries the value of a checksum, of whatever algorithm.
bool is_checksum_value_header(std::string_view name);
// "crc64nvme", as AWS's messages write it.
std::string lower_name(ChecksumKind kind);

// The refusals that more than one place gives.
S3Failure repeated_header(const HeaderField& second);                           // of one name, twice
S3Failure several_checksums();                                                  // of two algorithms
S3Failure unknown_checksum(std::string_view header);                            // of an algorithm not built
S3Failure invalid_header_value(std::string_view header);                        // "Value for ... is invalid."
S3Failure checksum_mismatch(std::string_view expected, std::string_view sent);  // of algorithms

}  // namespace fb::s3
