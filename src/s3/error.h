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
  X(AccessDenied, 403, "Access denied. Check that the access key may use this bucket and that the request is signed.") \
  X(AuthorizationHeaderMalformed, 400, "The Authorization header is malformed. Send AWS4-HMAC-SHA256 with Credential, SignedHeaders and Signature.") \
  X(AuthorizationQueryParametersError, 400, "The X-Amz-* query parameters of the presigned URL are incomplete or malformed. Create the URL again.") \
  X(BadDigest, 400, "The checksum you sent does not match the data received. Send the object again.") \
  X(BadRequest, 400, "The request is malformed.") \
  X(BucketAlreadyExists, 409, "A bucket of this name exists and belongs to somebody else. Choose another name.") \
  X(BucketAlreadyOwnedByYou, 409, "You already own a bucket of this name.") \
  X(BucketNotEmpty, 409, "The bucket is not empty. Delete its objects and abort its multipart uploads first.") \
  X(ConditionalRequestConflict, 409, "A conflicting operation ran at the same time. Read the object again and repeat the request.") \
  X(DirectoryNotEmpty, 409, "Something lies beneath the destination already. Choose another name, or delete what is there first.") \
  X(EntityTooLarge, 400, "The upload is larger than allowed. Objects above 5 GiB need a multipart upload of at most 5 TiB.") \
  X(EntityTooSmall, 400, "A part is smaller than allowed. Every part but the last has at least 5 MiB.") \
  X(ExpiredToken, 400, "The security token has expired. Obtain a new one.") \
  X(IdempotencyParameterMismatch, 400, "The client token was used before with other parameters. Use a new token for a new request.") \
  X(IllegalLocationConstraintException, 400, "The location constraint does not fit the endpoint this request was sent to.") \
  X(IncompleteBody, 400, "The body ended before the number of bytes given by Content-Length. Send the request again.") \
  X(InsufficientStorage, 507, "The store is full. Delete objects or add storage, then repeat the request.") \
  X(InternalError, 500, "The server met an internal error. Repeat the request; its id finds the cause in the server's log.") \
  X(InvalidAccessKeyId, 403, "The access key id is not known here. Check the configured credentials.") \
  X(InvalidArgument, 400, "An argument is invalid.") \
  X(InvalidBucketName, 400, "The bucket name is invalid. Use 3 to 63 lower-case letters, digits, dots and hyphens.") \
  X(InvalidBucketState, 409, "The request does not fit the present state of the bucket.") \
  X(InvalidChunkSizeError, 403, "The size of a chunk of the body is not valid.") \
  X(InvalidDigest, 400, "Content-MD5 or a checksum is not the base64 text of a digest of the right size.") \
  X(InvalidLocationConstraint, 400, "The location constraint is not valid.") \
  X(InvalidObjectState, 403, "The operation does not fit the storage class of the object.") \
  X(InvalidPart, 400, "A part was not found, or its ETag or checksum differs from the one given. List the parts and try again.") \
  X(InvalidPartNumber, 416, "The object has no part of this number.") \
  X(InvalidPartOrder, 400, "The parts must be listed in ascending order of their numbers, each once.") \
  X(InvalidRange, 416, "The range starts behind the end of the object.") \
  X(InvalidRequest, 400, "The request is invalid.") \
  X(InvalidStorageClass, 400, "The storage class is not valid. Use STANDARD.") \
  X(InvalidTag, 400, "A tag is invalid.") \
  X(InvalidToken, 400, "The security token is malformed or not known here.") \
  X(InvalidURI, 400, "The request URI could not be parsed. Percent-encode the key as UTF-8.") \
  X(KeyTooLongError, 400, "The key is too long. Keys have at most 1024 bytes in UTF-8.") \
  X(MalformedPolicy, 400, "The policy is malformed.") \
  X(MalformedPOSTRequest, 400, "The form upload is not well-formed multipart/form-data.") \
  X(MalformedTrailerError, 400, "The trailer of the chunked upload is malformed or does not carry what x-amz-trailer announced.") \
  X(MalformedXML, 400, "The XML body is not well-formed or does not fit the operation's schema.") \
  X(MaxMessageLengthExceeded, 400, "The request body is too large for this operation.") \
  X(MetadataTooLarge, 400, "The user metadata is too large. All x-amz-meta-* names and values together have at most 2048 bytes.") \
  X(MethodNotAllowed, 405, "The method is not allowed on this resource.") \
  X(MissingContentLength, 411, "The request needs a Content-Length header.") \
  X(MissingRequestBodyError, 400, "The request needs a body.") \
  X(MissingSecurityHeader, 400, "A header that the signature needs is missing.") \
  X(NoSuchBucket, 404, "The bucket does not exist.") \
  X(NoSuchBucketPolicy, 404, "The bucket has no policy.") \
  X(NoSuchConfiguration, 404, "The bucket has no configuration of this kind.") \
  X(NoSuchCORSConfiguration, 404, "The bucket has no CORS configuration.") \
  X(NoSuchKey, 404, "The object does not exist.") \
  X(NoSuchLifecycleConfiguration, 404, "The bucket has no lifecycle configuration.") \
  X(NoSuchObjectLockConfiguration, 404, "The object has no lock configuration.") \
  X(NoSuchPublicAccessBlockConfiguration, 404, "The bucket has no public access block configuration.") \
  X(NoSuchTagSet, 404, "The bucket has no tags.") \
  X(NoSuchUpload, 404, "The multipart upload does not exist. It may have been completed or aborted.") \
  X(NoSuchVersion, 404, "The version does not exist.") \
  X(NoSuchWebsiteConfiguration, 404, "The bucket has no website configuration.") \
  X(NotImplemented, 501, "This function of S3 is not implemented here.") \
  X(NotModified, 304, "Not modified.") \
  X(ObjectLockConfigurationNotFoundError, 404, "The bucket has no object lock configuration.") \
  X(OperationAborted, 409, "A conflicting operation is in progress on this resource. Try again.") \
  X(OwnershipControlsNotFoundError, 404, "The bucket has no ownership controls.") \
  X(PreconditionFailed, 412, "A condition of the request does not hold.") \
  X(ReplicationConfigurationNotFoundError, 404, "The bucket has no replication configuration.") \
  X(RequestHeaderSectionTooLarge, 400, "The header section of the request is too large.") \
  X(RequestTimeout, 400, "No data arrived within the time-out. Send the request again.") \
  X(RequestTimeTooSkewed, 403, "The time of the request differs too much from the server's. Set the client's clock.") \
  X(ServerSideEncryptionConfigurationNotFoundError, 404, "The bucket has no encryption configuration.") \
  X(ServiceUnavailable, 503, "The service is not available now. Try again.") \
  X(SignatureDoesNotMatch, 403, "The signature computed here differs from the one sent. Check the secret key and the signing method.") \
  X(SlowDown, 503, "Too many requests at once. Slow down and try again.") \
  X(TooManyBuckets, 400, "You have reached the limit of buckets.") \
  X(UnexpectedContent, 400, "This request must not have a body.") \
  X(XAmzContentSHA256Mismatch, 400, "The body does not have the SHA-256 given in x-amz-content-sha256. Send the object again.")
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

  S3Failure&& with(std::string_view element, std::string_view value) &&;
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
