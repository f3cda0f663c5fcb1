// SPDX-License-Identifier: Apache-2.0
// DeleteObjects: up to 1000 keys, each with an outcome of its own. A key with an <ETag> is deleted only where
// the object has it.

#include <algorithm>

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/write_condition.h"

namespace fb::api {
namespace {

s3::WriteCondition condition_of(const s3::DeleteItem& item) {
  if (!item.etag) return {};
  const auto condition = s3::WriteCondition::if_match(*item.etag);
  FB_ASSERT(condition.has_value());  // the parser has refused the others
  return *condition;
}

// Whether it speaks of the key, and not of the server.
bool is_of_the_key(const Error& error) {
  return error.is(NamespaceError::not_found) || error.is(NamespaceError::precondition_failed);
}

// What fails for a key stands beside it in the answer. Where nothing at all could be decided, the request as
// a whole fails, so that its client repeats it.
Task<S3Result<void>> erase(Call& call, s3::DeleteBody& body) {
  std::vector<s3::DeleteItem*> items;
  std::vector<Mutation> mutations;
  for (s3::DeleteItem& item : body.items) {
    if (item.refusal) continue;
    items.push_back(&item);
    mutations.push_back({.kind = Mutation::Kind::erase,
                         .space = Space::objects,
                         .key = item.key,
                         .condition = to_condition(condition_of(item))});
  }
  const auto done = co_await call.services.names.apply_each(call.context(), call.bucket, mutations);
  FB_ASSERT(done.size() == items.size(), done.size(), items.size());
  const bool decided = std::ranges::any_of(
      done, [](const Result<MutationResult>& result) { return result || is_of_the_key(result.error()); });
  if (!done.empty() && !decided) co_return to_failure(done.front().error());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!done[i]) items[i]->refusal = write_failure(condition_of(*items[i]), items[i]->key, done[i].error());
  }
  co_return S3Result<void>();
}

}  // namespace

Task<S3Result<void>> delete_objects(Call& call) {
  FB_CO_CHECK(s3::parse_delete_objects(parse_context(call)));
  FB_CO_TRY(const SmallBody received, co_await read_small_body(call, s3::kDeleteBodySizeMax));
  FB_CO_TRY(s3::DeleteBody body, s3::parse_delete_body(received.text()));
  FB_CO_CHECK(co_await erase(call, body));
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
