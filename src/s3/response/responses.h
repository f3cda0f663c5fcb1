// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "s3/checksum/checksum.h"
#include "s3/request/requests.h"
#include "s3/response/etag.h"

// The XML bodies of responses. Each function appends one document to `out`. Names in the structures are
// decoded; where a list was asked for with encoding-type=url, every name that comes from a client is
// percent-encoded here.
//
// Times are in milliseconds and are shown in whole seconds, as Last-Modified is, so that all answers about
// one object agree.

namespace fb::s3 {

constexpr std::string_view kStandardStorageClass = "STANDARD";
constexpr std::string_view kReportedRegion = "us-east-1";

struct Owner {
  std::string_view id;
  std::string_view display_name;
};

// A checksum as clients see it: base64, and "-N" for a COMPOSITE one of N parts.
struct ShownChecksum {
  ChecksumValue value;
  ChecksumType type = ChecksumType::full_object;
  uint32_t part_count = 0;

  std::string text() const;  // also the value of the header checksum_header(kind)
};

// --- Buckets

struct BucketEntry {
  std::string_view name;
  int64_t created_ms = 0;
};
// `next`: where pages were asked for and more buckets follow.
void write_list_buckets(const ListBucketsRequest& request, const Owner& owner,
                        std::span<const BucketEntry> buckets, const std::optional<ListPosition>& next,
                        std::string& out);
// GetBucketLocation: us-east-1 is the empty constraint.
void write_bucket_location(std::string& out);

// --- Lists of objects

struct ListedObject {
  std::string_view key;
  int64_t last_modified_ms = 0;
  Etag etag;
  uint64_t size = 0;
  std::optional<ChecksumKind> checksum_kind;
  ChecksumType checksum_type = ChecksumType::full_object;
};
struct ObjectList {
  std::span<const ListedObject> objects;
  std::span<const std::string_view> common_prefixes;
  // Where more follows: the last key or, with past_prefix, the last common prefix of this page.
  std::optional<ListPosition> next;
};
void write_list_objects(const ListObjectsRequest& request, const Owner& owner, const ObjectList& list,
                        std::string& out);

// --- Deletion

struct DeletedKey {
  std::string_view key;
  std::string_view version_id;  // as the request gave it
  const S3Failure* failure = nullptr;
};
void write_delete_result(bool quiet, std::span<const DeletedKey> keys, std::string& out);

// --- Copies

void write_copy_object_result(const Etag& etag, int64_t last_modified_ms,
                              const std::optional<ShownChecksum>& checksum, std::string& out);
void write_copy_part_result(const Etag& etag, int64_t last_modified_ms,
                            const std::optional<ShownChecksum>& checksum, std::string& out);

// --- Multipart uploads

void write_initiate_multipart_upload_result(std::string_view bucket, std::string_view key,
                                            std::string_view upload_id, std::string& out);

void write_complete_multipart_upload_result(std::string_view location, std::string_view bucket,
                                            std::string_view key, const Etag& etag,
                                            const std::optional<ShownChecksum>& checksum, std::string& out);

struct ListedPart {
  uint32_t number = 0;
  int64_t last_modified_ms = 0;
  Etag etag;
  uint64_t size = 0;
  std::optional<ChecksumValue> checksum;
};
struct PartList {
  std::span<const ListedPart> parts;
  bool truncated = false;
  std::optional<ChecksumKind> checksum_kind;  // the upload's
  ChecksumType checksum_type = ChecksumType::full_object;
};
void write_list_parts(const ListPartsRequest& request, const Owner& owner, const PartList& list,
                      std::string& out);

struct ListedUpload {
  std::string_view key;
  std::string_view upload_id;
  int64_t initiated_ms = 0;
  std::optional<ChecksumKind> checksum_kind;
  ChecksumType checksum_type = ChecksumType::full_object;
};
struct UploadList {
  std::span<const ListedUpload> uploads;
  std::span<const std::string_view> common_prefixes;
  bool truncated = false;
  // The last upload or common prefix of this page, where truncated.
  std::string_view next_key_marker;
  std::string_view next_upload_id_marker;
};
void write_list_multipart_uploads(const ListMultipartUploadsRequest& request, const Owner& owner,
                                  const UploadList& list, std::string& out);

}  // namespace fb::s3
