// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "s3/request/requests.h"

// Input: "METHOD target" and then lines "Name: value". The request is routed, and where that succeeds parsed
// as the operation it names, exactly as the server does before it touches anything.

namespace fb::s3 {
namespace {

struct Input {
  RequestHead head;
  std::vector<HeaderField> headers;
};

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

void read_input(std::string_view text, Input& input) {
  const std::string_view line = take_line(text);
  const size_t space = line.find(' ');
  input.head.method = line.substr(0, space);
  input.head.target = space == std::string_view::npos ? "/" : line.substr(space + 1);
  const size_t mark = input.head.target.find('?');
  input.head.path = input.head.target.substr(0, mark);
  if (mark != std::string_view::npos) input.head.query = input.head.target.substr(mark + 1);
  while (!text.empty()) {
    const std::string_view header = take_line(text);
    const size_t colon = header.find(':');
    if (colon == std::string_view::npos || colon == 0) continue;
    input.headers.push_back({header.substr(0, colon), ascii_trim(header.substr(colon + 1))});
  }
  input.head.headers = input.headers;
}

void check_metadata(std::string_view metadata) {
  FB_ASSERT(metadata.size() <= kEncodedMetadataSizeMax);
  const bool good = emit_object_headers(
      metadata, {}, [](std::string_view name, std::string_view) { FB_ASSERT(!name.empty()); });
  FB_ASSERT(good);
}

void parse(const ParseContext& context) {
  switch (context.route.operation) {
    case Operation::ListBuckets:
      (void)parse_list_buckets(context);
      break;
    case Operation::CreateBucket:
    case Operation::DeleteBucket:
    case Operation::HeadBucket:
    case Operation::GetBucketLocation:
      (void)parse_bucket_request(context);
      break;
    case Operation::ListObjects:
    case Operation::ListObjectsV2:
      if (const auto request = parse_list_objects(context)) {
        FB_ASSERT(request->max_keys <= kListKeysMax);
        FB_ASSERT(decode_token(encode_token(request->position)) == request->position);
      }
      break;
    case Operation::ListMultipartUploads:
      (void)parse_list_multipart_uploads(context);
      break;
    case Operation::DeleteObjects:
      (void)parse_delete_objects(context);
      break;
    case Operation::GetObject:
    case Operation::HeadObject:
      if (const auto request = parse_get_object(context)) {
        for (uint64_t size : {0ULL, 1ULL, 100ULL, 1ULL << 40}) {
          const ResolvedRange range = resolve_range(request->range, size);
          FB_ASSERT(range.offset + range.size <= size);
        }
        (void)request->conditions.evaluate("d41d8cd98f00b204e9800998ecf8427e", 0);
      }
      break;
    case Operation::PutObject:
      if (const auto request = parse_put_object(context)) check_metadata(request->metadata);
      break;
    case Operation::RenameObject:
      (void)parse_rename_object(context);
      break;
    case Operation::DeleteObject:
      (void)parse_delete_object(context);
      break;
    case Operation::CopyObject:
      if (const auto request = parse_copy_object(context)) {
        FB_ASSERT(is_valid_bucket_name(request->source.bucket));
        FB_ASSERT(check_key(request->source.key));
        check_metadata(request->metadata);
      }
      break;
    case Operation::CreateMultipartUpload:
      if (const auto request = parse_create_multipart_upload(context)) check_metadata(request->metadata);
      break;
    case Operation::UploadPart:
      (void)parse_upload_part(context);
      break;
    case Operation::UploadPartCopy:
      (void)parse_upload_part_copy(context);
      break;
    case Operation::CompleteMultipartUpload:
      (void)parse_complete_multipart_upload(context);
      break;
    case Operation::AbortMultipartUpload:
      (void)parse_abort_multipart_upload(context);
      break;
    case Operation::ListParts:
      (void)parse_list_parts(context);
      break;
    default:
      FB_ASSERT(false, to_string(context.route.operation));
  }
}

}  // namespace
}  // namespace fb::s3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::s3;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Input input;
  read_input(text, input);
  static const std::vector<std::string> kDomains = {"example.com", "s3.example.com"};
  RouteBuffer buffer;
  const std::string_view host = input.head.header("host");
  const auto routed = route(input.head, host, kDomains, buffer);
  FB_ASSERT(!operation_name(input.head, host, kDomains).empty());
  if (routed) {
    const OperationInfo& entry = routed->operation_info();
    FB_ASSERT(entry.is_built());
    FB_ASSERT((entry.target != Target::service) == is_valid_bucket_name(routed->bucket));
    FB_ASSERT((entry.target == Target::object) == check_key(routed->key).has_value());
    parse({input.head, *routed, "123456789012", 1'767'323'045});
  }
  // Any bytes as stored metadata, and as a token.
  (void)emit_object_headers(text, {}, [](std::string_view, std::string_view) {});
  if (const auto position = decode_token(text)) FB_ASSERT(encode_token(*position) == text);
  (void)decode_words(text);
  return 0;
}
