// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/response/error.h"
#include "s3/response/object_metadata.h"
#include "s3/uri.h"

// What requests say in headers about the object, beside the metadata that is stored (object_metadata.h) and
// the body (payload.h, checksum_headers.h).

namespace fb::s3 {

// x-amz-checksum-mode: absent, or ENABLED.
S3Result<bool> wants_checksums(const RequestHead& head);

// response-content-type and its like, as ISO-8859-1, which headers are in; InvalidArgument where a value
// could not stand in one.
S3Result<ResponseOverrides> parse_response_overrides(QueryView query);

}  // namespace fb::s3
