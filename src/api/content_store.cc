// SPDX-License-Identifier: Apache-2.0
#include "api/content_store.h"

#include <algorithm>

#include "api/block_receiver.h"
#include "api/content_cloud.h"
#include "api/failures.h"
#include "client/blob_checksum.h"
#include "io/scope.h"

namespace fb::api {
namespace {

size_t block_size(std::optional<uint64_t> size, uint64_t stored) {
  if (!size) return kBlobBlockSizeMax;
  const uint64_t rest = *size > stored ? *size - stored : 0;
  return static_cast<size_t>(std::clamp<uint64_t>(rest, 1, kBlobBlockSizeMax));
}

Task<S3Result<void>> put_block(Services services, StoredContent& content, uint32_t number, Block& block) {
  BlobWrite write{.id = content.locator().blob, .block = number, .length = block.length};
  write.checksum = blob_checksum({block.buffer.data(), block.length});
  write.buffer = std::move(block.buffer);
  Result<void> stored;
  if (number == 0) {
    stored = co_await services.writer().put_first(services.context(), write);
    content.set_name(write.id);
  } else {
    stored = co_await services.blobs.put(services.context(), write);
  }
  if (!stored) co_return to_failure(stored.error());
  co_return S3Result<void>();
}

}  // namespace

Task<S3Result<StoredContent>> store_content(Services services, ContentSource& source, StoreLimits limits) {
  const std::optional<uint64_t> size = source.size_bytes();
  const uint64_t size_max_bytes = limits.size_max_bytes;
  if (size && *size > size_max_bytes) co_return s3::S3Error::EntityTooLarge;
  const uint64_t threshold = services.cloud == nullptr ? UINT64_MAX : services.cloud->threshold_bytes();
  if (size && *size >= threshold) co_return co_await store_in_cloud(services, source, size, limits);
  if (size == 0) {
    std::byte none[1];
    FB_CO_TRY(const size_t extra, co_await source.fill(none));
    if (extra != 0) co_return s3::S3Error::IncompleteBody;
    co_return StoredContent(services, Locator{});
  }

  Locator locator{.kind = Locator::Kind::none};
  BlockReceiver receiver(services.env, source);
  FB_CO_TRY(Block block, co_await receiver.receive(block_size(size, 0)));
  if (block.length == 0) co_return StoredContent(services, locator);
  if (!size && block.length >= threshold)
    co_return co_await move_to_cloud(services, nullptr, std::move(block), source, limits);
  locator.kind = Locator::Kind::blob;
  locator.blob = services.writer().begin(size);
  StoredContent unnamed(services, locator);  // frees what is stored on any failure below

  for (uint32_t number = 0;; ++number) {
    if (number > kBlockNumberMax) co_return s3::S3Error::EntityTooLarge;
    locator.length_bytes += block.length;
    if (locator.length_bytes > size_max_bytes) co_return s3::S3Error::EntityTooLarge;
    unnamed.grow(locator.length_bytes);
    const bool last = block.length < kBlobBlockSizeMax || (size && locator.length_bytes >= *size);
    if (last) {
      FB_CO_CHECK(co_await put_block(services, unnamed, number, block));
      break;
    }
    auto [stored, next] =
        co_await when_all([&] { return put_block(services, unnamed, number, block); },
                          [&] { return receiver.receive(block_size(size, locator.length_bytes)); });
    FB_CO_CHECK(std::move(stored));
    if (!next) co_return next.error();
    if (next->length == 0) break;
    block = std::move(*next);
    if (!size && locator.length_bytes + block.length >= threshold) {
      locator.blob = unnamed.locator().blob;
      co_return co_await move_to_cloud(services, &locator, std::move(block), source, limits);
    }
  }
  co_return std::move(unnamed);
}

}  // namespace fb::api
