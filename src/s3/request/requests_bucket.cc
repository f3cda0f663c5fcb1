// SPDX-License-Identifier: Apache-2.0
#include "s3/request/query_values.h"
#include "s3/request/requests.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kContinuationToken = "continuation-token";

S3Result<ListPosition> parse_token(std::string_view token) {
  auto position = decode_token(token);
  if (!position) {
    return invalid_argument("The continuation token provided is incorrect", kContinuationToken, token);
  }
  return std::move(*position);
}

S3Result<void> parse_v1_position(QueryView query, ListObjectsRequest& request) {
  FB_TRY(request.marker, query_text_or_empty(query, "marker"));
  request.position = position_of_marker(request.marker, request.prefix, request.delimiter);
  request.fetch_owner = true;
  return {};
}

S3Result<void> parse_v2_position(QueryView query, ListObjectsRequest& request) {
  FB_TRY(request.start_after, query_text_or_empty(query, "start-after"));
  if (const auto raw = query.get(kContinuationToken)) {
    auto token = decode_query(*raw);
    if (!token) return S3Error::InvalidURI;
    request.continuation_token = std::move(*token);
  }
  // A token says more than start-after; an empty one says nothing.
  if (request.continuation_token && !request.continuation_token->empty()) {
    FB_TRY(request.position, parse_token(*request.continuation_token));
  } else {
    request.position.after = request.start_after;
  }
  const auto fetch_owner = query.get("fetch-owner");
  request.fetch_owner = fetch_owner && ascii_iequals(*fetch_owner, "true");
  return {};
}

}  // namespace

S3Result<BucketRequest> parse_bucket_request(const ParseContext& context) {
  return BucketRequest{context.route.bucket};
}

S3Result<ListBucketsRequest> parse_list_buckets(const ParseContext& context) {
  const QueryView query = context.route.query;
  ListBucketsRequest request;
  FB_TRY(request.prefix, query_text_or_empty(query, "prefix"));
  FB_TRY(const auto count, query_count(query, "max-buckets", UINT32_MAX));
  if (count) {
    if (*count == 0 || *count > kListBucketsMax) {
      return invalid_argument("Argument max-buckets must be an integer between 1 and 10000.", "max-buckets",
                              *query.get("max-buckets"));
    }
    request.max_buckets = *count;
    request.limited = true;
  }
  FB_TRY(request.region, query_text_or_empty(query, "bucket-region"));
  FB_TRY(const std::string token, query_text_or_empty(query, kContinuationToken));
  if (!token.empty()) {
    FB_TRY(request.position, parse_token(token));
  }
  return request;
}

S3Result<ListObjectsRequest> parse_list_objects(const ParseContext& context) {
  const QueryView query = context.route.query;
  ListObjectsRequest request;
  request.bucket = context.route.bucket;
  request.v2 = context.route.operation == Operation::ListObjectsV2;
  FB_TRY(request.prefix, query_text_or_empty(query, "prefix"));
  FB_TRY(request.delimiter, query_text_or_empty(query, "delimiter"));
  FB_TRY(const auto max_keys, query_count(query, "max-keys", kListKeysMax));
  request.max_keys = max_keys.value_or(kListKeysMax);
  FB_TRY(request.encode_url, query_encode_url(query));
  FB_CHECK(request.v2 ? parse_v2_position(query, request) : parse_v1_position(query, request));
  return request;
}

}  // namespace fb::s3
