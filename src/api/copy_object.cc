// SPDX-License-Identifier: Apache-2.0
// CopyObject. A copy to another key rewrites the content, since a blob has exactly one owning record; its
// ETag is that of a single put. A copy onto itself is conditional on nobody having overwritten the object
// meanwhile, and begins again where somebody has. Where only the metadata is to be replaced, the new record
// takes the blobs over in the same step; where another checksum is asked for, the content is rewritten.
// If-Match and If-None-Match concern the destination: decided at commit for another key, and for a copy onto
// itself on the very version that it replaces.

#include "api/content_cloud.h"
#include "api/copy_source.h"
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/write_condition.h"

namespace fb::api {
namespace {

// A copy onto itself that loses this many races in a row gives up with 409.
constexpr int kSelfCopyAttemptsMax = 16;

// The source's algorithm unless another is asked for. One that has none, from before there was a default,
// gets the default where its content is read anyhow.
std::optional<s3::ChecksumKind> checksum_kind(const s3::CopyObjectRequest& request,
                                              const ObjectRecord& source) {
  if (request.checksum_kind) return request.checksum_kind;
  const auto kind = to_checksum_kind(source.checksum.algorithm);
  return kind || is_in_cloud(source) ? kind : s3::ChecksumKind::crc64nvme;
}

Task<S3Result<void>> respond_copied(Call& call, const ObjectRecord& record) {
  std::string document;
  s3::write_copy_object_result(shown_etag(record.etag), record.last_modified.milliseconds(),
                               shown_checksum(record.checksum, record.parts.size()), document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

bool same_object(const Call& call, const s3::CopyObjectRequest& request) {
  return request.source.bucket == call.route.bucket && request.source.key == call.route.key;
}

// Errors are the namespace's, so that the caller can tell a lost race from the rest.
Task<Result<MutationResult>> put_record(Call& call, std::string_view key, const ObjectRecord& record,
                                        const Condition& condition) {
  const std::string bytes = record.encode();
  co_return co_await call.services.names.apply(call.context(), call.bucket,
                                               {.kind = Mutation::Kind::put,
                                                .space = Space::objects,
                                                .key = key,
                                                .record = bytes,
                                                .condition = condition});
}

// Whether a copy onto itself has lost against an overwrite or a delete, and is to look again.
bool lost_race(const Error& error) {
  return error.is(NamespaceError::precondition_failed) || error.is(NamespaceError::not_found);
}

Task<S3Result<void>> replace_own_metadata(Call& call, const s3::CopyObjectRequest& request) {
  for (int attempt = 0; attempt < kSelfCopyAttemptsMax; ++attempt) {
    SourceObject source;
    FB_CO_CHECK(co_await open_source(call, request.source, request.source_conditions, source));
    FB_CO_CHECK(check_condition(request.condition, request.key, source.record.etag));
    ObjectRecord record = source.record;
    record.last_modified = call.services.env.wall_clock();
    record.metadata = request.metadata;
    const auto put = co_await put_record(
        call, request.key, record, {.kind = Condition::Kind::version_is, .version = source.found.version});
    // The client may be slow to take the answer.
    source.found.pin.reset();
    if (put) co_return co_await respond_copied(call, record);
    if (!lost_race(put.error())) co_return to_failure(put.error());
  }
  co_return S3Error::ConditionalRequestConflict;
}

}  // namespace

Task<S3Result<void>> copy_object(Call& call) {
  FB_CO_TRY(const s3::CopyObjectRequest request, s3::parse_copy_object(parse_context(call)));
  const bool onto_itself = same_object(call, request);
  if (onto_itself && !request.checksum_kind) co_return co_await replace_own_metadata(call, request);
  for (int attempt = 0; attempt < kSelfCopyAttemptsMax; ++attempt) {
    SourceObject source;
    FB_CO_CHECK(co_await open_source(call, request.source, request.source_conditions, source));
    if (source.record.size_bytes > kPutSizeMax) {
      co_return S3Failure(S3Error::InvalidRequest,
                          "The specified copy source is larger than the maximum allowable size for a copy "
                          "source: 5368709120");
    }
    if (onto_itself) {
      FB_CO_CHECK(check_condition(request.condition, request.key, source.record.etag));
    } else {
      FB_CO_CHECK(co_await check_condition_early(call, request.condition, request.key));
    }
    const CopyWish wish{.length = source.record.size_bytes,
                        .checksum_kind = checksum_kind(request, source.record)};
    FB_CO_TRY(CopiedContent copied, co_await copy_content(call, source, wish));
    const ObjectRecord record{
        .size_bytes = copied.content.size_bytes(),
        .last_modified = call.services.env.wall_clock(),
        .etag = {.md5 = copied.md5},
        .checksum = copied.checksum,
        .metadata = request.replace_metadata ? std::string_view(request.metadata) : source.record.metadata,
        .content = copied.content.locator()};
    Condition condition = to_condition(request.condition);
    if (onto_itself) condition = {.kind = Condition::Kind::version_is, .version = source.found.version};
    const auto put = co_await put_record(call, request.key, record, condition);
    copied.content.settle(put);
    if (put) co_return co_await respond_copied(call, record);
    if (!onto_itself) co_return write_failure(request.condition, request.key, put.error());
    if (!lost_race(put.error())) co_return to_failure(put.error());
  }
  co_return S3Error::ConditionalRequestConflict;
}

}  // namespace fb::api
