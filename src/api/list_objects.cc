// SPDX-License-Identifier: Apache-2.0
// ListObjects and ListObjectsV2: one page of the namespace, in its order, which is that of bytes.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"

namespace fb::api {
namespace {

s3::ListedObject listed(std::string_view key, const ObjectRecord& record) {
  return {.key = key,
          .last_modified_ms = record.last_modified.milliseconds(),
          .etag = shown_etag(record.etag),
          .size = record.size_bytes,
          .checksum_kind = to_checksum_kind(record.checksum.algorithm),
          .checksum_type =
              record.checksum.composite ? s3::ChecksumType::composite : s3::ChecksumType::full_object};
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
    FB_CO_TRY(const ObjectRecord record, as_s3(ObjectRecord::decode(entry.record)));
    objects.push_back(listed(entry.key, record));
  }
  if (page.truncated && !page.entries.empty()) {
    next =
        s3::ListPosition{.after = page.entries.back().key, .past_prefix = page.entries.back().common_prefix};
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
