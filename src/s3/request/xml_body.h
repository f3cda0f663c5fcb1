// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "s3/checksum/checksum.h"
#include "s3/response/error.h"

// The XML bodies of requests, and, for our own clients, of answers. All come from the network: each is
// bounded in size, must be UTF-8, and must not have a document type (so there are no entities to expand).
// Element names are compared without namespace prefix. In requests, elements that S3 does not define, and a
// second one where it allows one, are refused as not fitting the schema, those it defines and this server
// does not support as not implemented; in answers of other servers they are ignored.

namespace fb::s3 {

constexpr size_t kDeleteBodySizeMax = 4 << 20;    // 1000 keys of 1024 bytes, every byte a character reference
constexpr size_t kCompleteBodySizeMax = 8 << 20;  // 10000 parts with every checksum
constexpr size_t kCreateBucketBodySizeMax = 64 << 10;

constexpr size_t kDeleteKeysMax = 1000;
constexpr uint32_t kPartNumberMax = 10000;

struct DeleteItem {
  std::string key;
  std::string version_id;           // as given; "null" names the one version there is
  std::optional<std::string> etag;  // as given: the condition under which this key is deleted
  // Set where this key alone is refused: too long, a version, a condition that is not built.
  std::optional<S3Failure> refusal;
};
struct DeleteBody {
  std::vector<DeleteItem> items;  // 1 to kDeleteKeysMax, in the order of the body
  bool quiet = false;
};
S3Result<DeleteBody> parse_delete_body(std::string_view body);

struct CompletedPart {
  uint32_t number = 0;  // 1 to kPartNumberMax
  std::string etag;     // without quotes
  std::vector<ChecksumValue> checksums;
};
// Parts in strictly ascending order of their numbers, at least one.
S3Result<std::vector<CompletedPart>> parse_complete_body(std::string_view body);

struct CreateBucketBody {
  std::string location_constraint;  // empty where none is given
};
// An empty body is a good one.
S3Result<CreateBucketBody> parse_create_bucket_body(std::string_view body);

// The document of an error, as a client finds it.
constexpr size_t kErrorBodySizeMax = 64 << 10;
struct ErrorBody {
  std::string code;
  std::string message;
  std::string request_id;
};
S3Result<ErrorBody> parse_error_body(std::string_view body);

// CreateMultipartUpload: the upload id.
constexpr size_t kAnswerBodySizeMax = 4 << 20;
S3Result<std::string> parse_initiate_result(std::string_view body);
// Complete and copies say 200 before they know: true where the document is not an error's.
bool is_result_of(std::string_view root_name, std::string_view body);
// A page of ListObjectsV2 or of ListMultipartUploads, with keys as they are, also where the answer has
// encoded them.
struct ListedKeys {
  struct Item {
    std::string key;        // not empty
    std::string upload_id;  // uploads only
  };
  std::vector<Item> items;
  bool truncated = false;
  // Where to go on: the token of objects; key and id of uploads.
  std::string next_token;
  std::string next_key;
  std::string next_upload_id;
};
S3Result<ListedKeys> parse_list_result(std::string_view body);
S3Result<ListedKeys> parse_list_uploads_result(std::string_view body);

}  // namespace fb::s3
