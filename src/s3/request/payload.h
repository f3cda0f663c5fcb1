// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/checksum_headers.h"
#include "s3/checksum/hash.h"
#include "s3/operation.h"
#include "s3/response/error.h"

// One decision about a request's body, made from its head before any byte of the body is read: how it is
// framed, how large its content is and what it is compared with; or why it is refused. The rules stand in
// docs/payloads.md, in the order in which they are applied here: the first that is broken gives the answer.

namespace fb::s3 {

// As CreateMultipartUpload made the upload.
struct UploadChecksum {
  std::optional<ChecksumKind> kind;
  ChecksumType type = ChecksumType::full_object;
};

struct PayloadRequest {
  const RequestHead& head;
  PayloadKind kind = PayloadKind::unsigned_payload;
  std::optional<uint64_t> content_length;  // none for "Transfer-Encoding: chunked"; 0 where there is no body
  PayloadUse use = PayloadUse::document;
  UploadChecksum upload{};  // of a part
};

struct PayloadPlan {
  PayloadKind kind = PayloadKind::unsigned_payload;
  std::optional<uint64_t> size_bytes;  // of the content, without framing
  std::optional<Md5Digest> content_md5;
  std::optional<ChecksumValue> checksum;  // what the content must have
  std::optional<ChecksumKind> trailer;    // or the trailer says it
  std::string_view announced_trailers;    // x-amz-trailer; a view into the head
  std::optional<ChecksumKind> computed;   // the kind of these, or of what is to be stored without them
  bool with_crc64nvme = false;  // beside it, for the object: of a part whose upload has no algorithm
};
// Allocates nothing unless it refuses.
S3Result<PayloadPlan> plan_payload(const PayloadRequest& request);

}  // namespace fb::s3
