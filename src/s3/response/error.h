// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

// The errors of S3: code, HTTP status and default message stand in this one list. A message says what is
// wrong and, where the client can act on it, what to do.

namespace fb::s3 {

// clang-format off
#define FB_S3_ERRORS(X) \
  X(AccessDenied, 403, "Access Denied.") \
  X(AccessForbidden, 403, "CORSResponse: CORS is not enabled for this bucket.") \
  X(AuthorizationHeaderMalformed, 400, "The authorization header you provided is invalid.") \
  X(AuthorizationQueryParametersError, 400, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.") \
  X(BadDigest, 400, "The Content-MD5 you specified did not match what we received.") \
  X(BadRequest, 400, "An error occurred when parsing the HTTP request.") \
  X(BucketAlreadyExists, 409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.") \
  X(BucketAlreadyOwnedByYou, 409, "Your previous request to create the named bucket succeeded and you already own it.") \
  X(BucketNotEmpty, 409, "The bucket you tried to delete is not empty.") \
  X(ConditionalRequestConflict, 409, "The conditional request cannot succeed due to a conflicting operation against this resource.") \
  X(DirectoryNotEmpty, 409, "Something lies beneath the destination already. Choose another name, or delete what is there first.") \
  X(EntityTooLarge, 400, "Your proposed upload exceeds the maximum allowed object size.") \
  X(EntityTooSmall, 400, "Your proposed upload is smaller than the minimum allowed size") \
  X(ExpiredToken, 400, "The provided token has expired.") \
  X(IdempotencyParameterMismatch, 400, "The client token was used before with other parameters. Use a new token for a new request.") \
  X(IllegalLocationConstraintException, 400, "The location constraint is incompatible for the region specific endpoint this request was sent to.") \
  X(IncompleteBody, 400, "The request body terminated unexpectedly") \
  X(InsufficientStorage, 507, "The store is full. Delete objects or add storage, then repeat the request.") \
  X(InternalError, 500, "We encountered an internal error, please try again.") \
  X(InvalidAccessKeyId, 403, "The AWS Access Key Id you provided does not exist in our records.") \
  X(InvalidArgument, 400, "Invalid Argument") \
  X(InvalidBucketName, 400, "The specified bucket is not valid.") \
  X(InvalidBucketOwnerAWSAccountID, 400, "The value of the expected bucket owner parameter must be an AWS account ID.") \
  X(InvalidBucketState, 409, "The request is not valid with the current state of the bucket.") \
  X(InvalidChunkSizeError, 403, "Only the last chunk is allowed to have a size less than 8192 bytes") \
  X(InvalidDigest, 400, "The Content-Md5 you specified is not valid.") \
  X(InvalidLocationConstraint, 400, "The specified location-constraint is not valid") \
  X(InvalidObjectState, 403, "The operation is not valid for the current state of the object.") \
  X(InvalidPart, 400, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.") \
  X(InvalidPartNumber, 416, "The requested partnumber is not satisfiable.") \
  X(InvalidPartOrder, 400, "The list of parts was not in ascending order. Parts must be ordered by part number.") \
  X(InvalidRange, 416, "The requested range is not satisfiable") \
  X(InvalidRequest, 400, "Invalid Request.") \
  X(InvalidStorageClass, 400, "The storage class you specified is not valid") \
  X(InvalidTag, 400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.") \
  X(InvalidToken, 400, "The provided token is malformed or otherwise invalid.") \
  X(InvalidURI, 400, "The specified URI couldn't be parsed.") \
  X(KeyTooLongError, 400, "Your key is too long.") \
  X(MalformedPolicy, 400, "This policy contains invalid Json") \
  X(MalformedPOSTRequest, 400, "The body of your POST request is not well-formed multipart/form-data.") \
  X(MalformedTrailerError, 400, "The request contained trailing data that was not well-formed or did not conform to our published schema.") \
  X(MalformedXML, 400, "The XML you provided was not well-formed or did not validate against our published schema.") \
  X(MaxMessageLengthExceeded, 400, "Your request was too big.") \
  X(MetadataTooLarge, 400, "Your metadata headers exceed the maximum allowed metadata size") \
  X(MethodNotAllowed, 405, "The specified method is not allowed against this resource.") \
  X(MissingContentLength, 411, "You must provide the Content-Length HTTP header.") \
  X(MissingRequestBodyError, 400, "Request Body is empty") \
  X(MissingSecurityHeader, 400, "Your request was missing a required header.") \
  X(NoSuchBucket, 404, "The specified bucket does not exist.") \
  X(NoSuchBucketPolicy, 404, "The bucket policy does not exist.") \
  X(NoSuchConfiguration, 404, "The specified configuration does not exist.") \
  X(NoSuchCORSConfiguration, 404, "The CORS configuration does not exist") \
  X(NoSuchKey, 404, "The specified key does not exist.") \
  X(NoSuchLifecycleConfiguration, 404, "The lifecycle configuration does not exist") \
  X(NoSuchObjectLockConfiguration, 404, "The specified object does not have a ObjectLock configuration.") \
  X(NoSuchPublicAccessBlockConfiguration, 404, "The public access block configuration was not found") \
  X(NoSuchTagSet, 404, "The TagSet does not exist.") \
  X(NoSuchUpload, 404, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.") \
  X(NoSuchVersion, 404, "The specified version does not exist.") \
  X(NoSuchWebsiteConfiguration, 404, "The specified bucket does not have a website configuration") \
  X(NotImplemented, 501, "A header you provided implies functionality that is not implemented.") \
  X(NotModified, 304, "Not Modified") \
  X(ObjectLockConfigurationNotFoundError, 404, "Object Lock configuration does not exist for this bucket.") \
  X(OperationAborted, 409, "A conflicting conditional operation is currently in progress against this resource. Please try again.") \
  X(OwnershipControlsNotFoundError, 404, "The bucket ownership controls were not found.") \
  X(PreconditionFailed, 412, "At least one of the pre-conditions you specified did not hold.") \
  X(ReplicationConfigurationNotFoundError, 404, "The replication configuration was not found") \
  X(RequestHeaderSectionTooLarge, 400, "Your request header section exceeds the maximum allowed size.") \
  X(RequestTimeout, 400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.") \
  X(RequestTimeTooSkewed, 403, "The difference between the request time and the current time is too large.") \
  X(ServerSideEncryptionConfigurationNotFoundError, 404, "The server side encryption configuration was not found") \
  X(ServiceUnavailable, 503, "Service is unable to handle request.") \
  X(SignatureDoesNotMatch, 403, "The request signature we calculated does not match the signature you provided. Check your key and signing method.") \
  X(SlowDown, 503, "Please reduce your request rate.") \
  X(TooManyBuckets, 400, "You have attempted to create more buckets than allowed") \
  X(UnexpectedContent, 400, "This request does not support content.") \
  X(XAmzContentSHA256Mismatch, 400, "The provided 'x-amz-content-sha256' header does not match what was computed.")
// clang-format on

enum class S3Error : uint8_t {
#define FB_S3_ENUMERATOR(code, status, message) code,
  FB_S3_ERRORS(FB_S3_ENUMERATOR)
#undef FB_S3_ENUMERATOR
};

#define FB_S3_COUNT(code, status, message) +1
constexpr int kS3ErrorCount = 0 FB_S3_ERRORS(FB_S3_COUNT);
#undef FB_S3_COUNT

struct S3ErrorInfo {
  std::string_view code;  // "NoSuchKey", as the XML says
  uint16_t status;
  std::string_view message;
};

const S3ErrorInfo& info(S3Error error);
std::string_view to_string(S3Error error);
const ErrorDomain& error_domain(S3Error);

// An error on its way to the client: the code, a message of its own where the default does not suffice, and
// the further elements some errors carry (<BucketName>, <Key>, <ArgumentName>, ...).
struct S3Failure {
  S3Error error = S3Error::InternalError;
  std::string message;                                             // empty: the default
  std::vector<std::pair<std::string_view, std::string>> elements;  // names are literals
  std::optional<Error> cause;  // of a failure inside the server: for its log, never for the client

