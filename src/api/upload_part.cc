// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/content_store.h"
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/store_part.h"

namespace fb::api {

Task<S3Result<void>> upload_part(Call& call) {
  FB_CO_TRY(const s3::UploadPartRequest request, s3::parse_upload_part(parse_context(call)));
  OpenUpload upload;
  FB_CO_CHECK(co_await open_upload(call, request.key, request.upload_id, upload));

  FB_CO_TRY(const s3::PayloadPlan plan, plan_payload(call, to_upload_checksum(upload.record)));
  RequestBody body(call, plan);
  const StoreLimits limits{.size_max_bytes = kPutSizeMax, .inline_sums_max = kInlineSumsOfPart};
  FB_CO_TRY(StoredContent content, co_await store_content(call.services, body, limits));
  FB_CO_CHECK(co_await body.finish());
  PartRecord part{.size_bytes = content.size_bytes(),
                  .last_modified = call.services.env.wall_clock(),
                  .md5 = body.md5(),
                  .content = content.locator()};
  if (body.checksum()) part.checksum = to_record(*body.checksum());
  if (body.crc64nvme()) std::ranges::copy(body.crc64nvme()->bytes(), part.crc64nvme.emplace().begin());
  FB_CO_CHECK(
      co_await store_part(call, request.key, request.upload_id, upload, request.part_number, part, content));
  add_etag(call, {.md5 = part.md5});
  if (const auto kind = to_checksum_kind(part.checksum.algorithm)) {
    call.exchange.headers().add(s3::checksum_header(*kind), checksum_text(part.checksum, 0));
  }
  co_return co_await respond_empty(call, 200);
}

}  // namespace fb::api
