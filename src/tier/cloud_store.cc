// SPDX-License-Identifier: Apache-2.0
#include "tier/cloud_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "client/blob_writer.h"
#include "http/retry.h"
#include "s3/request/xml_body.h"
#include "s3/uri.h"
#include "tier/cloud_reader.h"
#include "tier/cloud_upload.h"
#include "tier/keys.h"

namespace fb::tier {
namespace {

constexpr Duration kBlobTimeout = Duration::seconds(60);
constexpr int kCopyAttemptsMax = 4;

}  // namespace

CloudStore::CloudStore(Env& env, const TierOptions& options, TierShared& shared, Incarnation incarnation,
                       UnnamedBlobs& unnamed, BlobClient& blobs, CredentialSource& credentials,
                       const TlsContext& tls)
    : env_(env),
      options_(options),
      shared_(shared),
      incarnation_(incarnation),
      unnamed_(unnamed),
      blobs_(blobs),
      requests_(env, options, credentials, tls),
      // Half of the pool is left to reads, and to small objects.
      budget_(env, requests_.stats(),
              std::max(kUploadPieceBytes,
                       std::min<uint64_t>(options.memory_bytes, env.buffers().limit_bytes() / 2))),
      store_prefix_(store_prefix(options.prefix, options.store_id)) {}

Task<void> CloudStore::close() {
  co_await budget_.close();
  co_await requests_.close();
}

BlobId CloudStore::new_id() {
  return {.volume = kCloudVolume,
          .shard = static_cast<uint16_t>(env_.core()),
          .incarnation = incarnation_,
          .number = ++last_number_};
}

std::string CloudStore::key_of(const BlobId& id) const { return object_key(store_prefix_, id); }

Task<Result<CloudContent>> CloudStore::store(CloudSource& source, const StoreOptions& options) {
  if (shared_.guard.load() != GuardState::good) co_return BlobError::unavailable;
  CloudContent content{.id = new_id()};
  CloudUpload upload(requests_, budget_, key_of(content.id), shared_.checksums.load());
  CloudUpload::Outcome outcome = co_await upload.run(source, options);
  if (outcome.result) {
    content.length_bytes = upload.length_bytes();
    const auto sums = std::as_bytes(std::span(upload.sums()));
    outcome.result =
        co_await store_sums({reinterpret_cast<const char*>(sums.data()), sums.size()}, options, content);
  }
  if (!outcome.result) {
    if (outcome.may_exist) unnamed_.discard_blob(content.id, 1);
    co_return outcome.result.error();
  }
  ++requests_.stats().stored_objects;
  requests_.stats().stored_bytes += content.length_bytes;
  co_return std::move(content);
}

Task<Result<void>> CloudStore::store_sums(std::string_view sums, const StoreOptions& options,
                                          CloudContent& content) {
  if (sums.size() <= options.inline_sums_max * kCloudSumBytes) {
    content.sums = sums;
    co_return Result<void>();
  }
  FB_ASSERT(sums.size() <= kBlobBlockSizeMax, sums.size());
  Buffer buffer = co_await env_.buffers().allocate(sums.size());
  std::memcpy(buffer.data(), sums.data(), sums.size());
  BlobWriter writer(blobs_, unnamed_);
  FB_CO_TRY(content.sums_blob,
            co_await writer.put_whole({.deadline = env_.now() + kBlobTimeout}, std::move(buffer),
                                      static_cast<uint32_t>(sums.size())));
  co_return Result<void>();
}

Task<Result<std::string>> CloudStore::sums_of(const Locator& source) {
  if (!source.sums.empty()) co_return std::string(source.sums);
  FB_CO_TRY(const BlobData data,
            co_await blobs_.get({.deadline = env_.now() + kBlobTimeout}, {source.sums_blob, 0}, 0,
                                static_cast<uint32_t>(source.block_count() * kCloudSumBytes)));
  co_return std::string(reinterpret_cast<const char*>(data.bytes().data()), data.bytes().size());
}

Task<Result<CloudContent>> CloudStore::copy(const Locator& source, const StoreOptions& options) {
  if (shared_.guard.load() != GuardState::good) co_return BlobError::unavailable;
  FB_CO_TRY(const std::string sums, co_await sums_of(source));
  CloudContent content{.id = new_id(), .length_bytes = source.length_bytes};
  const std::string key = key_of(content.id);
  const std::string from =
      fmt::format("/{}/{}", options_.bucket, s3::uri_encode(key_of(source.blob), s3::Slash::keep));
  const CloudRequest request{.method = "PUT",
                             .key = key,
                             .headers = {{"x-amz-copy-source", from}, {"x-amz-metadata-directive", "COPY"}}};
  Result<void> copied = BlobError::unavailable;
  Retry retry(env_, env_.now() + kRequestTimeout);
  for (int attempts = 0; attempts < kCopyAttemptsMax && !copied; ++attempts) {
    if (attempts != 0 && !co_await retry.wait()) break;
    const auto answer = co_await requests_.call(request);
    if (!answer) break;
    // The answer may turn out to be an error after it has begun with 200.
    if (answer->ok() && s3::is_result_of("CopyObjectResult", answer->body)) copied = Result<void>();
  }
  if (copied) copied = co_await verify_object(requests_, key, content.length_bytes, {});
  if (copied) copied = co_await store_sums(sums, options, content);
  if (!copied) {
    unnamed_.discard_blob(content.id, 1);
    co_return copied.error();
  }
  ++requests_.stats().copied_objects;
  co_return std::move(content);
}

std::unique_ptr<CloudReader> CloudStore::open(const Locator& content, uint64_t offset, uint64_t length) {
  return std::make_unique<CloudRangeReader>(requests_, blobs_, key_of(content.blob), content, offset, length);
}

}  // namespace fb::tier
