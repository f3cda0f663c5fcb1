// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/auth_error.h"

namespace fb::s3 {

std::string_view to_string(AuthError error) {
  switch (error) {
    case AuthError::header_malformed:
      return "header_malformed";
    case AuthError::query_malformed:
      return "query_malformed";
    case AuthError::mechanism_unsupported:
      return "mechanism_unsupported";
    case AuthError::type_unsupported:
      return "type_unsupported";
    case AuthError::more_than_one_mechanism:
      return "more_than_one_mechanism";
    case AuthError::date_missing:
      return "date_missing";
    case AuthError::time_skewed:
      return "time_skewed";
    case AuthError::expired:
      return "expired";
    case AuthError::not_yet_valid:
      return "not_yet_valid";
    case AuthError::headers_not_signed:
      return "headers_not_signed";
    case AuthError::content_sha256_missing:
      return "content_sha256_missing";
    case AuthError::content_sha256_invalid:
      return "content_sha256_invalid";
    case AuthError::uri_malformed:
      return "uri_malformed";
    case AuthError::too_many_query_items:
      return "too_many_query_items";
    case AuthError::signature_mismatch:
      return "signature_mismatch";
    case AuthError::token_unknown:
      return "token_unknown";
    case AuthError::query_incomplete_v2:
      return "query_incomplete_v2";
    case AuthError::expires_too_late:
      return "expires_too_late";
    case AuthError::item_not_signed:
      return "item_not_signed";
    case AuthError::streaming_needs_v4:
      return "streaming_needs_v4";
    case AuthError::query_algorithm:
      return "query_algorithm";
    case AuthError::query_credential:
      return "query_credential";
    case AuthError::query_date:
      return "query_date";
    case AuthError::expires_no_number:
      return "expires_no_number";
    case AuthError::expires_negative:
      return "expires_negative";
    case AuthError::expires_too_long:
      return "expires_too_long";
    case AuthError::expires_malformed_v2:
      return "expires_malformed_v2";
  }
  return "unknown";
}

std::string_view to_string(BodyError error) {
  switch (error) {
    case BodyError::incomplete:
      return "incomplete";
    case BodyError::too_long:
      return "too_long";
    case BodyError::chunk_malformed:
      return "chunk_malformed";
    case BodyError::trailer_malformed:
      return "trailer_malformed";
    case BodyError::signature_mismatch:
      return "signature_mismatch";
  }
  return "unknown";
}

const ErrorDomain& error_domain(AuthError) {
  static constexpr ErrorDomain kDomain{
      "s3.auth", [](int code) -> std::string_view { return to_string(static_cast<AuthError>(code)); }};
  return kDomain;
}

const ErrorDomain& error_domain(BodyError) {
  static constexpr ErrorDomain kDomain{
      "s3.body", [](int code) -> std::string_view { return to_string(static_cast<BodyError>(code)); }};
  return kDomain;
}

namespace {

S3Failure failure_of(AuthError error) {
  switch (error) {
    case AuthError::header_malformed:
      return S3Error::AuthorizationHeaderMalformed;
    case AuthError::query_malformed:
      return S3Error::AuthorizationQueryParametersError;
    case AuthError::mechanism_unsupported:
      return {S3Error::InvalidRequest,
              "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."};
    case AuthError::type_unsupported:
      return {S3Error::InvalidArgument, "Unsupported Authorization Type"};
    case AuthError::more_than_one_mechanism:
      return {S3Error::InvalidArgument,
              "Sign either by the Authorization header or by the query, not by both."};
    case AuthError::date_missing:
      return {S3Error::AccessDenied, "AWS authentication requires a valid Date or x-amz-date header"};
    case AuthError::time_skewed:
      return S3Error::RequestTimeTooSkewed;
    case AuthError::expired:
      return {S3Error::AccessDenied, "Request has expired"};
    case AuthError::not_yet_valid:
      return {S3Error::AccessDenied, "Request is not valid yet"};
    case AuthError::headers_not_signed:
      return {S3Error::AccessDenied, "There were headers present in the request which were not signed"};
    case AuthError::content_sha256_missing:
      return {S3Error::InvalidRequest, "Missing required header for this request: x-amz-content-sha256"};
    case AuthError::content_sha256_invalid:
      return {
          S3Error::InvalidArgument,
          "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-... form, or a valid SHA-256 in hex."};
    case AuthError::uri_malformed:
      return S3Error::InvalidURI;
    case AuthError::too_many_query_items:
      return {S3Error::InvalidURI, "The query has too many items."};
    case AuthError::signature_mismatch:
      return S3Error::SignatureDoesNotMatch;
    case AuthError::token_unknown:
      return S3Error::InvalidToken;
    case AuthError::query_incomplete_v2:
      return {S3Error::AccessDenied,
              "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"};
    case AuthError::expires_too_late:
      return {S3Error::AuthorizationQueryParametersError,
              "Expires must be less than a week (in seconds) ahead: 604800"};
    case AuthError::item_not_signed:
      return {S3Error::AccessDenied,
              "Signature version 2 does not cover a sub-resource of this request. Sign it with version 4 "
              "(AWS4-HMAC-SHA256)."};
    case AuthError::query_algorithm:
      return {S3Error::AuthorizationQueryParametersError,
              "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""};
    case AuthError::query_credential:
      return {S3Error::AuthorizationQueryParametersError,
              "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
              "\"<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request\", of the day of X-Amz-Date."};
    case AuthError::query_date:
      return {S3Error::AuthorizationQueryParametersError,
              "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""};
    case AuthError::expires_no_number:
      return {S3Error::AuthorizationQueryParametersError, "X-Amz-Expires should be a number"};
    case AuthError::expires_negative:
      return {S3Error::AuthorizationQueryParametersError, "X-Amz-Expires must be non-negative"};
    case AuthError::expires_too_long:
      return {S3Error::AuthorizationQueryParametersError,
              "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
              "less than 604800 seconds"};
    case AuthError::expires_malformed_v2:
      return {S3Error::AccessDenied, "Invalid date (should be seconds since epoch)"};
    case AuthError::streaming_needs_v4:
      return {S3Error::InvalidRequest,
              "An aws-chunked body needs signature version 4 (AWS4-HMAC-SHA256). Send the body as it is, or "
              "change the version."};
  }
  return S3Error::AccessDenied;
}

S3Failure failure_of(BodyError error) {
  switch (error) {
    case BodyError::incomplete:
      return S3Error::IncompleteBody;
    case BodyError::too_long:
      return {S3Error::IncompleteBody,
              "The body is longer than x-amz-decoded-content-length or than its last chunk."};
    case BodyError::chunk_malformed:
      return S3Error::IncompleteBody;
    case BodyError::trailer_malformed:
      return S3Error::MalformedTrailerError;
    case BodyError::signature_mismatch:
      return S3Error::SignatureDoesNotMatch;
  }
  return S3Error::InvalidRequest;
}

}  // namespace

std::optional<S3Failure> auth_failure(const Error& error) {
  if (&error.domain() == &error_domain(AuthError::expired))
    return failure_of(static_cast<AuthError>(error.code()));
  if (&error.domain() == &error_domain(BodyError::incomplete))
    return failure_of(static_cast<BodyError>(error.code()));
  return std::nullopt;
}

}  // namespace fb::s3
