// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "s3/response/error.h"

// Why a request was not authenticated (AuthError) or its body not accepted (BodyError). Beside each code
// stands the answer S3 gives; the error table turns these into responses.

namespace fb::s3 {

enum class AuthError {
  header_malformed,         // 400 AuthorizationHeaderMalformed
  query_malformed,          // 400 AuthorizationQueryParametersError
  mechanism_unsupported,    // 400 InvalidRequest: another AWS scheme, or version 2 where it is switched off;
                            // use AWS4-HMAC-SHA256
  type_unsupported,         // 400 InvalidArgument: an Authorization header of a type that is not AWS's
  more_than_one_mechanism,  // 400 InvalidArgument: Authorization header and signed query at once
  date_missing,             // 403 AccessDenied: no valid Date or x-amz-date header
  time_skewed,              // 403 RequestTimeTooSkewed
  expired,                  // 403 AccessDenied: Request has expired
  not_yet_valid,            // 403 AccessDenied: Request is not valid yet
  headers_not_signed,       // 403 AccessDenied: host or an x-amz-* header is not among the signed ones
  content_sha256_missing,   // 400 InvalidRequest: Missing required header for this request:
                            // x-amz-content-sha256
  content_sha256_invalid,   // 400 InvalidArgument: x-amz-content-sha256 must be UNSIGNED-PAYLOAD,
                            // STREAMING-... or a hash
  uri_malformed,            // 400 InvalidURI: bad percent-encoding
  too_many_query_items,     // 400 InvalidURI
  signature_mismatch,       // 403 SignatureDoesNotMatch
  token_unknown,            // 400 InvalidToken: x-amz-security-token, of which there is none here
  query_incomplete_v2,      // 403 AccessDenied: Signature, Expires and AWSAccessKeyId belong together
  expires_too_late,         // 400 AuthorizationQueryParametersError: more than seven days ahead
  item_not_signed,          // 403 AccessDenied: a sub-resource that version 2 does not cover
  streaming_needs_v4,       // 400 InvalidRequest: aws-chunked under version 2
  // 400 AuthorizationQueryParametersError, each with its own text:
  query_algorithm,       // X-Amz-Algorithm is another one
  query_credential,      // X-Amz-Credential is malformed, or of another date than X-Amz-Date
  query_date,            // X-Amz-Date is no date
  expires_no_number,     // X-Amz-Expires
  expires_negative,      // or 0
  expires_too_long,      // more than seven days
  expires_malformed_v2,  // 403 AccessDenied: Expires of version 2 is no number
};
std::string_view to_string(AuthError error);
const ErrorDomain& error_domain(AuthError error);

enum class BodyError {
  incomplete,  // 400 IncompleteBody: the body ended early, or holds less than x-amz-decoded-content-length
  too_long,    // 400 IncompleteBody: bytes behind the end, or more than x-amz-decoded-content-length
  chunk_malformed,     // 400 IncompleteBody: a chunk's header line, size or line end is not well-formed
  trailer_malformed,   // 400 MalformedTrailerError: bad syntax, not announced by x-amz-trailer, or announced
                       // and absent
  signature_mismatch,  // 403 SignatureDoesNotMatch: of a chunk or of the trailer
};
std::string_view to_string(BodyError error);
const ErrorDomain& error_domain(BodyError error);

// The answer to an error of these two domains; nothing for any other.
std::optional<S3Failure> auth_failure(const Error& error);

}  // namespace fb::s3
