// SPDX-License-Identifier: Apache-2.0
#include "api/failures.h"

#include "client/blob_client.h"
#include "client/namespace_client.h"
#include "client/record.h"
#include "client/root_client.h"
#include "http/error.h"
#include "io/error.h"

namespace fb::api {
namespace {

using s3::S3Error;
using s3::S3Failure;

S3Failure from(NamespaceError error) {
  switch (error) {
    case NamespaceError::not_found:
      return S3Error::NoSuchKey;
    case NamespaceError::no_such_tree:
      return S3Error::NoSuchBucket;
    case NamespaceError::tree_exists:
      return S3Error::BucketAlreadyOwnedByYou;
    case NamespaceError::tree_not_empty:
      return S3Error::BucketNotEmpty;
    case NamespaceError::precondition_failed:
      return S3Error::PreconditionFailed;
    case NamespaceError::key_too_long:
      return S3Error::KeyTooLongError;
    case NamespaceError::key_invalid:
      return S3Failure(S3Error::InvalidArgument, "No object can have this key.");
    case NamespaceError::record_too_large:
      return S3Error::MetadataTooLarge;
    case NamespaceError::destination_occupied:
      return S3Error::DirectoryNotEmpty;
    case NamespaceError::rename_into_itself:
      return S3Failure(S3Error::InvalidRequest, "Nothing can be renamed into itself.");
    case NamespaceError::full:
      return S3Error::InsufficientStorage;
    case NamespaceError::unsupported:
      return S3Error::NotImplemented;
    case NamespaceError::unavailable:
    case NamespaceError::timed_out:
    case NamespaceError::not_owner:
    case NamespaceError::outcome_unknown:
      return S3Error::ServiceUnavailable;
    case NamespaceError::stale_blob:
    case NamespaceError::damaged:
      return S3Error::InternalError;
  }
  return S3Error::InternalError;
}

S3Failure from(BlobError error) {
  switch (error) {
    case BlobError::full:
      return S3Error::InsufficientStorage;
    case BlobError::unavailable:
    case BlobError::timed_out:
    case BlobError::outcome_unknown:
      return S3Error::ServiceUnavailable;
    case BlobError::damaged:
      return S3Failure(
          S3Error::InternalError,
          "The stored content is damaged and was not sent. The server's log names the blob; write the object "
          "again from a copy.");
    case BlobError::not_found:
    case BlobError::exists:
    case BlobError::too_large:
      return S3Error::InternalError;
  }
  return S3Error::InternalError;
}

S3Failure from(RootError error) {
  switch (error) {
    case RootError::no_such_bucket:
      return S3Error::NoSuchBucket;
    case RootError::bucket_exists:
      return S3Error::BucketAlreadyExists;
    case RootError::bucket_not_empty:
      return S3Error::BucketNotEmpty;
    case RootError::no_such_key:
      return S3Error::InvalidAccessKeyId;
    case RootError::name_invalid:
      return S3Error::InvalidBucketName;
    case RootError::limit:
      return S3Error::TooManyBuckets;
    case RootError::full:
      return S3Error::InsufficientStorage;
    case RootError::unavailable:
    case RootError::timed_out:
    case RootError::outcome_unknown:
      return S3Error::ServiceUnavailable;
    case RootError::damaged:
      return S3Error::InternalError;
  }
  return S3Error::InternalError;
}

S3Failure from(HttpError error) {
  switch (error) {
    case HttpError::malformed:
      return S3Error::BadRequest;
    case HttpError::head_too_large:
      return S3Error::RequestHeaderSectionTooLarge;
    case HttpError::body_incomplete:
    case HttpError::connection_lost:
      return S3Error::IncompleteBody;
    case HttpError::timed_out:
      return S3Error::RequestTimeout;
    case HttpError::unsupported:
      return S3Error::NotImplemented;
    case HttpError::tls_failed:
      return S3Error::IncompleteBody;
  }
  return S3Error::InternalError;
}

S3Failure from(IoError error) {
  switch (error) {
    case IoError::no_space:
      return S3Error::InsufficientStorage;
    case IoError::limit:
      return S3Error::SlowDown;
    case IoError::timed_out:
      return S3Error::RequestTimeout;
    case IoError::cancelled:
      return S3Error::ServiceUnavailable;
    default:
      return S3Error::InternalError;
  }
}

template <class E>
bool belongs(const Error& error) {
  return &error.domain() == &error_domain(E{});
}

template <class E>
S3Failure convert(const Error& error) {
  return from(static_cast<E>(error.code()));
}

S3Failure translate(const Error& error) {
  if (belongs<NamespaceError>(error)) return convert<NamespaceError>(error);
  if (belongs<BlobError>(error)) return convert<BlobError>(error);
  if (belongs<RootError>(error)) return convert<RootError>(error);
  if (belongs<HttpError>(error)) return convert<HttpError>(error);
  if (belongs<IoError>(error)) return convert<IoError>(error);
  return s3::to_failure(error);
}

}  // namespace

S3Failure to_failure(const Error& error) {
  S3Failure failure = translate(error);
  failure.cause = error;
  return failure;
}

}  // namespace fb::api
