// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "s3/checksum/checksum_headers.h"
#include "s3/request/payload.h"
#include "s3/request/xml_body.h"

// The checksum that a multipart object gets from those of its parts, and what CompleteMultipartUpload says
// of both: what can be compared must agree. The rules stand in docs/payloads.md.

namespace fb::s3 {

// What is known of a stored part.
struct PartChecksums {
  uint64_t size_bytes = 0;
  std::optional<ChecksumValue> own;        // of its upload's algorithm, or else what the client sent
  std::optional<ChecksumValue> crc64nvme;  // beside it, if the upload has no algorithm

  std::optional<ChecksumValue> of(ChecksumKind kind) const;
};

// Compares what Complete lists of a part. InvalidPart where the value is another one.
S3Result<void> check_part(const CompletedPart& listed, const PartChecksums& stored,
                          const UploadChecksum& upload);

struct MultipartChecksum {
  ChecksumValue value;
  ChecksumType type = ChecksumType::full_object;
};
// The object's checksum: of the upload's algorithm and type; CRC64NVME, FULL_OBJECT where it has none (and
// nothing where parts were stored before that was computed). Compared with what Complete states: `stated` may
// carry the number of parts behind a composite value, or not. BadDigest where it is another one.
S3Result<std::optional<MultipartChecksum>> object_checksum(const UploadChecksum& upload,
                                                           std::span<const PartChecksums> parts,
                                                           const std::optional<ObjectChecksum>& stated,
                                                           std::optional<ChecksumType> stated_type);

}  // namespace fb::s3
