// SPDX-License-Identifier: Apache-2.0
// DeleteObjects: up to 1000 keys in one journal record. What one key is refused for does not touch the
// others. A key with an <ETag> is deleted only where the object has it: the whole commit is tried with these
// conditions first, and where they do not hold, the keys that fail theirs are found and left out.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/write_condition.h"

namespace fb::api {
namespace {

// A commit whose conditions held when they were looked at has lost a race. After so many the keys that are
// still under a condition are answered with 409, and the others deleted.
constexpr int kAttemptsMax = 16;

s3::WriteCondition condition_of(const s3::DeleteItem& item) {
  if (!item.etag) return {};
  const auto condition = s3::WriteCondition::if_match(*item.etag);
  FB_ASSERT(condition.has_value());  // the parser has refused the others
  return *condition;
}

Task<Result<void>> erase(Call& call, const s3::DeleteBody& body) {
  std::vector<Mutation> mutations;
  mutations.reserve(body.items.size());
  for (const s3::DeleteItem& item : body.items) {
    if (item.refusal) continue;
    mutations.push_back({.kind = Mutation::Kind::erase,
                         .space = Space::objects,
                         .key = item.key,
                         .condition = to_condition(condition_of(item))});
  }
  static_assert(s3::kDeleteKeysMax <= kCommitMutationsMax);
  if (mutations.empty()) co_return Result<void>();
  FB_CO_TRY(const auto done, co_await call.services.names.commit(call.context(), call.bucket, mutations));
  FB_ASSERT(done.size() == mutations.size(), done.size(), mutations.size());
  co_return Result<void>();
}

bool is_pending(const s3::DeleteItem& item) { return item.etag && !item.refusal; }

// Refuses the keys whose condition does not hold now.
Task<S3Result<void>> refuse_failing(Call& call, s3::DeleteBody& body) {
  for (s3::DeleteItem& item : body.items) {
    if (!is_pending(item)) continue;
    auto holds = co_await check_condition_early(call, condition_of(item), item.key);
    if (holds) continue;
    const S3Error error = holds.error().error;
    if (error != S3Error::NoSuchKey && error != S3Error::PreconditionFailed) co_return holds.error();
    item.refusal = std::move(holds.error());
  }
  co_return S3Result<void>();
}

Task<S3Result<void>> erase_all(Call& call, s3::DeleteBody& body) {
  for (int attempt = 0;; ++attempt) {
    const auto erased = co_await erase(call, body);
    if (erased) co_return S3Result<void>();
    const bool condition_failed = erased.error().is(NamespaceError::precondition_failed) ||
                                  erased.error().is(NamespaceError::not_found);
    if (!condition_failed || attempt > kAttemptsMax) co_return to_failure(erased.error());
    if (attempt == kAttemptsMax) {
      for (s3::DeleteItem& item : body.items) {
        if (is_pending(item)) item.refusal = S3Error::ConditionalRequestConflict;
      }
      continue;
    }
    FB_CO_CHECK(co_await refuse_failing(call, body));
  }
}

}  // namespace

Task<S3Result<void>> delete_objects(Call& call) {
  FB_CO_TRY(const s3::DeleteObjectsRequest request, s3::parse_delete_objects(parse_context(call)));
  FB_CO_TRY(const std::string text,
            co_await read_small_body(call, {.content_md5 = request.content_md5, .checksum = request.checksum},
                                     s3::kDeleteBodySizeMax));
  FB_CO_TRY(s3::DeleteBody body, s3::parse_delete_body(text));
  FB_CO_CHECK(co_await erase_all(call, body));
  std::vector<s3::DeletedKey> keys;
  keys.reserve(body.items.size());
  for (const s3::DeleteItem& item : body.items) {
    keys.push_back(
        {.key = item.key, .version_id = item.version_id, .failure = item.refusal ? &*item.refusal : nullptr});
  }
  std::string document;
  s3::write_delete_result(body.quiet, keys, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
