// SPDX-License-Identifier: Apache-2.0
#include "api/content.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "api/failures.h"
#include "client/blob_checksum.h"
#include "io/error.h"
#include "io/scope.h"

namespace fb::api {
namespace {

struct Block {
  Buffer buffer;
  uint32_t length = 0;
};

size_t block_size(std::optional<uint64_t> size, uint64_t stored) {
  if (!size) return kBlobBlockSizeMax;
  const uint64_t rest = *size > stored ? *size - stored : 0;
  return static_cast<size_t>(std::clamp<uint64_t>(rest, 1, kBlobBlockSizeMax));
}

// The beginning of a block that is larger than kRequestPieceBytes.
constexpr size_t kFirstPieceBytes = 16 * kKiB;
// A piece that took no longer came at once.
constexpr Duration kPromptMax = Duration::milliseconds(50);
// A block of a stream that came so quickly lets the next one be taken whole.
constexpr uint64_t kQuickBytesPerSecond = 1 * kMiB;

// The beginning of a block, if memory is short.
constexpr size_t kFirstPieceBytesShort = 4 * kKiB;
// A piece is so many times the one before it, if memory is short.
constexpr size_t kGrowth = 4;

// Blocks of one source, each in memory that grows with what comes: docs/admission.md.
class BlockReceiver {
 public:
  BlockReceiver(Env& env, ContentSource& source) : env_(env), source_(source) {}

  Task<S3Result<Block>> receive(size_t size) {
    const Instant began = env_.now();
    Block block;
    BufferPool& pool = env_.buffers();
    // If memory is short, none is taken for a client that has sent nothing.
    if (!pool.calm(BufferUse::incoming) && source_.at_hand() == 0) {
      source_.hold(0, BufferUse::incoming);
      FB_CO_CHECK(co_await source_.await_some());
    }
    size_t room = first_room(size);
    for (;;) {
      const BufferUse use = use_of(room, block.length);
      Buffer larger = pool.try_allocate(room, use);
      if (!larger) larger = co_await pool.allocate_within(room, use, kMemoryWaitMax);
      if (!larger) co_return s3::S3Error::SlowDown;
      move_to(std::move(larger), block);
      const Instant asked = env_.now();
      source_.hold(block.buffer.capacity(), use);
      FB_CO_TRY(const size_t filled,
                co_await source_.fill(block.buffer.span(block.length, room - block.length)));
      block.length += static_cast<uint32_t>(filled);
      if (block.length < room || room == size) break;
      room = next_room(room, size, env_.now() - asked <= kPromptMax);
    }
    const auto took_us = static_cast<uint64_t>((env_.now() - began).microseconds());
    quick_ = took_us * kQuickBytesPerSecond <= block.length * uint64_t{1'000'000};
    co_return block;
  }

 private:
  size_t first_room(size_t size) const {
    const size_t at_hand = source_.at_hand();
    if (at_hand >= size) return size;
    const BufferPool& pool = env_.buffers();
    if (pool.calm(BufferUse::incoming)) {
      const bool whole = size <= kRequestPieceBytes || (quick_ && pool.calm());
      return whole ? size : kFirstPieceBytes;
    }
    return std::min(size, std::clamp(std::bit_ceil(at_hand), kFirstPieceBytesShort, kFirstPieceBytes));
  }

  size_t next_room(size_t room, size_t size, bool prompt) const {
    if (room >= kRequestPieceBytes) return size;
    const BufferPool& pool = env_.buffers();
    if (prompt && pool.calm()) return size;
    return std::min(size, pool.calm(BufferUse::incoming) ? kRequestPieceBytes
                                                         : std::min(kGrowth * room, kRequestPieceBytes));
  }

  // Bytes that are here need no client: they have a larger share than those that are waited for.
  BufferUse use_of(size_t room, size_t length) const {
    if (room > kRequestPieceBytes) return BufferUse::body;
    return source_.at_hand() >= room - length ? BufferUse::request : BufferUse::incoming;
  }

  void move_to(Buffer larger, Block& block) {
    if (block.length != 0) {
      std::memcpy(larger.data(), block.buffer.data(), block.length);
      env_.stats().bytes_copied += block.length;
    }
    block.buffer = std::move(larger);
  }

