// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "base/result.h"
#include "s3/auth/sigv4.h"

// Authentication by AWS signature version 2: older SDKs and tools know nothing else, and boto3 makes
// presigned URLs with it unless told otherwise.
//
//   Authorization: AWS AccessKey:Signature            or, in the query,
//   ?AWSAccessKeyId=AccessKey&Expires=UnixTime&Signature=Signature
//
//   Signature = base64(HMAC-SHA1(secret, method \n Content-MD5 \n Content-Type \n date \n x-amz-* lines,
//   resource))
//
// The date is that of the Date header, nothing beside x-amz-date, and in a query Expires. There is a line
// "name:value" for each x-amz-* header and for each such item of the query, which counts as a header; lines
// are sorted. The resource is "/bucket" of a virtual host, the path as sent, and those items of the query
// that steer the operation, sorted and decoded.
//
// Weaker than version 4, and therefore bounded:
//   - The host is signed by its bucket only, the body not at all. A hash in x-amz-content-sha256 is compared
//     all the same; the aws-chunked forms are refused.
//   - Items of the query outside the list are not signed. An operation that they would select (renameObject)
//     is refused; prefixes and markers of listings stay open to whoever holds the URL, as at AWS.
//   - Times and expiries have the bounds of version 4: 15 minutes, 7 days.

namespace fb::s3 {

// Parsers of parse_auth(), which chooses between the versions and makes sure that there is one signature
// only.
Result<AuthRequest> parse_v2_header(const RequestHead& head, std::string_view authorization);
Result<AuthRequest> parse_v2_query(const RequestHead& head);

// Checks time, items and signature. `bucket` is that of the virtual host, if the request's host is one.
Result<void> verify_v2(const RequestHead& head, const AuthRequest& auth, std::string_view secret,
                       int64_t now_seconds, std::optional<std::string_view> bucket);

// For the answer to a mismatch, and for the signer of tests.
Result<std::string> string_to_sign_v2(const RequestHead& head, const AuthRequest& auth,
                                      std::optional<std::string_view> bucket);
std::string signature_v2(std::string_view secret, std::string_view string_to_sign);

}  // namespace fb::s3
