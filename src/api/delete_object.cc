// SPDX-License-Identifier: Apache-2.0
// DeleteObject: 204 whether or not the object was there, as S3 answers without versioning; under If-Match
// only where the object is there and has that ETag.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/write_condition.h"

namespace fb::api {

Task<S3Result<void>> delete_object(Call& call) {
  FB_CO_TRY(const s3::DeleteObjectRequest request, s3::parse_delete_object(parse_context(call)));
  auto erased = co_await call.services.names.apply(call.context(), call.bucket,
                                                   {.kind = Mutation::Kind::erase,
                                                    .space = Space::objects,
                                                    .key = request.key,
                                                    .condition = to_condition(request.condition)});
  if (!erased) co_return write_failure(request.condition, request.key, erased.error());
  co_return co_await respond_empty(call, 204);
}

}  // namespace fb::api
