// SPDX-License-Identifier: Apache-2.0
// PutObject: the body goes into blobs as it arrives, is verified at its end, and only then gets its name. Two
// durable writes one after the other: the blobs, then the record, which decides the request's condition.

#include "api/content_store.h"
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/write_condition.h"

namespace fb::api {

Task<S3Result<void>> put_object(Call& call) {
  FB_CO_TRY(const s3::PutObjectRequest request, s3::parse_put_object(parse_context(call)));
  FB_CO_TRY(const s3::PayloadPlan plan, plan_payload(call));
  RequestBody body(call, plan);
  FB_CO_CHECK(co_await check_condition_early(call, request.condition, request.key));
  FB_CO_TRY(StoredContent content,
            co_await store_content(call.services, body, {.size_max_bytes = kPutSizeMax}));
  FB_CO_CHECK(co_await body.finish());

  ObjectRecord record{.size_bytes = content.size_bytes(),
                      .last_modified = call.services.env.wall_clock(),
                      .etag = {.md5 = body.md5()},
                      .metadata = request.metadata,
                      .content = content.locator()};
  if (body.checksum()) record.checksum = to_record(*body.checksum());
  const std::string bytes = record.encode();
  auto put = co_await call.services.names.apply(call.context(), call.bucket,
                                                {.kind = Mutation::Kind::put,
                                                 .space = Space::objects,
                                                 .key = request.key,
                                                 .record = bytes,
                                                 .condition = to_condition(request.condition)});
  content.settle(put);
  if (!put) co_return write_failure(request.condition, request.key, put.error());

  add_etag(call, record.etag);
  add_checksum(call, record.checksum, checksum_type(record.checksum), 0);
  co_return co_await respond_empty(call, 200);
}

}  // namespace fb::api
