// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/error.h"
#include "s3/object_metadata.h"
#include "s3/uri.h"

// What requests say in headers about the object, beside the metadata that is stored (object_metadata.h) and
// the body (payload.h, checksum_headers.h).

namespace fb::s3 {

// Headers of functions that are not built: the value that means S3's default passes, any other one is
// NotImplemented (an unknown storage class InvalidStorageClass, another account's x-amz-expected-bucket-owner
// AccessDenied). Every parser of requests calls it. Unknown headers pass.
S3Result<void> check_unsupported_headers(const RequestHead& head, std::string_view account_id);

// x-amz-checksum-mode: ENABLED.
bool wants_checksums(const RequestHead& head);

// response-content-type and its like; InvalidArgument where a value could not stand in a header.
S3Result<ResponseOverrides> parse_response_overrides(QueryView query);

}  // namespace fb::s3
