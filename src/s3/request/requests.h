// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "s3/checksum/checksum_headers.h"
#include "s3/request/condition.h"
#include "s3/request/copy_source.h"
#include "s3/request/list_position.h"
#include "s3/request/object_headers.h"
#include "s3/request/range.h"
#include "s3/request/route.h"
#include "s3/request/write_condition.h"
#include "s3/request/xml_body.h"
#include "s3/response/object_metadata.h"

// One typed request for each operation that is built. A parser checks all that can be checked without I/O, so
// that what it returns may be carried out. Parameters that the operation does not take, and those of
// functions that are not built, have been refused before (parameters.h). Views lead into the request's head
// and its RouteBuffer, which must outlive the typed request. Nothing is allocated for GetObject, HeadObject
// and DeleteObject unless the request carries response overrides.
//
// What a head says about the body is payload.h's; XML bodies are parsed by xml_body.h once they have been
// received and verified.

namespace fb::s3 {

constexpr uint64_t kObjectSizeMax = 5ULL << 40;
constexpr uint64_t kSinglePutSizeMax = 5ULL << 30;
constexpr uint64_t kPartSizeMax = 5ULL << 30;
constexpr uint64_t kPartSizeMin = 5ULL << 20;  // all parts but the last
constexpr uint32_t kListKeysMax = 1000;
constexpr uint32_t kListPartsMax = 1000;
constexpr uint32_t kListUploadsMax = 1000;
constexpr uint32_t kListBucketsMax = 10000;
constexpr size_t kUploadIdSizeMax = 256;

struct ParseContext {
  const RequestHead& head;
  const Route& route;
  std::string_view account_id;  // the owner's canonical user id, see check_header_value()
  int64_t now_seconds = 0;      // to read two-digit years in dates
};

// --- Objects

// Both of GetObject and HeadObject.
struct GetObjectRequest {
  std::string_view bucket;
  std::string_view key;
  std::string_view range;  // for resolve_range(), where if_range_holds()
  std::string_view if_range;
  std::optional<uint32_t> part_number;  // never together with a range
  ReadConditions conditions;
  ResponseOverrides overrides;
  bool with_checksums = false;
};
S3Result<GetObjectRequest> parse_get_object(const ParseContext& context);

struct PutObjectRequest {
  std::string_view bucket;
  std::string_view key;
  std::string metadata;  // encoded, for the object's record
  WriteCondition condition;
};
S3Result<PutObjectRequest> parse_put_object(const ParseContext& context);

struct DeleteObjectRequest {
  std::string_view bucket;
  std::string_view key;
  WriteCondition condition;  // never must_not_exist
};
S3Result<DeleteObjectRequest> parse_delete_object(const ParseContext& context);

struct DeleteObjectsRequest {
  std::string_view bucket;
};
S3Result<DeleteObjectsRequest> parse_delete_objects(const ParseContext& context);

struct CopyObjectRequest {
  std::string_view bucket;
  std::string_view key;
  CopySource source;
  ReadConditions source_conditions;
  bool replace_metadata = false;
  std::string metadata;                       // the new one where replaced
  std::optional<ChecksumKind> checksum_kind;  // none: as the source has it
  WriteCondition condition;                   // on the destination
};
S3Result<CopyObjectRequest> parse_copy_object(const ParseContext& context);

// An object gets another name in its bucket; where both names end in '/', everything beneath the one moves
// beneath the other. Nothing lies between: names of which one ends in '/' are refused, and a directory into
// itself. x-amz-rename-source holds the source's key, percent-encoded ('+' is a plus), and may begin with one
// '/' that is no part of it; a key that begins with one sends it encoded.
struct RenameObjectRequest {
  std::string_view bucket;
  std::string_view key;  // the destination
  std::string source;
  bool directory = false;
  ReadConditions source_conditions;       // none for a directory
  ReadConditions destination_conditions;  // likewise
  std::string_view client_token;          // empty: none; 1 to kClientTokenSizeMax printable characters
  Sha256Digest fingerprint{};  // with a client token: of all parameters, see docs/formats/record.md
};
constexpr size_t kClientTokenSizeMax = 64;
S3Result<RenameObjectRequest> parse_rename_object(const ParseContext& context);

// EntityTooLarge where a body of that size exceeds the limit.
S3Result<void> check_body_size(uint64_t size, uint64_t size_max);

// --- Buckets and lists

struct BucketRequest {
  std::string_view bucket;
};
// CreateBucket (its body is parse_create_bucket_body's), HeadBucket, DeleteBucket, GetBucketLocation.
S3Result<BucketRequest> parse_bucket_request(const ParseContext& context);

struct ListBucketsRequest {
  std::string prefix;
  std::string region;  // only buckets of that region; empty: all
  ListPosition position;
  uint32_t max_buckets = kListBucketsMax;
  bool limited = false;  // the client asked for pages
};
S3Result<ListBucketsRequest> parse_list_buckets(const ParseContext& context);

// ListObjects and ListObjectsV2. What is answered back to the client is kept as it was sent, decoded.
struct ListObjectsRequest {
  std::string_view bucket;
  bool v2 = false;
  std::string prefix;
  std::string delimiter;  // empty: none
  ListPosition position;  // where to go on, whichever way the client said it
  uint32_t max_keys = kListKeysMax;
  bool encode_url = false;
  bool fetch_owner = false;                       // always true for V1
  std::string marker;                             // V1
  std::string start_after;                        // V2
  std::optional<std::string> continuation_token;  // V2
};
S3Result<ListObjectsRequest> parse_list_objects(const ParseContext& context);

// --- Multipart uploads

struct CreateMultipartUploadRequest {
  std::string_view bucket;
  std::string_view key;
  std::string metadata;
  std::optional<ChecksumKind> checksum_kind;
  ChecksumType checksum_type = ChecksumType::full_object;  // where there is a kind
};
S3Result<CreateMultipartUploadRequest> parse_create_multipart_upload(const ParseContext& context);

struct UploadPartRequest {
  std::string_view bucket;
  std::string_view key;
  std::string upload_id;
  uint32_t part_number = 0;
};
S3Result<UploadPartRequest> parse_upload_part(const ParseContext& context);

struct UploadPartCopyRequest {
  std::string_view bucket;
  std::string_view key;
  std::string upload_id;
  uint32_t part_number = 0;
  CopySource source;
  ReadConditions source_conditions;
  std::optional<CopyRange> source_range;
};
S3Result<UploadPartCopyRequest> parse_upload_part_copy(const ParseContext& context);

struct CompleteMultipartUploadRequest {
  std::string_view bucket;
  std::string_view key;
  std::string upload_id;
  std::optional<ObjectChecksum> checksum;  // what the whole object must have
  std::optional<ChecksumType> checksum_type;
  std::optional<uint64_t> object_size;  // what the whole object must have
  WriteCondition condition;             // on the object that is there
};
S3Result<CompleteMultipartUploadRequest> parse_complete_multipart_upload(const ParseContext& context);

struct AbortMultipartUploadRequest {
  std::string_view bucket;
  std::string_view key;
  std::string upload_id;
};
S3Result<AbortMultipartUploadRequest> parse_abort_multipart_upload(const ParseContext& context);

struct ListPartsRequest {
  std::string_view bucket;
  std::string_view key;
  std::string upload_id;
  uint32_t part_number_marker = 0;  // parts behind this number
  uint32_t max_parts = kListPartsMax;
  bool encode_url = false;
};
S3Result<ListPartsRequest> parse_list_parts(const ParseContext& context);

struct ListMultipartUploadsRequest {
  std::string_view bucket;
  std::string prefix;
  std::string delimiter;
  std::string key_marker;
  std::string upload_id_marker;  // counts only together with key_marker
  uint32_t max_uploads = kListUploadsMax;
  bool encode_url = false;
};
S3Result<ListMultipartUploadsRequest> parse_list_multipart_uploads(const ParseContext& context);

}  // namespace fb::s3
