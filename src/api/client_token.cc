// SPDX-License-Identifier: Apache-2.0
#include "api/client_token.h"

namespace fb::api {
namespace {

// Looked at by each request, beginning behind its own token. With tokens at random, as the SDKs make them, at
// most about one in so many is then an expired one.
constexpr uint32_t kTokensExamined = 8;

}  // namespace

Task<S3Result<bool>> ClientToken::look_up(Call& call) {
  if (token_.empty()) co_return false;
  condition_ = {.kind = Condition::Kind::must_not_exist};
  const auto found = co_await call.services.names.get(call.context(), call.bucket, Space::tokens, token_);
  if (!found) {
    if (found.error().is(NamespaceError::not_found)) co_return false;
    co_return to_failure(found.error());
  }
  FB_CO_TRY(const ClientTokenRecord record, as_s3(ClientTokenRecord::decode(found->record)));
  if (record.expires <= call.services.env.wall_clock()) {
    condition_ = {.kind = Condition::Kind::version_is, .version = found->version};
    co_return false;
  }
  if (record.fingerprint != fingerprint_) co_return S3Error::IdempotencyParameterMismatch;
  co_return true;
}

Task<S3Result<void>> ClientToken::find_expired(Call& call) {
  if (token_.empty()) co_return S3Result<void>();
  FB_CO_TRY(ListPage page,
            as_s3(co_await call.services.names.list(call.context(), {.bucket = call.bucket,
                                                                     .space = Space::tokens,
                                                                     .start_after = token_,
                                                                     .entries_max = kTokensExamined})));
  const UnixTime now = call.services.env.wall_clock();
  for (const ListEntry& entry : page.entries) {
    FB_CO_TRY(const ClientTokenRecord record, as_s3(ClientTokenRecord::decode(entry.record)));
    if (record.expires <= now) expired_.push_back({std::string(entry.key), entry.version});
  }
  co_return S3Result<void>();
}

std::vector<Mutation> ClientToken::changes(const Call& call, bool with_expired) {
  std::vector<Mutation> changes;
  if (token_.empty()) return changes;
  const UnixTime now = call.services.env.wall_clock();
  record_ =
      ClientTokenRecord{.fingerprint = fingerprint_, .expires = {now.ns + kClientTokenLifetime.ns}}.encode();
  changes.push_back({.kind = Mutation::Kind::put,
                     .space = Space::tokens,
                     .key = token_,
                     .record = record_,
                     .condition = condition_});
  if (!with_expired) return changes;
  for (const Expired& other : expired_) {
    changes.push_back({.kind = Mutation::Kind::erase,
                       .space = Space::tokens,
                       .key = other.key,
                       .condition = {.kind = Condition::Kind::version_is, .version = other.version}});
  }
  return changes;
}

}  // namespace fb::api
