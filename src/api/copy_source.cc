// SPDX-License-Identifier: Apache-2.0
#include "api/copy_source.h"

#include "api/request_body.h"

namespace fb::api {
namespace {

// Passes an object's content through, hashing it.
class HashingSource final : public ContentSource {
 public:
  HashingSource(ContentSource& source, std::optional<s3::ChecksumKind> kind) : source_(source) {
    if (kind) checksum_.emplace(*kind);
  }
  Task<S3Result<size_t>> fill(std::span<std::byte> into) override {
    FB_CO_TRY(const size_t count, co_await source_.fill(into));
    const s3::Bytes bytes(reinterpret_cast<const uint8_t*>(into.data()), count);
    md5_.update(bytes);
    if (checksum_) checksum_->update(bytes);
    co_return count;
  }
  std::optional<uint64_t> size_bytes() const override { return source_.size_bytes(); }
  s3::Md5Digest md5() { return md5_.finish(); }
  RecordChecksum checksum() { return checksum_ ? to_record(checksum_->finish()) : RecordChecksum{}; }

 private:
  ContentSource& source_;
  s3::Md5 md5_;
  std::optional<s3::Checksum> checksum_;
};

Task<S3Result<BucketId>> bucket_id(Call& call, std::string_view name) {
  if (const BucketInfo* bucket = call.roots.cached_bucket(name)) co_return bucket->id;
  auto bucket = co_await call.roots.find_bucket(call.context(), name);
  if (!bucket) {
    if (bucket.error().is(RootError::no_such_bucket))
      co_return S3Failure(S3Error::NoSuchBucket).with("BucketName", name);
    co_return to_failure(bucket.error());
  }
  co_return bucket->id;
}

}  // namespace

Task<S3Result<void>> open_source(Call& call, const s3::CopySource& source,
                                 const s3::ReadConditions& conditions, SourceObject& out) {
  FB_CO_TRY(out.bucket, co_await bucket_id(call, source.bucket));
  auto found = co_await call.services.names.get(call.context(), out.bucket, Space::objects, source.key);
  if (!found) {
    if (found.error().is(NamespaceError::not_found))
      co_return S3Failure(S3Error::NoSuchKey).with("Key", source.key);
    co_return to_failure(found.error());
  }
  out.found = std::move(*found);
  FB_CO_TRY(out.record, as_s3(ObjectRecord::decode(out.found.record)));
  const auto decision = conditions.decide(out.record.etag.text(), out.record.last_modified.seconds());
  if (decision.outcome != s3::ConditionOutcome::proceed)
    co_return S3Failure(S3Error::PreconditionFailed).with("Condition", decision.header);
  co_return S3Result<void>();
}

Task<S3Result<CopiedContent>> copy_content(Call& call, const SourceObject& source, uint64_t offset,
                                           uint64_t length, std::optional<s3::ChecksumKind> checksum_kind) {
  const auto turn = co_await call.copies.acquire();
  ObjectSource object(call.services, source.record, offset, length);
  HashingSource hashing(object, checksum_kind);
  FB_CO_TRY(StoredContent content, co_await store_content(call.services, hashing, kPutSizeMax));
  if (content.size_bytes() != length)
    co_return S3Failure(S3Error::InternalError, "The source could not be read as a whole.");
  CopiedContent copied{.content = std::move(content)};
  copied.md5 = hashing.md5();
  copied.checksum = hashing.checksum();
  co_return copied;
}

}  // namespace fb::api
