// SPDX-License-Identifier: Apache-2.0
// CreateBucket: durable when answered. A bucket one owns already is 200, as us-east-1 answers.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"

namespace fb::api {

Task<S3Result<void>> create_bucket(Call& call) {
  FB_CO_TRY(const s3::BucketRequest request, s3::parse_bucket_request(parse_context(call)));
  FB_CO_TRY(const SmallBody body,
            co_await read_small_body(call, s3::PayloadUse::document, s3::kCreateBucketBodySizeMax));
  FB_CO_CHECK(s3::parse_create_bucket_body(body.text()));
  const auto created = co_await call.roots.create_bucket(call.context(), request.bucket, call.owner);
  if (!created && !created.error().is(RootError::bucket_exists)) co_return to_failure(created.error());
  if (!created) {
    FB_CO_TRY(const BucketInfo existing,
              as_s3(co_await call.roots.find_bucket(call.context(), request.bucket)));
    if (existing.owner != call.owner) co_return S3Error::BucketAlreadyExists;
  }
  call.exchange.headers().add("Location", "/" + std::string(request.bucket));
  co_return co_await respond_empty(call, 200);
}

}  // namespace fb::api
