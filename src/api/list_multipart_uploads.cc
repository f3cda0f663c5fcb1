// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/upload.h"

namespace fb::api {
namespace {

struct UploadName {
  std::string_view key;
  std::string_view upload_id;
};

// Takes apart what upload_key() made.
S3Result<UploadName> split(std::string_view name) {
  if (name.size() < kUploadIdLength + 2 || name[name.size() - kUploadIdLength - 1] != '\0') {
    return S3Failure(S3Error::InternalError, "An upload's name is damaged.");
  }
  return UploadName{.key = name.substr(0, name.size() - kUploadIdLength - 1),
                    .upload_id = name.substr(name.size() - kUploadIdLength)};
}

// Where the page starts in the namespace's order. Without an upload id the marker's own uploads are passed
// over.
struct Start {
  std::string after;
  bool past_prefix = false;
};
Start start_of(const s3::ListMultipartUploadsRequest& request) {
  if (request.key_marker.empty()) return {};
  if (!request.upload_id_marker.empty())
    return {.after = upload_key(request.key_marker, request.upload_id_marker)};
  const s3::ListPosition position =
      s3::position_of_marker(request.key_marker, request.prefix, request.delimiter);
  if (position.past_prefix) return {.after = position.after, .past_prefix = true};
  std::string own_uploads = request.key_marker;
  own_uploads.push_back('\0');
  return {.after = std::move(own_uploads), .past_prefix = true};
}

}  // namespace

Task<S3Result<void>> list_multipart_uploads(Call& call) {
  FB_CO_TRY(const s3::ListMultipartUploadsRequest request,
            s3::parse_list_multipart_uploads(parse_context(call)));
  if (!request.delimiter.empty() &&
      request.delimiter.find_first_not_of("0123456789abcdef") == std::string::npos) {
    // It would be found in the upload ids, which stand behind the keys.
    co_return s3::not_implemented("a delimiter of hexadecimal digits in ListMultipartUploads");
  }
  if (!request.upload_id_marker.empty() && !is_upload_id(request.upload_id_marker)) {
    co_return s3::invalid_argument("Invalid uploadId marker", "upload-id-marker", request.upload_id_marker);
  }
  ListPage page;
  if (request.max_uploads > 0) {
    const Start start = start_of(request);
    FB_CO_TRY(page,
              as_s3(co_await call.services.names.list(call.context(), {.bucket = call.bucket,
                                                                       .space = Space::uploads,
                                                                       .prefix = request.prefix,
                                                                       .delimiter = request.delimiter,
                                                                       .start_after = start.after,
                                                                       .start_past_prefix = start.past_prefix,
                                                                       .entries_max = request.max_uploads})));
  }
  std::vector<s3::ListedUpload> uploads;
  std::vector<std::string_view> prefixes;
  for (const ListEntry& entry : page.entries) {
    if (entry.common_prefix) {
      prefixes.push_back(entry.key);
      continue;
    }
    FB_CO_TRY(const UploadName name, split(entry.key));
    FB_CO_TRY(const UploadRecord record, as_s3(UploadRecord::decode(entry.record)));
    uploads.push_back({.key = name.key,
                       .upload_id = name.upload_id,
                       .initiated_ms = record.initiated.milliseconds(),
                       .checksum_kind = to_checksum_kind(record.checksum_algorithm),
                       .checksum_type = record.checksum_composite ? s3::ChecksumType::composite
                                                                  : s3::ChecksumType::full_object});
  }
  s3::UploadList list{.uploads = uploads, .common_prefixes = prefixes, .truncated = page.truncated};
  if (page.truncated) {
    const bool ends_in_prefix = page.entries.back().common_prefix;
    list.next_key_marker = ends_in_prefix ? page.entries.back().key : uploads.back().key;
    if (!ends_in_prefix) list.next_upload_id_marker = uploads.back().upload_id;
  }
  std::string document;
  s3::write_list_multipart_uploads(request, shown_owner(call), list, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
