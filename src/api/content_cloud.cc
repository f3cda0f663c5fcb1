// SPDX-License-Identifier: Apache-2.0
#include "api/content_cloud.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "api/failures.h"
#include "api/object_source.h"
#include "io/error.h"

namespace fb::api {
namespace {

// Content on its way to the cloud: what is stored already, what was received last, the rest. Keeps the
// failure of the sources, which is the client's to see.
class SourceToCloud final : public CloudSource {
 public:
  SourceToCloud(ContentSource* stored, std::span<const std::byte> received, ContentSource& rest)
      : stored_(stored), received_(received), rest_(rest) {}

  Task<Result<size_t>> fill(std::span<std::byte> into) override {
    size_t filled = 0;
    if (stored_ != nullptr) {
      FB_CO_TRY(filled, co_await fill_from(*stored_, into));
      if (filled < into.size()) stored_ = nullptr;
    }
    const size_t copied = std::min(received_.size(), into.size() - filled);
    if (copied != 0) {
      std::memcpy(into.data() + filled, received_.data(), copied);
      received_ = received_.subspan(copied);
      filled += copied;
    }
    if (filled == into.size()) co_return filled;
    FB_CO_TRY(const size_t count, co_await fill_from(rest_, into.subspan(filled)));
    co_return filled + count;
  }
  void stop() override {
    if (stored_ == nullptr) rest_.stop();
  }
  std::optional<s3::S3Failure>& failure() { return failure_; }

 private:
  Task<Result<size_t>> fill_from(ContentSource& source, std::span<std::byte> into) {
    auto filled = co_await source.fill(into);
    if (filled) co_return *filled;
    failure_ = std::move(filled.error());
    co_return IoError::failed;
  }

  ContentSource* stored_;
  std::span<const std::byte> received_;
  ContentSource& rest_;
  std::optional<s3::S3Failure> failure_;
};

Task<S3Result<StoredContent>> send(Services services, SourceToCloud& source, std::optional<uint64_t> size,
                                   StoreLimits limits) {
  const CloudClient::StoreOptions options{
      .size_bytes = size, .size_max_bytes = limits.size_max_bytes, .inline_sums_max = limits.inline_sums_max};
  auto stored = co_await services.cloud->store(source, options);
  if (stored) co_return StoredContent(services, std::move(*stored));
  if (source.failure()) co_return std::move(*source.failure());
  if (stored.error().is(BlobError::too_large)) co_return s3::S3Error::EntityTooLarge;
  co_return cloud_failure(stored.error());
}

}  // namespace

Task<S3Result<StoredContent>> store_in_cloud(Services services, ContentSource& source,
                                             std::optional<uint64_t> size, StoreLimits limits) {
  SourceToCloud to_cloud(nullptr, {}, source);
  co_return co_await send(services, to_cloud, size, limits);
}

Task<S3Result<StoredContent>> move_to_cloud(Services services, const Locator* stored, Block block,
                                            ContentSource& rest, StoreLimits limits) {
  ObjectRecord record;
  if (stored != nullptr) record.content = *stored;
  ObjectSource before(services, record, 0, record.content.length_bytes);
  SourceToCloud source(stored == nullptr ? nullptr : &before, block.buffer.span(0, block.length), rest);
  auto moved = co_await send(services, source, std::nullopt, limits);
  co_await before.close();
  co_return moved;
}

s3::S3Failure cloud_failure(const Error& error) {
  s3::S3Failure failure = to_failure(error);
  if (error.is(BlobError::unavailable)) {
    failure.message = "The cloud bucket that holds large objects is not available now. Try again.";
  }
  return failure;
}

bool is_in_cloud(const ObjectRecord& record) {
  const auto in_cloud = [](const Locator& content) { return content.kind == Locator::Kind::cloud; };
  return in_cloud(record.content) ||
         std::ranges::any_of(record.parts, [&](const RecordPart& part) { return in_cloud(part.content); });
}

}  // namespace fb::api
