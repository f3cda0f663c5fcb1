// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "s3/action.h"

// Every operation of the S3 API, one row each. Routing, the checks of bodies, dispatch, logs and metrics read
// these rows and have no list of their own; authorisation will. Parameters stand in request/parameters.cc.
//
//   BUILT(name, method, target, sub-resource, also, body, action, resource, source, handler)
//   KNOWN(name, method, target, sub-resource, also)
//
// A KNOWN row is an operation that is not built: its requests are refused by name. Building one makes its row
// BUILT, which does not compile without an action, and does not link without a handler.
//
//   name          AWS's, for messages, logs and metrics
//   method        with target and sub-resource: which requests ask for the operation
//   sub-resource  a query item whose presence selects the operation
//   also          a further requirement: a query item ("?id") or a header. Rows that differ in it alone stand
//                 together, the one without it last
//   body          who reads the request's body (PayloadUse), or none
//   action        what IAM calls the right to do this (Action), on
//   resource      this kind of resource (Resource)
//   source        the fate of a second object, which needs rights of its own (Source)
//   handler       the function of src/api/operations.h that does it; only src/api looks at this column

namespace fb::s3 {

// clang-format off
#define FB_S3_OPERATIONS(BUILT, KNOWN) \
  BUILT(ListBuckets, get, service, "", "", none, ListAllMyBuckets, account, none, list_buckets) \
  \
  BUILT(CreateBucket, put, bucket, "", "", document, CreateBucket, new_bucket, none, create_bucket) \
  BUILT(DeleteBucket, del, bucket, "", "", none, DeleteBucket, bucket, none, delete_bucket) \
  BUILT(HeadBucket, head, bucket, "", "", none, ListBucket, bucket, none, head_bucket) \
  BUILT(ListObjects, get, bucket, "", "", none, ListBucket, bucket, none, list_objects) \
  BUILT(ListObjectsV2, get, bucket, "list-type", "", none, ListBucket, bucket, none, list_objects_v2) \
  KNOWN(ListObjectVersions, get, bucket, "versions", "") \
  BUILT(ListMultipartUploads, get, bucket, "uploads", "", none, ListBucketMultipartUploads, bucket, none, list_multipart_uploads) \
  BUILT(DeleteObjects, post, bucket, "delete", "", deletion, DeleteObject, listed_objects, none, delete_objects) \
  BUILT(GetBucketLocation, get, bucket, "location", "", none, GetBucketLocation, bucket, none, get_bucket_location) \
  KNOWN(WriteGetObjectResponse, post, bucket, "", "x-amz-request-route") \
  KNOWN(PostObject, post, bucket, "", "") \
  KNOWN(PreflightBucket, options, bucket, "", "") \
  KNOWN(CreateSession, get, bucket, "session", "") \
  KNOWN(GetBucketAbac, get, bucket, "abac", "") \
  KNOWN(PutBucketAbac, put, bucket, "abac", "") \
  KNOWN(GetBucketAccelerateConfiguration, get, bucket, "accelerate", "") \
  KNOWN(PutBucketAccelerateConfiguration, put, bucket, "accelerate", "") \
  KNOWN(GetBucketAcl, get, bucket, "acl", "") \
  KNOWN(PutBucketAcl, put, bucket, "acl", "") \
  KNOWN(GetBucketAnalyticsConfiguration, get, bucket, "analytics", "?id") \
  KNOWN(ListBucketAnalyticsConfigurations, get, bucket, "analytics", "") \
  KNOWN(PutBucketAnalyticsConfiguration, put, bucket, "analytics", "") \
  KNOWN(DeleteBucketAnalyticsConfiguration, del, bucket, "analytics", "") \
  KNOWN(GetBucketCors, get, bucket, "cors", "") \
  KNOWN(PutBucketCors, put, bucket, "cors", "") \
  KNOWN(DeleteBucketCors, del, bucket, "cors", "") \
  KNOWN(GetBucketEncryption, get, bucket, "encryption", "") \
  KNOWN(PutBucketEncryption, put, bucket, "encryption", "") \
  KNOWN(DeleteBucketEncryption, del, bucket, "encryption", "") \
  KNOWN(GetBucketIntelligentTieringConfiguration, get, bucket, "intelligent-tiering", "?id") \
  KNOWN(ListBucketIntelligentTieringConfigurations, get, bucket, "intelligent-tiering", "") \
  KNOWN(PutBucketIntelligentTieringConfiguration, put, bucket, "intelligent-tiering", "") \
  KNOWN(DeleteBucketIntelligentTieringConfiguration, del, bucket, "intelligent-tiering", "") \
  KNOWN(GetBucketInventoryConfiguration, get, bucket, "inventory", "?id") \
  KNOWN(ListBucketInventoryConfigurations, get, bucket, "inventory", "") \
  KNOWN(PutBucketInventoryConfiguration, put, bucket, "inventory", "") \
  KNOWN(DeleteBucketInventoryConfiguration, del, bucket, "inventory", "") \
  KNOWN(GetBucketLifecycleConfiguration, get, bucket, "lifecycle", "") \
  KNOWN(PutBucketLifecycleConfiguration, put, bucket, "lifecycle", "") \
  KNOWN(DeleteBucketLifecycle, del, bucket, "lifecycle", "") \
  KNOWN(GetBucketLogging, get, bucket, "logging", "") \
  KNOWN(PutBucketLogging, put, bucket, "logging", "") \
  KNOWN(GetBucketMetadataConfiguration, get, bucket, "metadataConfiguration", "") \
  KNOWN(CreateBucketMetadataConfiguration, post, bucket, "metadataConfiguration", "") \
  KNOWN(DeleteBucketMetadataConfiguration, del, bucket, "metadataConfiguration", "") \
  KNOWN(UpdateBucketMetadataInventoryTableConfiguration, put, bucket, "metadataInventoryTable", "") \
  KNOWN(UpdateBucketMetadataJournalTableConfiguration, put, bucket, "metadataJournalTable", "") \
  KNOWN(GetBucketMetadataTableConfiguration, get, bucket, "metadataTable", "") \
  KNOWN(CreateBucketMetadataTableConfiguration, post, bucket, "metadataTable", "") \
  KNOWN(DeleteBucketMetadataTableConfiguration, del, bucket, "metadataTable", "") \
  KNOWN(GetBucketMetricsConfiguration, get, bucket, "metrics", "?id") \
  KNOWN(ListBucketMetricsConfigurations, get, bucket, "metrics", "") \
  KNOWN(PutBucketMetricsConfiguration, put, bucket, "metrics", "") \
  KNOWN(DeleteBucketMetricsConfiguration, del, bucket, "metrics", "") \
  KNOWN(GetBucketNotificationConfiguration, get, bucket, "notification", "") \
  KNOWN(PutBucketNotificationConfiguration, put, bucket, "notification", "") \
  KNOWN(GetObjectLockConfiguration, get, bucket, "object-lock", "") \
  KNOWN(PutObjectLockConfiguration, put, bucket, "object-lock", "") \
  KNOWN(GetBucketOwnershipControls, get, bucket, "ownershipControls", "") \
  KNOWN(PutBucketOwnershipControls, put, bucket, "ownershipControls", "") \
  KNOWN(DeleteBucketOwnershipControls, del, bucket, "ownershipControls", "") \
  KNOWN(GetBucketPolicy, get, bucket, "policy", "") \
  KNOWN(PutBucketPolicy, put, bucket, "policy", "") \
  KNOWN(DeleteBucketPolicy, del, bucket, "policy", "") \
  KNOWN(GetBucketPolicyStatus, get, bucket, "policyStatus", "") \
  KNOWN(GetPublicAccessBlock, get, bucket, "publicAccessBlock", "") \
  KNOWN(PutPublicAccessBlock, put, bucket, "publicAccessBlock", "") \
  KNOWN(DeletePublicAccessBlock, del, bucket, "publicAccessBlock", "") \
  KNOWN(GetBucketReplication, get, bucket, "replication", "") \
  KNOWN(PutBucketReplication, put, bucket, "replication", "") \
  KNOWN(DeleteBucketReplication, del, bucket, "replication", "") \
  KNOWN(GetBucketRequestPayment, get, bucket, "requestPayment", "") \
  KNOWN(PutBucketRequestPayment, put, bucket, "requestPayment", "") \
  KNOWN(GetBucketTagging, get, bucket, "tagging", "") \
  KNOWN(PutBucketTagging, put, bucket, "tagging", "") \
  KNOWN(DeleteBucketTagging, del, bucket, "tagging", "") \
  KNOWN(GetBucketVersioning, get, bucket, "versioning", "") \
  KNOWN(PutBucketVersioning, put, bucket, "versioning", "") \
  KNOWN(GetBucketWebsite, get, bucket, "website", "") \
  KNOWN(PutBucketWebsite, put, bucket, "website", "") \
  KNOWN(DeleteBucketWebsite, del, bucket, "website", "") \
  \
  BUILT(GetObject, get, object, "", "", none, GetObject, object, none, get_object) \
  BUILT(HeadObject, head, object, "", "", none, GetObject, object, none, get_object) \
  BUILT(CopyObject, put, object, "", "x-amz-copy-source", none, PutObject, object, copied, copy_object) \
  BUILT(PutObject, put, object, "", "", object, PutObject, object, none, put_object) \
  BUILT(DeleteObject, del, object, "", "", none, DeleteObject, object, none, delete_object) \
  BUILT(CreateMultipartUpload, post, object, "uploads", "", none, PutObject, object, none, create_multipart_upload) \
  BUILT(UploadPartCopy, put, object, "uploadId", "x-amz-copy-source", none, PutObject, object, copied, upload_part_copy) \
  BUILT(UploadPart, put, object, "uploadId", "", part, PutObject, object, none, upload_part) \
  BUILT(CompleteMultipartUpload, post, object, "uploadId", "", completion, PutObject, object, none, complete_multipart_upload) \
  BUILT(AbortMultipartUpload, del, object, "uploadId", "", none, AbortMultipartUpload, object, none, abort_multipart_upload) \
  BUILT(ListParts, get, object, "uploadId", "", none, ListMultipartUploadParts, object, none, list_parts) \
  BUILT(RenameObject, put, object, "renameObject", "", none, PutObject, object, moved, rename_object) \
  KNOWN(PreflightObject, options, object, "", "") \
  KNOWN(GetObjectAcl, get, object, "acl", "") \
  KNOWN(PutObjectAcl, put, object, "acl", "") \
  KNOWN(GetObjectAttributes, get, object, "attributes", "") \
  KNOWN(UpdateObjectEncryption, put, object, "encryption", "") \
  KNOWN(GetObjectLegalHold, get, object, "legal-hold", "") \
  KNOWN(PutObjectLegalHold, put, object, "legal-hold", "") \
  KNOWN(RestoreObject, post, object, "restore", "") \
  KNOWN(GetObjectRetention, get, object, "retention", "") \
  KNOWN(PutObjectRetention, put, object, "retention", "") \
  KNOWN(SelectObjectContent, post, object, "select", "") \
  KNOWN(GetObjectTagging, get, object, "tagging", "") \
  KNOWN(PutObjectTagging, put, object, "tagging", "") \
  KNOWN(DeleteObjectTagging, del, object, "tagging", "") \
  KNOWN(GetObjectTorrent, get, object, "torrent", "")
// clang-format on

#define FB_S3_ENUMERATOR(name, ...) name,
enum class Operation : uint8_t { FB_S3_OPERATIONS(FB_S3_ENUMERATOR, FB_S3_ENUMERATOR) };
#undef FB_S3_ENUMERATOR

#define FB_S3_COUNT(name, ...) +1
constexpr int kOperationCount = 0 FB_S3_OPERATIONS(FB_S3_COUNT, FB_S3_COUNT);
#undef FB_S3_COUNT

enum class Method : uint8_t { get, head, put, post, del, options };
constexpr int kMethodCount = 6;
enum class Target : uint8_t { service, bucket, object };
constexpr int kTargetCount = 3;

// The reader of a request's body.
enum class PayloadUse : uint8_t {
  none,        // nobody: the operation has no body
  object,      // PutObject: must have a length; gets CRC64NVME where the client sends no checksum
  part,        // UploadPart: likewise, and fits its upload
  document,    // the XML of CreateBucket
  deletion,    // the XML of DeleteObjects: must have a digest
  completion,  // the XML of CompleteMultipartUpload: a checksum in a header is the object's, not the body's
};

// The resource on which an operation's action must be allowed.
enum class Resource : uint8_t {
  account,         // all buckets of who asks
  new_bucket,      // the bucket of the request, which need not exist
  bucket,          // the bucket of the request
  object,          // the key of the request; in a rename of a directory, all keys below it
  listed_objects,  // each key that the body names
};

// The bucket of the request must exist.
constexpr bool is_in_bucket(Resource resource) {
  return resource != Resource::account && resource != Resource::new_bucket;
}

// A second object, which a header of the request names, and its fate.
enum class Source : uint8_t {
  none,    // there is none
  copied,  // the source is read
  moved,   // the source is read and is gone afterwards; all keys below it, if it is a directory
};
// The actions that must be allowed on the source.
std::span<const Action> source_actions(Source source);

// The right to an operation, for authorisation.
struct Right {
  Action action;
  Resource resource;
  Source source;
};

struct OperationInfo {
  Operation operation;
  std::string_view name;
  Method method;
  Target target;
  std::string_view sub_resource;
  std::string_view also;
  PayloadUse body = PayloadUse::none;
  std::optional<Right> right{};  // every operation that is built has one

