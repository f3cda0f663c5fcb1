// SPDX-License-Identifier: Apache-2.0
#include "api/write_condition.h"

namespace fb::api {
namespace {

S3Failure no_such_key(std::string_view key) { return S3Failure(S3Error::NoSuchKey).with("Key", key); }

S3Failure precondition_failed(const s3::WriteCondition& condition) {
  return S3Failure(S3Error::PreconditionFailed).with("Condition", condition.header());
}

bool same_etag(const RecordEtag& etag, std::string_view text) {
  char buffer[RecordEtag::kTextSizeMax];
  return std::string_view(buffer, etag.write_text(buffer)) == text;
}

}  // namespace

Condition to_condition(const s3::WriteCondition& condition) {
  using Kind = s3::WriteCondition::Kind;
  switch (condition.kind) {
    case Kind::none:
      return {};
    case Kind::must_not_exist:
      return {.kind = Condition::Kind::must_not_exist};
    case Kind::must_exist:
      return {.kind = Condition::Kind::must_exist};
    case Kind::etag_is:
      return {.kind = Condition::Kind::etag_is, .etag = condition.etag};
  }
  FB_UNREACHABLE();
}

S3Result<void> check_condition(const s3::WriteCondition& condition, std::string_view key,
                               const std::optional<RecordEtag>& etag) {
  using Kind = s3::WriteCondition::Kind;
  if (condition.empty()) return {};
  if (condition.kind == Kind::must_not_exist) {
    if (etag) return precondition_failed(condition);
    return {};
  }
  if (!etag) return no_such_key(key);
  if (condition.kind == Kind::etag_is && !same_etag(*etag, condition.etag))
    return precondition_failed(condition);
  return {};
}

Task<S3Result<void>> check_condition_early(Call& call, const s3::WriteCondition& condition,
                                           std::string_view key) {
  if (condition.empty()) co_return S3Result<void>();
  const auto found = co_await call.services.names.get(call.context(), call.bucket, Space::objects, key);
  if (!found && !found.error().is(NamespaceError::not_found)) co_return to_failure(found.error());
  std::optional<RecordEtag> etag;
  if (found) {
    etag = etag_of(found->record);
    if (!etag) co_return to_failure(RecordError::malformed);
  }
  co_return check_condition(condition, key, etag);
}

S3Failure write_failure(const s3::WriteCondition& condition, std::string_view key, const Error& error) {
  if (!condition.empty()) {
    if (error.is(NamespaceError::not_found)) return no_such_key(key);
    if (error.is(NamespaceError::precondition_failed)) return precondition_failed(condition);
  }
  return to_failure(error);
}

}  // namespace fb::api
