// SPDX-License-Identifier: Apache-2.0
#include "s3/request/query_values.h"
#include "s3/request/request_checks.h"
#include "s3/request/requests.h"

namespace fb::s3 {
namespace {

enum class MetadataDirective : uint8_t { copy, replace };

S3Result<MetadataDirective> parse_metadata_directive(const RequestHead& head) {
  const std::string_view text = head.header("x-amz-metadata-directive");
  if (text.empty() || text == "COPY") return MetadataDirective::copy;
  if (text == "REPLACE") return MetadataDirective::replace;
  return invalid_argument("Unknown metadata directive.", "x-amz-metadata-directive", text);
}

// False where no item can be one of GetObject's own, as in most presigned URLs: it saves looking for each of
// them.
bool may_have_own_items(QueryView query) {
  for (const QueryItem& item : query) {
    const char first = item.name.empty() ? '\0' : item.name[0];
    const bool own = first == 'v' || first == 'p' || first == 'r';  // versionId, partNumber, response-*
    if (own || item.name.find('%') != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

S3Result<GetObjectRequest> parse_get_object(const ParseContext& context) {
  const QueryView query = context.route.query;
  GetObjectRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  request.range = context.head.header("range");
  request.if_range = context.head.header("if-range");
  if (may_have_own_items(query)) {
    FB_CHECK(check_version_id(query));
    FB_TRY(request.part_number, query_part_number(query));
    FB_TRY(request.overrides, parse_response_overrides(query));
  }
  if (request.part_number && !request.range.empty()) {
    return S3Failure(S3Error::InvalidRequest,
                     "Cannot specify both Range header and partNumber query parameter");
  }
  request.conditions = ReadConditions::of_request(context.head, context.now_seconds);
  FB_TRY(request.with_checksums, wants_checksums(context.head));
  return request;
}

S3Result<PutObjectRequest> parse_put_object(const ParseContext& context) {
  PutObjectRequest request;
  FB_TRY(request.condition, WriteCondition::of_request(context.head));
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.metadata, parse_object_metadata(context.head));
  return request;
}

S3Result<DeleteObjectRequest> parse_delete_object(const ParseContext& context) {
  FB_TRY(const WriteCondition condition, WriteCondition::of_request(context.head));
  if (condition.kind == WriteCondition::Kind::must_not_exist)
    return unsupported_condition(condition.header(), "a deletion takes If-Match");
  FB_CHECK(check_version_id(context.route.query));
  return DeleteObjectRequest{context.route.bucket, context.route.key, condition};
}

S3Result<DeleteObjectsRequest> parse_delete_objects(const ParseContext& context) {
  FB_CHECK(check_write(context));
  return DeleteObjectsRequest{context.route.bucket};
}

S3Result<CopyObjectRequest> parse_copy_object(const ParseContext& context) {
  CopyObjectRequest request;
  FB_TRY(request.condition, WriteCondition::of_request(context.head));
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.source, parse_copy_source(context.head.header("x-amz-copy-source")));
  request.source_conditions = ReadConditions::of_copy_source(context.head, context.now_seconds);
  FB_TRY(const MetadataDirective directive, parse_metadata_directive(context.head));
  request.replace_metadata = directive == MetadataDirective::replace;
  if (request.replace_metadata) {
    FB_TRY(request.metadata, parse_object_metadata(context.head));
  }
  FB_TRY(const ChecksumChoice choice, parse_checksum_choice(context.head));
  request.checksum_kind = choice.kind;
  const bool onto_itself = request.source.bucket == request.bucket && request.source.key == request.key;
  if (onto_itself && !request.replace_metadata && !request.checksum_kind) {
    return S3Failure(
        S3Error::InvalidRequest,
        "This copy request is illegal because it is trying to copy an object to itself without changing "
        "the object's metadata, storage class, website redirect location or encryption attributes.");
  }
  return request;
}

S3Result<void> check_body_size(uint64_t size, uint64_t size_max) {
  if (size <= size_max) return {};
  return S3Failure(S3Error::EntityTooLarge)
      .with("ProposedSize", std::to_string(size))
      .with("MaxSizeAllowed", std::to_string(size_max));
}

}  // namespace fb::s3
