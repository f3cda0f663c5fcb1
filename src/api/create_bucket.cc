// SPDX-License-Identifier: Apache-2.0
// CreateBucket: durable when answered. A bucket one owns already is 200, as us-east-1 answers.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"

namespace fb::api {
namespace {

constexpr int kTriesMax = 16;  // of a bucket that others delete over and over: then 409

// A bucket that is there may be deleted before its owner has been looked up: then there is none, and it can
// be created.
Task<S3Result<void>> create_or_find(Call& call, std::string_view bucket) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const auto created = co_await call.roots.create_bucket(call.context(), bucket, call.owner);
    if (created) co_return S3Result<void>();
    if (!created.error().is(RootError::bucket_exists)) co_return to_failure(created.error());
    const auto existing = co_await call.roots.find_bucket(call.context(), bucket);
    if (existing && existing->owner == call.owner) co_return S3Result<void>();
    if (existing) co_return S3Error::BucketAlreadyExists;
    if (!existing.error().is(RootError::no_such_bucket)) co_return to_failure(existing.error());
  }
  co_return S3Error::OperationAborted;
}

}  // namespace

Task<S3Result<void>> create_bucket(Call& call) {
  FB_CO_TRY(const s3::BucketRequest request, s3::parse_bucket_request(parse_context(call)));
  FB_CO_TRY(const SmallBody body, co_await read_small_body(call, s3::kCreateBucketBodySizeMax));
  FB_CO_CHECK(s3::parse_create_bucket_body(body.text()));
  FB_CO_CHECK(co_await create_or_find(call, request.bucket));
  call.exchange.headers().add("Location", "/" + std::string(request.bucket));
  co_return co_await respond_empty(call, 200);
}

}  // namespace fb::api
