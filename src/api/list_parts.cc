// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/upload.h"

namespace fb::api {

Task<S3Result<void>> list_parts(Call& call) {
  FB_CO_TRY(const s3::ListPartsRequest request, s3::parse_list_parts(parse_context(call)));
  OpenUpload upload;
  FB_CO_CHECK(co_await open_upload(call, request.key, request.upload_id, upload));
  ListPage page;
  if (request.max_parts > 0) {
    const std::string after = part_key(request.upload_id, static_cast<uint16_t>(request.part_number_marker));
    FB_CO_TRY(page,
              as_s3(co_await call.services.names.list(call.context(), {.bucket = call.bucket,
                                                                       .space = Space::parts,
                                                                       .prefix = request.upload_id,
                                                                       .start_after = after,
                                                                       .entries_max = request.max_parts})));
  }
  // An Abort or a Complete that came between would leave a list of no parts of an upload that is not there.
  OpenUpload still;
  FB_CO_CHECK(co_await open_upload(call, request.key, request.upload_id, still));
  std::vector<s3::ListedPart> parts;
  parts.reserve(page.entries.size());
  for (const ListEntry& entry : page.entries) {
    FB_CO_TRY(const PartRecord part, as_s3(PartRecord::decode(entry.record)));
    const auto checksum = shown_checksum(part.checksum, 0);
    parts.push_back({.number = part_number_of(entry.key),
                     .last_modified_ms = part.last_modified.milliseconds(),
                     .etag = {.md5 = part.md5},
                     .size = part.size_bytes,
                     .checksum = checksum ? std::optional(checksum->value) : std::nullopt});
  }
  std::string document;
  s3::write_list_parts(request, shown_owner(call),
                       {.parts = parts,
                        .truncated = page.truncated,
                        .checksum_kind = to_checksum_kind(upload.record.checksum_algorithm),
                        .checksum_type = upload.record.checksum_composite ? s3::ChecksumType::composite
                                                                          : s3::ChecksumType::full_object},
                       document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
