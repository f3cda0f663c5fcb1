// SPDX-License-Identifier: Apache-2.0
#include "tier/cloud_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "client/blob_checksum.h"
#include "http/retry.h"
#include "io/log.h"

namespace fb::tier {
namespace {

constexpr Duration kSumsTimeout = Duration::seconds(60);

}  // namespace

CloudRangeReader::CloudRangeReader(CloudRequests& requests, BlobClient& blobs, std::string key,
                                   const Locator& content, uint64_t offset, uint64_t length)
    : requests_(requests),
      blobs_(blobs),
      key_(std::move(key)),
      content_(content),
      offset_(offset),
      end_(offset + length) {
  FB_ASSERT(length > 0);
  FB_ASSERT(end_ <= content_.length_bytes, end_, content_.length_bytes);
}

CloudRangeReader::~CloudRangeReader() { FB_ASSERT(connection_ == nullptr || requests_.env().abandoned()); }

Task<void> CloudRangeReader::close() {
  if (connection_ == nullptr) co_return;
  co_await requests_.release(std::move(connection_));
}

// Loads the checksums of the blocks that the range touches.
Task<Result<void>> CloudRangeReader::load_sums() {
  if (!content_.sums.empty() || !loaded_sums_.empty()) co_return Result<void>();
  first_sum_ = offset_ / kBlobBlockSizeMax;
  const uint64_t count = (end_ - 1) / kBlobBlockSizeMax - first_sum_ + 1;
  FB_CO_TRY(const BlobData data,
            co_await blobs_.get({.deadline = requests_.env().now() + kSumsTimeout}, {content_.sums_blob, 0},
                                static_cast<uint32_t>(first_sum_ * kCloudSumBytes),
                                static_cast<uint32_t>(count * kCloudSumBytes)));
  loaded_sums_.assign(reinterpret_cast<const char*>(data.bytes().data()), data.bytes().size());
  co_return Result<void>();
}

uint64_t CloudRangeReader::sum_of(uint64_t block) const {
  const std::string_view sums = content_.sums.empty() ? std::string_view(loaded_sums_) : content_.sums;
  uint64_t sum = 0;
  std::memcpy(&sum, sums.data() + (block - first_sum_) * kCloudSumBytes, kCloudSumBytes);
  return sum;
}

Task<Result<BlobData>> CloudRangeReader::next() {
  FB_ASSERT(offset_ < end_, offset_, end_);
  FB_CO_CHECK(co_await load_sums());
  Env& env = requests_.env();
  const uint64_t begin = blocks_begin();
  const auto length =
      static_cast<uint32_t>(std::min<uint64_t>(kBlobBlockSizeMax, content_.length_bytes - begin));
  Buffer buffer = co_await env.buffers().allocate(
      length, length > kRequestPieceBytes ? BufferUse::answer : BufferUse::request);
  Retry retry(env, env.now() + kRequestTimeout);
  for (int damaged = 0; requests_.may_try();) {
    const Fault fault = co_await read_block(buffer, begin, length);
    if (fault == Fault::none) {
      requests_.note(true);
      const auto within = static_cast<size_t>(offset_ - begin);
      const uint64_t to = std::min<uint64_t>(end_, begin + length);
      BlobData data{
          .buffer = std::move(buffer), .offset = within, .length = static_cast<size_t>(to - offset_)};
      offset_ = to;
      co_return data;
    }
    if (connection_ != nullptr) co_await requests_.discard(std::move(connection_));
    if (fault == Fault::gone || (fault == Fault::damaged && ++damaged == kDamagedAttemptsMax)) {
      log(env, LogLevel::error, "tier: content in the cloud is lost or damaged; it was not sent",
          {{"key", key_}, {"offset", begin}, {"fault", fault == Fault::gone ? "missing" : "damaged"}});
      co_return fault == Fault::gone ? BlobError::not_found : BlobError::damaged;
    }
    if (fault == Fault::broken) requests_.note(false);
    ++requests_.stats().retries;
    if (!co_await retry.wait()) break;
  }
  ++requests_.stats().failures;
  co_return BlobError::unavailable;
}

Task<CloudRangeReader::Fault> CloudRangeReader::connect(uint64_t from) {
  const uint64_t to = std::min(align_up(end_, kBlobBlockSizeMax), content_.length_bytes);
  const std::string range = fmt::format("bytes={}-{}", from, to - 1);
  const IoLimits limits{.deadline = requests_.env().now() + kAttemptTimeout};
  auto opened =
      co_await requests_.open({.method = "GET", .key = key_, .headers = {{"Range", range}}}, limits);
  if (!opened) co_return Fault::broken;
  if (opened->head.status == 404 && opened->head.code == "NoSuchKey") co_return Fault::gone;
  if (!opened->head.ok()) co_return Fault::broken;
  connection_ = std::move(opened->connection);
  const bool whole = from == 0 && to == content_.length_bytes;
  if (opened->head.status == 206 || whole) co_return Fault::none;
  co_return Fault::broken;  // the cloud ignored the range
}

Task<CloudRangeReader::Fault> CloudRangeReader::read_block(Buffer& buffer, uint64_t block_begin,
                                                           uint32_t block_length) {
  if (connection_ == nullptr) {
    const Fault fault = co_await connect(block_begin);
    if (fault != Fault::none) co_return fault;
  }
  Env& env = requests_.env();
  size_t filled = 0;
  while (filled < block_length) {
    const IoLimits limits{.deadline = env.now() + kAttemptTimeout};
    const auto count =
        co_await connection_->http().read_body(buffer.span(filled, block_length - filled), limits);
    if (!count || *count == 0) co_return Fault::broken;
    filled += *count;
    requests_.stats().received_bytes += *count;
  }
  if (blob_checksum(buffer.span(0, block_length)) == sum_of(block_begin / kBlobBlockSizeMax))
    co_return Fault::none;
  ++requests_.stats().damaged_blocks;
  co_return Fault::damaged;
}

}  // namespace fb::tier
