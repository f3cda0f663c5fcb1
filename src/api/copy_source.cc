// SPDX-License-Identifier: Apache-2.0
#include "api/copy_source.h"
#include "api/content_store.h"
#include "api/object_source.h"

#include "api/request_body.h"

namespace fb::api {
namespace {

// A copy of one block holds no more than a small upload, and waits for no turn.
constexpr uint64_t kTurnlessBytesMax = kBlobBlockSizeMax;
// A larger one that got no turn for so long answers SlowDown.
constexpr Duration kTurnWaitMax = Duration::seconds(15);

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

namespace {

// Whether the copy is of a whole object in the cloud, of which all is known that its own record must have.
bool can_copy_in_cloud(const Call& call, const ObjectRecord& source, const CopyWish& wish) {
  const bool whole = wish.offset == 0 && wish.length == source.size_bytes;
  const bool single_put = source.parts.empty() && source.etag.part_count == 0;
  const auto kind = to_checksum_kind(source.checksum.algorithm);
  return call.services.cloud != nullptr && source.content.kind == Locator::Kind::cloud && whole &&
         single_put && wish.length >= call.services.cloud->threshold_bytes() && wish.checksum_kind == kind &&
         !source.checksum.composite;
}

Task<S3Result<CopiedContent>> copy_in_cloud(Call& call, const ObjectRecord& source, const CopyWish& wish) {
  auto copied = co_await call.services.cloud->copy(source.content, {.inline_sums_max = wish.inline_sums_max});
  if (!copied) co_return to_failure(copied.error());
  co_return CopiedContent{.content = StoredContent(call.services, std::move(*copied)),
                          .md5 = source.etag.md5,
                          .checksum = source.checksum};
}

}  // namespace

Task<S3Result<CopiedContent>> copy_content(Call& call, SourceObject& source, const CopyWish& wish) {
  // From here on: a copy in the cloud, and the wait for a turn, may take as long as the copying itself.
  ObjectSource object(call.services, source.record, wish.offset, wish.length, std::move(source.found.pin));
  if (can_copy_in_cloud(call, source.record, wish)) {
    auto copied = co_await copy_in_cloud(call, source.record, wish);
    // Where the cloud does not copy, the content can still go through here.
    if (copied) co_return std::move(*copied);
  }
  BufferPool::Reservation turn;
  if (wish.length > kTurnlessBytesMax) {
    BufferPool& pool = call.services.env.buffers();
    turn = co_await pool.reserve_within(kCopyReservedBytes, BufferUse::copy, kTurnWaitMax);
    if (!turn) {
      co_await object.close();
      co_return S3Error::SlowDown;
    }
  }
  HashingSource hashing(object, wish.checksum_kind);
  auto stored = co_await store_content(
      call.services, hashing, {.size_max_bytes = kPutSizeMax, .inline_sums_max = wish.inline_sums_max});
  co_await object.close();
  FB_CO_TRY(StoredContent content, std::move(stored));
  if (content.size_bytes() != wish.length)
    co_return S3Failure(S3Error::InternalError, "The source could not be read as a whole.");
  CopiedContent copied{.content = std::move(content)};
  copied.md5 = hashing.md5();
  copied.checksum = hashing.checksum();
  co_return copied;
}

}  // namespace fb::api
