// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "s3/request/query_values.h"
#include "s3/request/request_checks.h"
#include "s3/request/requests.h"

namespace fb::s3 {
namespace {

S3Result<std::string> parse_upload_id(QueryView query) {
  FB_TRY(std::string upload_id, query_text_or_empty(query, "uploadId"));
  if (upload_id.empty() || upload_id.size() > kUploadIdSizeMax) {
    return S3Failure(S3Error::NoSuchUpload).with("UploadId", upload_id);
  }
  return upload_id;
}

S3Result<uint32_t> parse_part_number(QueryView query) {
  FB_TRY(const auto number, query_part_number(query));
  if (!number)
    return invalid_argument("This operation does not accept a query-string without partNumber.", "partNumber",
                            "");
  return *number;
}

S3Result<std::optional<uint64_t>> parse_object_size(const RequestHead& head) {
  const std::string_view text = head.header("x-amz-mp-object-size");
  if (text.empty()) return std::optional<uint64_t>();
  if (text.starts_with('-')) {
    return S3Failure(S3Error::InvalidRequest,
                     fmt::format("Value for x-amz-mp-object-size header is less than zero: '{}'", text));
  }
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) {
    return S3Failure(S3Error::InvalidRequest,
                     fmt::format("Value for x-amz-mp-object-size header is invalid: '{}'", text));
  }
  return std::optional(size);
}

}  // namespace

S3Result<CreateMultipartUploadRequest> parse_create_multipart_upload(const ParseContext& context) {
  FB_CHECK(check_write(context));
  CreateMultipartUploadRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.metadata, parse_object_metadata(context.head));
  FB_TRY(const ChecksumChoice choice, parse_checksum_choice(context.head));
  if (choice.type && !choice.kind) {
    return S3Failure(
        S3Error::InvalidRequest,
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
  }
  if (choice.kind) {
    request.checksum_kind = choice.kind;
    FB_TRY(request.checksum_type, resolve_checksum_type(*choice.kind, choice.type));
  }
  return request;
}

S3Result<UploadPartRequest> parse_upload_part(const ParseContext& context) {
  FB_CHECK(check_write(context));
  UploadPartRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.part_number, parse_part_number(context.route.query));
  FB_TRY(request.upload_id, parse_upload_id(context.route.query));
  return request;
}

S3Result<UploadPartCopyRequest> parse_upload_part_copy(const ParseContext& context) {
  FB_CHECK(check_write(context));
  UploadPartCopyRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.part_number, parse_part_number(context.route.query));
  FB_TRY(request.upload_id, parse_upload_id(context.route.query));
  FB_TRY(request.source, parse_copy_source(context.head.header("x-amz-copy-source")));
  request.source_conditions = ReadConditions::of_copy_source(context.head, context.now_seconds);
  if (const std::string_view range = context.head.header("x-amz-copy-source-range"); !range.empty()) {
    request.source_range = parse_copy_range(range);
    if (!request.source_range) {
      return invalid_argument(
          "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
          "the "
          "zero-based offsets of the first and last bytes to copy",
          "x-amz-copy-source-range", range);
    }
    FB_CHECK(check_body_size(request.source_range->last - request.source_range->first + 1, kPartSizeMax));
  }
  return request;
}

S3Result<CompleteMultipartUploadRequest> parse_complete_multipart_upload(const ParseContext& context) {
  CompleteMultipartUploadRequest request;
  FB_TRY(request.condition, WriteCondition::of_request(context.head));
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.upload_id, parse_upload_id(context.route.query));
  FB_TRY(request.checksum, parse_object_checksum(context.head));
  FB_TRY(const ChecksumChoice choice, parse_checksum_choice(context.head));
  request.checksum_type = choice.type;
  FB_TRY(request.object_size, parse_object_size(context.head));
  return request;
}

S3Result<AbortMultipartUploadRequest> parse_abort_multipart_upload(const ParseContext& context) {
  FB_CHECK(check_write(context));
  AbortMultipartUploadRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.upload_id, parse_upload_id(context.route.query));
  return request;
}

S3Result<ListPartsRequest> parse_list_parts(const ParseContext& context) {
  const QueryView query = context.route.query;
  ListPartsRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.upload_id, parse_upload_id(query));
  FB_TRY(const auto marker, query_count(query, "part-number-marker", kPartNumberMax));
  request.part_number_marker = marker.value_or(0);
  FB_TRY(const auto max_parts, query_count(query, "max-parts", kListPartsMax));
  request.max_parts = max_parts.value_or(kListPartsMax);
  FB_TRY(request.encode_url, query_encode_url(query));
  return request;
}

S3Result<ListMultipartUploadsRequest> parse_list_multipart_uploads(const ParseContext& context) {
  const QueryView query = context.route.query;
  ListMultipartUploadsRequest request;
  request.bucket = context.route.bucket;
  FB_TRY(request.prefix, query_text_or_empty(query, "prefix"));
  FB_TRY(request.delimiter, query_text_or_empty(query, "delimiter"));
  FB_TRY(request.key_marker, query_text_or_empty(query, "key-marker"));
  if (!request.key_marker.empty()) {
    FB_TRY(request.upload_id_marker, query_text_or_empty(query, "upload-id-marker"));
  }
  FB_TRY(const auto max_uploads, query_count(query, "max-uploads", kListUploadsMax));
  request.max_uploads = max_uploads.value_or(kListUploadsMax);
  FB_TRY(request.encode_url, query_encode_url(query));
  return request;
}

}  // namespace fb::s3
