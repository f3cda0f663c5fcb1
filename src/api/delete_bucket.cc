// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"

namespace fb::api {

Task<S3Result<void>> delete_bucket(Call& call) {
  FB_CO_TRY(const s3::BucketRequest request, s3::parse_bucket_request(parse_context(call)));
  FB_CO_CHECK(as_s3(co_await call.roots.delete_bucket(call.context(), request.bucket)));
  co_return co_await respond_empty(call, 204);
}

}  // namespace fb::api
