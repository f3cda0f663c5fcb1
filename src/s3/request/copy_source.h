// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "s3/response/error.h"

namespace fb::s3 {

// x-amz-copy-source: "[/]bucket/key[?versionId=id]", encoded as a query is ('+' is a space), since SDKs of
// Go, PHP and Java encode it so. A version other than "null" and sources named by ARN (access points) are
// NotImplemented.
struct CopySource {
  std::string bucket;
  std::string key;
};
S3Result<CopySource> parse_copy_source(std::string_view text);

}  // namespace fb::s3