  S3Failure(S3Error code) : error(code) {}  // NOLINT: implicit
  S3Failure(S3Error code, std::string text) : error(code), message(std::move(text)) {}

  // By value: an assignment to what it was called on is no assignment to itself, which would lose the
  // elements.
  S3Failure with(std::string_view element, std::string_view value) &&;
  uint16_t status() const { return info(error).status; }
  std::string_view code() const { return info(error).code; }
  std::string_view text() const { return message.empty() ? info(error).message : std::string_view(message); }
};

// InvalidArgument with the elements AWS adds to it.
S3Failure invalid_argument(std::string message, std::string_view name, std::string_view value);
// NotImplemented for a header, query item or element that is known but not built.
S3Failure not_implemented(std::string_view what);

// An Error of this module's domains (S3Error, AuthError, BodyError) becomes its failure; any other one is
// InternalError. Callers map the domains they know before they come here.
S3Failure to_failure(const Error& error);

// What functions of the protocol return. FB_TRY and FB_CHECK carry the failure on.
template <class T>
class [[nodiscard]] S3Result : public std::expected<T, S3Failure> {
  using Base = std::expected<T, S3Failure>;

 public:
  using Base::Base;
  S3Result(S3Failure failure) : Base(std::unexpect, std::move(failure)) {}  // NOLINT: implicit
  S3Result(S3Error error) : Base(std::unexpect, error) {}                   // NOLINT: implicit
};

// The body of an error response. `resource` is the path of the request; it may hold any bytes, the result is
// well-formed XML all the same. HEAD and 304 responses carry no body.
void append_error_xml(const S3Failure& failure, std::string_view resource, std::string_view request_id,
                      std::string_view host_id, std::string& out);

}  // namespace fb::s3
