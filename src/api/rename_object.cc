// SPDX-License-Identifier: Apache-2.0
// RenameObject: one step of the namespace, whatever lies beneath; no content is touched. Its conditions speak
// of times and lists of ETags, which the namespace does not know: they are evaluated on the records that are
// there, and the rename is held to the versions of these. It begins again where one of them, or its client
// token, has changed meanwhile.

#include "api/client_token.h"
#include "api/object_response.h"
#include "api/operations.h"

namespace fb::api {
namespace {

// Records that change under so many attempts in a row: 409.
constexpr int kAttemptsMax = 16;

struct Conditions {
  Condition source;
  Condition destination;
};

S3Failure no_such_source(const s3::RenameObjectRequest& request) {
  return S3Failure(S3Error::NoSuchKey).with("Key", request.source);
}

S3Failure precondition_failed(const s3::ReadConditions::Decision& decision) {
  return S3Failure(S3Error::PreconditionFailed).with("Condition", decision.header);
}

// What holds a rename to the object that `conditions` were evaluated on; none where there are none.
Task<S3Result<Condition>> evaluate(Call& call, std::string_view key, const s3::ReadConditions& conditions,
                                   const S3Failure* missing) {
  if (conditions.empty()) co_return Condition();
  const auto found = co_await call.services.names.get(call.context(), call.bucket, Space::objects, key);
  if (!found) {
    if (!found.error().is(NamespaceError::not_found)) co_return to_failure(found.error());
    if (missing != nullptr) co_return *missing;
    const auto decision = conditions.decide_absent();
    if (decision.outcome != s3::ConditionOutcome::proceed) co_return precondition_failed(decision);
    co_return Condition{.kind = Condition::Kind::must_not_exist};
  }
  FB_CO_TRY(const ObjectRecord record, as_s3(ObjectRecord::decode(found->record)));
  const auto decision = conditions.decide(record.etag.text(), record.last_modified.seconds());
  if (decision.outcome != s3::ConditionOutcome::proceed) co_return precondition_failed(decision);
  co_return Condition{.kind = Condition::Kind::version_is, .version = found->version};
}

Task<S3Result<Conditions>> evaluate(Call& call, const s3::RenameObjectRequest& request) {
  const S3Failure missing = no_such_source(request);
  Conditions conditions;
  FB_CO_TRY(conditions.source, co_await evaluate(call, request.source, request.source_conditions, &missing));
  FB_CO_TRY(conditions.destination,
            co_await evaluate(call, request.key, request.destination_conditions, nullptr));
  co_return conditions;
}

// Whether there is nothing to rename: what was not found may have been a record that a condition spoke of.
Task<S3Result<bool>> source_is_missing(Call& call, const s3::RenameObjectRequest& request) {
  if (request.directory) {
    FB_CO_TRY(
        const ListPage page,
        as_s3(co_await call.services.names.list(
            call.context(),
            {.bucket = call.bucket, .prefix = request.source, .entries_max = 1, .with_records = false})));
    co_return page.entries.empty();
  }
  const auto found =
      co_await call.services.names.get(call.context(), call.bucket, Space::objects, request.source);
  if (found) co_return false;
  if (!found.error().is(NamespaceError::not_found)) co_return to_failure(found.error());
  co_return true;
}

S3Failure rename_failure(const s3::RenameObjectRequest& request, const Error& error) {
  if (request.directory && error.is(NamespaceError::key_too_long)) {
    return {S3Error::KeyTooLongError,
            "A key beneath the directory would have more than 1024 bytes under its new name."};
  }
  return to_failure(error);
}

// False where a race was lost.
Task<S3Result<bool>> try_rename(Call& call, const s3::RenameObjectRequest& request,
                                std::span<const Mutation> remembered) {
  FB_CO_TRY(const Conditions conditions, co_await evaluate(call, request));
  const auto renamed =
      co_await call.services.names.rename(call.context(), {.bucket = call.bucket,
                                                           .source = request.source,
                                                           .destination = request.key,
                                                           .prefix = request.directory,
                                                           .source_condition = conditions.source,
                                                           .destination_condition = conditions.destination,
                                                           .with = remembered});
  if (renamed) co_return true;
  if (renamed.error().is(NamespaceError::precondition_failed)) co_return false;
  if (!renamed.error().is(NamespaceError::not_found)) co_return rename_failure(request, renamed.error());
  FB_CO_TRY(const bool missing, co_await source_is_missing(call, request));
  if (missing) co_return no_such_source(request);
  co_return false;
}

}  // namespace

Task<S3Result<void>> rename_object(Call& call) {
  FB_CO_TRY(const s3::RenameObjectRequest request, s3::parse_rename_object(parse_context(call)));
  ClientToken token(request.client_token, request.fingerprint);
  FB_CO_CHECK(co_await token.find_expired(call));
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    FB_CO_TRY(const bool repeated, co_await token.look_up(call));
    if (repeated) co_return co_await respond_empty(call, 200);
    // Another request may erase the same expired tokens: once is enough to try.
    const std::vector<Mutation> remembered = token.changes(call, attempt == 0);
    const auto renamed = co_await try_rename(call, request, remembered);
    if (renamed && *renamed) co_return co_await respond_empty(call, 200);
    if (renamed) continue;
    // It may have failed because this same request was carried out a moment ago.
    FB_CO_TRY(const bool meanwhile, co_await token.look_up(call));
    if (meanwhile) co_return co_await respond_empty(call, 200);
    co_return renamed.error();
  }
  co_return S3Error::ConditionalRequestConflict;
}

}  // namespace fb::api
