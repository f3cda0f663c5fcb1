// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "base/result.h"

// Signing of requests, for the clients that are part of this project and for tests.

namespace fb::s3 {

struct SigningIdentity {
  std::string_view access_key;
  std::string_view secret;
  std::string_view region = "us-east-1";
};

// The value of the Authorization header for `head`, which must already hold the headers Host, x-amz-date and
// x-amz-content-sha256. Signs all its headers but those that connections and proxies change on the way.
// AuthError where a header is missing or the target is malformed.
Result<std::string> sign_request(const RequestHead& head, const SigningIdentity& identity);

// The presigned target (path and query) for `head`: valid from `time_seconds` for `expires_seconds`. The
// headers of `head`, Host at least, are signed and must be sent with the request. The payload is unsigned
// unless x-amz-content-sha256 is among them.
struct PresignOptions {
  int64_t time_seconds = 0;
  int64_t expires_seconds = 900;
};
Result<std::string> presign(const RequestHead& head, const SigningIdentity& identity,
                            const PresignOptions& options);

}  // namespace fb::s3
