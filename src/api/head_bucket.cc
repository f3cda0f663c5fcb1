// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"

namespace fb::api {

Task<S3Result<void>> head_bucket(Call& call) {
  FB_CO_CHECK(s3::parse_bucket_request(parse_context(call)));
  call.exchange.headers().add("x-amz-bucket-region", call.options.region);
  co_return as_s3(co_await call.exchange.respond_without_body(200, std::nullopt));
}

}  // namespace fb::api
