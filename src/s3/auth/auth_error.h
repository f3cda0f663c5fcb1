// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "s3/response/error.h"

// Why a request was not authenticated (AuthError) or its body not accepted (BodyError), with the answers:
// code, S3's error, and a message if that error's own one does not say enough.

namespace fb::s3 {

// clang-format off
#define FB_S3_AUTH_ERRORS(X) \
  X(header_malformed, AuthorizationHeaderMalformed, "") \
  X(query_malformed, AuthorizationQueryParametersError, "") \
  /* Another scheme of AWS. */ \
  X(mechanism_unsupported, InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.") \
  /* An Authorization header of a type that is not AWS's. */ \
  X(type_unsupported, InvalidArgument, "Unsupported Authorization Type") \
  X(more_than_one_mechanism, InvalidArgument, "Sign either by the Authorization header or by the query, not by both.") \
  X(date_missing, AccessDenied, "AWS authentication requires a valid Date or x-amz-date header") \
  X(time_skewed, RequestTimeTooSkewed, "") \
  X(expired, AccessDenied, "Request has expired") \
  X(not_yet_valid, AccessDenied, "Request is not valid yet") \
  /* The host or an x-amz-* header is not among the signed ones. */ \
  X(headers_not_signed, AccessDenied, "There were headers present in the request which were not signed") \
  X(content_sha256_missing, InvalidRequest, "Missing required header for this request: x-amz-content-sha256") \
  X(content_sha256_invalid, InvalidArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-... form, or a valid SHA-256 in hex.") \
  /* Bad percent-encoding. */ \
  X(uri_malformed, InvalidURI, "") \
  X(too_many_query_items, InvalidURI, "The query has too many items.") \
  X(signature_mismatch, SignatureDoesNotMatch, "") \
  /* x-amz-security-token: there are no temporary credentials. */ \
  X(token_unknown, InvalidToken, "") \
  X(query_incomplete_v2, AccessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters") \
  X(expires_too_late, AuthorizationQueryParametersError, "Expires must be less than a week (in seconds) ahead: 604800") \
  X(item_not_signed, AccessDenied, "Signature version 2 does not cover a sub-resource of this request. Sign it with version 4 (AWS4-HMAC-SHA256).") \
  X(streaming_needs_v4, InvalidRequest, "An aws-chunked body needs signature version 4 (AWS4-HMAC-SHA256). Send the body as it is, or change the version.") \
  X(query_algorithm, AuthorizationQueryParametersError, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"") \
  X(query_credential, AuthorizationQueryParametersError, "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request\", of the day of X-Amz-Date.") \
  X(query_date, AuthorizationQueryParametersError, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"") \
  X(expires_no_number, AuthorizationQueryParametersError, "X-Amz-Expires should be a number") \
  /* Or 0. */ \
  X(expires_negative, AuthorizationQueryParametersError, "X-Amz-Expires must be non-negative") \
  X(expires_too_long, AuthorizationQueryParametersError, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds") \
  X(expires_malformed_v2, AccessDenied, "Invalid date (should be seconds since epoch)")

#define FB_S3_BODY_ERRORS(X) \
  /* The body ended early, or holds less than x-amz-decoded-content-length. */ \
  X(incomplete, IncompleteBody, "") \
  X(too_long, IncompleteBody, "The body is longer than x-amz-decoded-content-length or than its last chunk.") \
  /* A chunk's header line, size or line end. */ \
  X(chunk_malformed, IncompleteBody, "") \
  /* Bad syntax, not announced by x-amz-trailer, or announced and absent. */ \
  X(trailer_malformed, MalformedTrailerError, "") \
  /* The signature of a chunk or of the trailer. */ \
  X(signature_mismatch, SignatureDoesNotMatch, "")
// clang-format on

#define FB_S3_ENUMERATOR(code, error, message) code,
#define FB_S3_COUNT(code, error, message) +1
enum class AuthError { FB_S3_AUTH_ERRORS(FB_S3_ENUMERATOR) };
constexpr int kAuthErrorCount = 0 FB_S3_AUTH_ERRORS(FB_S3_COUNT);
enum class BodyError { FB_S3_BODY_ERRORS(FB_S3_ENUMERATOR) };
constexpr int kBodyErrorCount = 0 FB_S3_BODY_ERRORS(FB_S3_COUNT);
#undef FB_S3_ENUMERATOR
#undef FB_S3_COUNT

std::string_view to_string(AuthError error);
const ErrorDomain& error_domain(AuthError error);
std::string_view to_string(BodyError error);
const ErrorDomain& error_domain(BodyError error);

// The answer to an error of these two domains; nothing for any other.
std::optional<S3Failure> auth_failure(const Error& error);

}  // namespace fb::s3
