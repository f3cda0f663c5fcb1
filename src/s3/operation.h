// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

// Every operation of the S3 API, whether it is built or not: what is known by name can be refused by name.
// One line holds all that distinguishes an operation; route.cc works from this list alone.
//
//   name, method, target, sub-resource, also, state
//
// A sub-resource is a query item whose presence selects the operation. `also` is a further requirement: a
// query item
// ("?id") or a header. Lines that differ in `also` alone stand together, the one without it last.

namespace fb::s3 {

// clang-format off
#define FB_S3_OPERATIONS(X) \
  X(ListBuckets, get, service, "", "", built) \
  \
  X(CreateBucket, put, bucket, "", "", built) \
  X(DeleteBucket, del, bucket, "", "", built) \
  X(HeadBucket, head, bucket, "", "", built) \
  X(ListObjects, get, bucket, "", "", built) \
  X(ListObjectsV2, get, bucket, "list-type", "", built) \
  X(ListObjectVersions, get, bucket, "versions", "", known) \
  X(ListMultipartUploads, get, bucket, "uploads", "", built) \
  X(DeleteObjects, post, bucket, "delete", "", built) \
  X(GetBucketLocation, get, bucket, "location", "", built) \
  X(WriteGetObjectResponse, post, bucket, "", "x-amz-request-route", known) \
  X(PostObject, post, bucket, "", "", known) \
  X(PreflightBucket, options, bucket, "", "", known) \
  X(CreateSession, get, bucket, "session", "", known) \
  X(GetBucketAbac, get, bucket, "abac", "", known) \
  X(PutBucketAbac, put, bucket, "abac", "", known) \
  X(GetBucketAccelerateConfiguration, get, bucket, "accelerate", "", known) \
  X(PutBucketAccelerateConfiguration, put, bucket, "accelerate", "", known) \
  X(GetBucketAcl, get, bucket, "acl", "", known) \
  X(PutBucketAcl, put, bucket, "acl", "", known) \
  X(GetBucketAnalyticsConfiguration, get, bucket, "analytics", "?id", known) \
  X(ListBucketAnalyticsConfigurations, get, bucket, "analytics", "", known) \
  X(PutBucketAnalyticsConfiguration, put, bucket, "analytics", "", known) \
  X(DeleteBucketAnalyticsConfiguration, del, bucket, "analytics", "", known) \
  X(GetBucketCors, get, bucket, "cors", "", known) \
  X(PutBucketCors, put, bucket, "cors", "", known) \
  X(DeleteBucketCors, del, bucket, "cors", "", known) \
  X(GetBucketEncryption, get, bucket, "encryption", "", known) \
  X(PutBucketEncryption, put, bucket, "encryption", "", known) \
  X(DeleteBucketEncryption, del, bucket, "encryption", "", known) \
  X(GetBucketIntelligentTieringConfiguration, get, bucket, "intelligent-tiering", "?id", known) \
  X(ListBucketIntelligentTieringConfigurations, get, bucket, "intelligent-tiering", "", known) \
  X(PutBucketIntelligentTieringConfiguration, put, bucket, "intelligent-tiering", "", known) \
  X(DeleteBucketIntelligentTieringConfiguration, del, bucket, "intelligent-tiering", "", known) \
  X(GetBucketInventoryConfiguration, get, bucket, "inventory", "?id", known) \
  X(ListBucketInventoryConfigurations, get, bucket, "inventory", "", known) \
  X(PutBucketInventoryConfiguration, put, bucket, "inventory", "", known) \
  X(DeleteBucketInventoryConfiguration, del, bucket, "inventory", "", known) \
  X(GetBucketLifecycleConfiguration, get, bucket, "lifecycle", "", known) \
  X(PutBucketLifecycleConfiguration, put, bucket, "lifecycle", "", known) \
  X(DeleteBucketLifecycle, del, bucket, "lifecycle", "", known) \
  X(GetBucketLogging, get, bucket, "logging", "", known) \
  X(PutBucketLogging, put, bucket, "logging", "", known) \
  X(GetBucketMetadataConfiguration, get, bucket, "metadataConfiguration", "", known) \
  X(CreateBucketMetadataConfiguration, post, bucket, "metadataConfiguration", "", known) \
  X(DeleteBucketMetadataConfiguration, del, bucket, "metadataConfiguration", "", known) \
  X(UpdateBucketMetadataInventoryTableConfiguration, put, bucket, "metadataInventoryTable", "", known) \
  X(UpdateBucketMetadataJournalTableConfiguration, put, bucket, "metadataJournalTable", "", known) \
  X(GetBucketMetadataTableConfiguration, get, bucket, "metadataTable", "", known) \
  X(CreateBucketMetadataTableConfiguration, post, bucket, "metadataTable", "", known) \
  X(DeleteBucketMetadataTableConfiguration, del, bucket, "metadataTable", "", known) \
  X(GetBucketMetricsConfiguration, get, bucket, "metrics", "?id", known) \
  X(ListBucketMetricsConfigurations, get, bucket, "metrics", "", known) \
  X(PutBucketMetricsConfiguration, put, bucket, "metrics", "", known) \
  X(DeleteBucketMetricsConfiguration, del, bucket, "metrics", "", known) \
  X(GetBucketNotificationConfiguration, get, bucket, "notification", "", known) \
  X(PutBucketNotificationConfiguration, put, bucket, "notification", "", known) \
  X(GetObjectLockConfiguration, get, bucket, "object-lock", "", known) \
  X(PutObjectLockConfiguration, put, bucket, "object-lock", "", known) \
  X(GetBucketOwnershipControls, get, bucket, "ownershipControls", "", known) \
  X(PutBucketOwnershipControls, put, bucket, "ownershipControls", "", known) \
  X(DeleteBucketOwnershipControls, del, bucket, "ownershipControls", "", known) \
  X(GetBucketPolicy, get, bucket, "policy", "", known) \
  X(PutBucketPolicy, put, bucket, "policy", "", known) \
  X(DeleteBucketPolicy, del, bucket, "policy", "", known) \
  X(GetBucketPolicyStatus, get, bucket, "policyStatus", "", known) \
  X(GetPublicAccessBlock, get, bucket, "publicAccessBlock", "", known) \
  X(PutPublicAccessBlock, put, bucket, "publicAccessBlock", "", known) \
  X(DeletePublicAccessBlock, del, bucket, "publicAccessBlock", "", known) \
  X(GetBucketReplication, get, bucket, "replication", "", known) \
  X(PutBucketReplication, put, bucket, "replication", "", known) \
  X(DeleteBucketReplication, del, bucket, "replication", "", known) \
  X(GetBucketRequestPayment, get, bucket, "requestPayment", "", known) \
  X(PutBucketRequestPayment, put, bucket, "requestPayment", "", known) \
  X(GetBucketTagging, get, bucket, "tagging", "", known) \
  X(PutBucketTagging, put, bucket, "tagging", "", known) \
  X(DeleteBucketTagging, del, bucket, "tagging", "", known) \
  X(GetBucketVersioning, get, bucket, "versioning", "", known) \
  X(PutBucketVersioning, put, bucket, "versioning", "", known) \
  X(GetBucketWebsite, get, bucket, "website", "", known) \
  X(PutBucketWebsite, put, bucket, "website", "", known) \
  X(DeleteBucketWebsite, del, bucket, "website", "", known) \
  \
  X(GetObject, get, object, "", "", built) \
  X(HeadObject, head, object, "", "", built) \
  X(CopyObject, put, object, "", "x-amz-copy-source", built) \
  X(PutObject, put, object, "", "", built) \
  X(DeleteObject, del, object, "", "", built) \
  X(CreateMultipartUpload, post, object, "uploads", "", built) \
  X(UploadPartCopy, put, object, "uploadId", "x-amz-copy-source", built) \
  X(UploadPart, put, object, "uploadId", "", built) \
  X(CompleteMultipartUpload, post, object, "uploadId", "", built) \
  X(AbortMultipartUpload, del, object, "uploadId", "", built) \
  X(ListParts, get, object, "uploadId", "", built) \
  X(RenameObject, put, object, "renameObject", "", built) \
  X(PreflightObject, options, object, "", "", known) \
  X(GetObjectAcl, get, object, "acl", "", known) \
  X(PutObjectAcl, put, object, "acl", "", known) \
  X(GetObjectAttributes, get, object, "attributes", "", known) \
  X(UpdateObjectEncryption, put, object, "encryption", "", known) \
  X(GetObjectLegalHold, get, object, "legal-hold", "", known) \
  X(PutObjectLegalHold, put, object, "legal-hold", "", known) \
  X(RestoreObject, post, object, "restore", "", known) \
  X(GetObjectRetention, get, object, "retention", "", known) \
  X(PutObjectRetention, put, object, "retention", "", known) \
  X(SelectObjectContent, post, object, "select", "", known) \
  X(GetObjectTagging, get, object, "tagging", "", known) \
  X(PutObjectTagging, put, object, "tagging", "", known) \
  X(DeleteObjectTagging, del, object, "tagging", "", known) \
  X(GetObjectTorrent, get, object, "torrent", "", known)
// clang-format on

enum class Operation : uint8_t {
#define FB_S3_ENUMERATOR(name, method, target, sub_resource, also, state) name,
  FB_S3_OPERATIONS(FB_S3_ENUMERATOR)
#undef FB_S3_ENUMERATOR
};

#define FB_S3_COUNT(name, method, target, sub_resource, also, state) +1
constexpr int kOperationCount = 0 FB_S3_OPERATIONS(FB_S3_COUNT);
#undef FB_S3_COUNT

enum class Method : uint8_t { get, head, put, post, del, options };
constexpr int kMethodCount = 6;
enum class Target : uint8_t { service, bucket, object };
constexpr int kTargetCount = 3;
enum class OperationState : uint8_t { built, known };

struct OperationInfo {
  Operation operation;
  std::string_view name;  // AWS's, for logs and metrics
  Method method;
  Target target;
  std::string_view sub_resource;
  std::string_view also;
  OperationState state;
};

// In the order of the enumeration.
inline constexpr OperationInfo kOperations[] = {
#define FB_S3_INFO(name, method, target, sub_resource, also, state) \
  {Operation::name, #name, Method::method, Target::target, sub_resource, also, OperationState::state},
    FB_S3_OPERATIONS(FB_S3_INFO)
#undef FB_S3_INFO
};

constexpr const OperationInfo& info(Operation operation) { return kOperations[static_cast<int>(operation)]; }
constexpr std::string_view to_string(Operation operation) { return info(operation).name; }
std::string_view to_string(Method method);
// Methods are case-sensitive; those S3 never uses are nothing.
std::optional<Method> parse_method(std::string_view text);

}  // namespace fb::s3