  Env& env_;
  ContentSource& source_;
  bool quick_ = false;
};

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

StoredContent::~StoredContent() { discard(); }

void StoredContent::discard() {
  if (services_.env.abandoned()) return;
  if (locator_.kind == Locator::Kind::cloud) {
    services_.names.discard_blob(locator_.blob, 1);
    if (locator_.sums.empty()) services_.names.discard_blob(locator_.sums_blob, 1);
  }
  if (locator_.kind != Locator::Kind::blob) return;
  services_.names.discard_blob(locator_.blob, std::max(1u, locator_.block_count()));
}

namespace {

// What was received before it was known to be large, and the rest of it, on their way to the cloud. Keeps the
// source's failure, which is the client's to see.
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

s3::S3Failure cloud_failure(const Error& error) {
  s3::S3Failure failure = to_failure(error);
  if (error.is(BlobError::unavailable)) {
    failure.message = "The cloud bucket that holds large objects is not available now. Try again.";
  }
  return failure;
}

Task<S3Result<StoredContent>> store_in_cloud(Services services, SourceToCloud& source,
                                             std::optional<uint64_t> size, StoreLimits limits) {
  const CloudClient::StoreOptions options{
      .size_bytes = size, .size_max_bytes = limits.size_max_bytes, .inline_sums_max = limits.inline_sums_max};
  auto stored = co_await services.cloud->store(source, options);
  if (stored) co_return StoredContent(services, std::move(*stored));
  if (source.failure()) co_return std::move(*source.failure());
  if (stored.error().is(BlobError::too_large)) co_return s3::S3Error::EntityTooLarge;
  co_return cloud_failure(stored.error());
}

// What is stored already, and the block received last, go first; the former is freed here when it returns.
Task<S3Result<StoredContent>> move_to_cloud(Services services, const Locator* stored, Block block,
                                            ContentSource& rest, StoreLimits limits) {
  ObjectRecord record;
  if (stored != nullptr) record.content = *stored;
  ObjectSource before(services, record, 0, record.content.length_bytes);
  SourceToCloud source(stored == nullptr ? nullptr : &before, block.buffer.span(0, block.length), rest);
  auto moved = co_await store_in_cloud(services, source, std::nullopt, limits);
  co_await before.close();
  co_return moved;
}

}  // namespace

Task<S3Result<StoredContent>> store_content(Services services, ContentSource& source, StoreLimits limits) {
  const std::optional<uint64_t> size = source.size_bytes();
  const uint64_t size_max_bytes = limits.size_max_bytes;
  if (size && *size > size_max_bytes) co_return s3::S3Error::EntityTooLarge;
  const uint64_t threshold = services.cloud == nullptr ? UINT64_MAX : services.cloud->threshold_bytes();
  if (size && *size >= threshold) {
    SourceToCloud to_cloud(nullptr, {}, source);
    co_return co_await store_in_cloud(services, to_cloud, size, limits);
  }
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

ContentCursor::ContentCursor(const ObjectRecord& record, uint64_t offset, uint64_t length)
    : record_(record), offset_in_locator_(offset), remaining_(length) {
  while (locator_index_ < record_.parts.size() &&
         offset_in_locator_ >= locator(locator_index_).length_bytes) {
    offset_in_locator_ -= locator(locator_index_).length_bytes;
    ++locator_index_;
  }
  given_ = locator_index_;
}

const Locator& ContentCursor::locator(size_t index) const {
  return record_.parts.empty() ? record_.content : record_.parts[index].content;
}

std::optional<ContentPiece> ContentCursor::next(uint64_t length_max) {
  const size_t count = record_.parts.empty() ? 1 : record_.parts.size();
  while (remaining_ > 0 && locator_index_ < count) {
    const Locator& content = locator(locator_index_);
    if (offset_in_locator_ >= content.length_bytes) {
      offset_in_locator_ = 0;
      ++locator_index_;
      continue;
    }
    const uint64_t block_bytes = uint64_t{1} << content.block_size_log2;
    const uint64_t in_locator = std::min(remaining_, content.length_bytes - offset_in_locator_);
    ContentPiece piece;
    if (content.kind == Locator::Kind::inline_bytes) {
      piece.inline_data = content.inline_data.substr(offset_in_locator_, in_locator);
      piece.length = static_cast<uint32_t>(piece.inline_data.size());
    } else {
      if (content.kind == Locator::Kind::cloud) {
        piece.cloud = &content;
        piece.cloud_rest = in_locator;
      }
      piece.key = {content.blob, static_cast<uint32_t>(offset_in_locator_ / block_bytes)};
      piece.offset = static_cast<uint32_t>(offset_in_locator_ % block_bytes);
      piece.length = static_cast<uint32_t>(std::min({in_locator, block_bytes - piece.offset, length_max}));
    }
    given_ = locator_index_;
    offset_in_locator_ += piece.length;
    remaining_ -= piece.length;
    return piece;
  }
  return std::nullopt;
}

void ContentCursor::name_blobs(std::vector<BlobId>& out) const {
  const auto add = [](void* context, const BlobId& id, uint32_t) {
    static_cast<std::vector<BlobId>*>(context)->push_back(id);
  };
  const size_t count = record_.parts.empty() ? 1 : record_.parts.size();
  uint64_t ahead = remaining_ + offset_in_locator_;
  for (size_t i = given_; i < count; ++i) {
    const Locator& content = locator(i);
    visit_locator(content, add, &out);
    if (i < locator_index_) continue;
    if (content.length_bytes >= ahead) break;
    ahead -= content.length_bytes;
  }
}

Task<S3Result<BlobData>> read_piece(Services services, const ContentPiece& piece) {
  BlobData cached;
  if (services.blobs.get_cached(piece.key, piece.offset, piece.length, &cached)) co_return cached;
  auto data = co_await services.blobs.get(services.context(), piece.key, piece.offset, piece.length);
  if (!data) co_return to_failure(data.error());
  FB_ASSERT(data->length == piece.length, data->length, piece.length);
  co_return std::move(*data);
}

Task<S3Result<BlobData>> PieceReader::read(const ContentPiece& piece) {
  if (piece.cloud == nullptr) co_return co_await read_piece(services_, piece);
  if (cloud_of_ != piece.cloud) {
    co_await close();
    if (services_.cloud == nullptr) {
      co_return s3::S3Failure(s3::S3Error::ServiceUnavailable,
                              "The object is in a cloud bucket, and this server was started without one.");
    }
    const uint64_t offset = uint64_t{piece.key.block} * kBlobBlockSizeMax + piece.offset;
    cloud_ = services_.cloud->open(*piece.cloud, offset, piece.cloud_rest);
    cloud_of_ = piece.cloud;
  }
  auto data = co_await cloud_->next();
  if (!data) co_return cloud_failure(data.error());
  FB_ASSERT(data->length == piece.length, data->length, piece.length);
  co_return std::move(*data);
}

Task<void> PieceReader::close() {
  cloud_of_ = nullptr;
  if (cloud_ == nullptr) co_return;
  co_await cloud_->close();
  cloud_.reset();
}

bool is_in_cloud(const ObjectRecord& record) {
  const auto in_cloud = [](const Locator& content) { return content.kind == Locator::Kind::cloud; };
  return in_cloud(record.content) ||
         std::ranges::any_of(record.parts, [&](const RecordPart& part) { return in_cloud(part.content); });
}

ObjectSource::ObjectSource(Services services, const ObjectRecord& record, uint64_t offset, uint64_t length,
                           ReadPin pin)
    : services_(services),
      reader_(services),
      cursor_(record, offset, length),
      reading_(std::move(pin), cursor_),
      length_(length) {}

Task<S3Result<size_t>> ObjectSource::fill(std::span<std::byte> into) {
  size_t filled = 0;
  while (filled < into.size()) {
    if (!piece_) {
      piece_ = cursor_.next();
      come_to(reading_, piece_);
      if (!piece_) break;
      consumed_ = 0;
      inline_rest_ = piece_->inline_data;
      if (inline_rest_.empty()) {
        // The caller holds a buffer already: what is read here is given back before the next one is asked
        // for.
        data_ = {};
        FB_CO_TRY(data_, co_await reader_.read(*piece_));
      }
    }
    const std::byte* bytes =
        inline_rest_.empty() ? data_.bytes().data() : reinterpret_cast<const std::byte*>(inline_rest_.data());
    const size_t count = std::min<size_t>(piece_->length - consumed_, into.size() - filled);
    std::memcpy(into.data() + filled, bytes + consumed_, count);
    services_.env.stats().bytes_copied += count;
    filled += count;
    consumed_ += count;
    if (consumed_ == piece_->length) {
      piece_.reset();
      data_ = {};
    }
  }
  co_return filled;
}

}  // namespace fb::api
