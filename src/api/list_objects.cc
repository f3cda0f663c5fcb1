// SPDX-License-Identifier: Apache-2.0
// ListObjects and ListObjectsV2: one page of the namespace, in its order, which is that of bytes.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"

namespace fb::api {
namespace {

s3::ListedObject listed(std::string_view key, const ObjectSummary& object) {
  return {.key = key,
          .last_modified_ms = object.last_modified.milliseconds(),
          .etag = shown_etag(object.etag),
          .size = object.size_bytes,
          .checksum_kind = to_checksum_kind(object.checksum_algorithm),
          .checksum_type =
              object.checksum_composite ? s3::ChecksumType::composite : s3::ChecksumType::full_object};
}

Task<S3Result<void>> list(Call& call) {
  FB_CO_TRY(const s3::ListObjectsRequest request, s3::parse_list_objects(parse_context(call)));
  std::vector<s3::ListedObject> objects;
  std::vector<std::string_view> prefixes;
  std::optional<s3::ListPosition> next;
  ListPage page;
  if (request.max_keys > 0) {
    FB_CO_TRY(page, as_s3(co_await call.services.names.list(
                        call.context(), {.bucket = call.bucket,
                                         .space = Space::objects,
                                         .prefix = request.prefix,
                                         .delimiter = request.delimiter,
                                         .start_after = request.position.after,
                                         .start_past_prefix = request.position.past_prefix,
                                         .entries_max = request.max_keys})));
  }
  objects.reserve(page.entries.size());
  for (const ListEntry& entry : page.entries) {
    if (entry.common_prefix) {
      prefixes.push_back(entry.key);
      continue;
    }
    FB_CO_TRY(const ObjectSummary object, as_s3(ObjectSummary::decode(entry.record)));
    objects.push_back(listed(entry.key, object));
  }
  if (page.truncated && !page.entries.empty()) {
    next = s3::ListPosition{.after = std::string(page.entries.back().key),
                            .past_prefix = page.entries.back().common_prefix};
  }
  std::string document;
  s3::write_list_objects(request, shown_owner(call),
                         {.objects = objects, .common_prefixes = prefixes, .next = next}, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace

Task<S3Result<void>> list_objects(Call& call) { return list(call); }
Task<S3Result<void>> list_objects_v2(Call& call) { return list(call); }

}  // namespace fb::api