  constexpr bool is_built() const { return right.has_value(); }
};

// In the order of the enumeration.
inline constexpr std::array<OperationInfo, kOperationCount> kOperations = {{
#define FB_S3_BUILT(name, method, target, sub_resource, also, body, action, resource, source, handler) \
  {Operation::name, #name, Method::method,   Target::target,                                           \
   sub_resource,    also,  PayloadUse::body, Right{Action::action, Resource::resource, Source::source}},
#define FB_S3_KNOWN(name, method, target, sub_resource, also) \
  {Operation::name, #name, Method::method, Target::target, sub_resource, also},
    FB_S3_OPERATIONS(FB_S3_BUILT, FB_S3_KNOWN)
#undef FB_S3_BUILT
#undef FB_S3_KNOWN
}};

constexpr const OperationInfo& info(Operation operation) {
  return kOperations[static_cast<size_t>(operation)];
}
constexpr std::string_view to_string(Operation operation) { return info(operation).name; }
// The name of a request's operation in logs and metrics, if the request asks for none of these.
inline constexpr std::string_view kUnknownOperation = "Unknown";

std::string_view to_string(Method method);
// Methods are case-sensitive; those S3 never uses are nothing.
std::optional<Method> parse_method(std::string_view text);

}  // namespace fb::s3
