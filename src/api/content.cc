// SPDX-License-Identifier: Apache-2.0
#include "api/content.h"

#include <algorithm>
#include <cstring>

#include "api/failures.h"
#include "client/blob_checksum.h"
#include "io/scope.h"

namespace fb::api {
namespace {

constexpr unsigned kPlacesTriedMax = 16;

struct Block {
  Buffer buffer;
  uint32_t length = 0;
};

size_t block_size(std::optional<uint64_t> size, uint64_t stored) {
  if (!size) return kBlobBlockSizeMax;
  const uint64_t rest = *size > stored ? *size - stored : 0;
  return static_cast<size_t>(std::clamp<uint64_t>(rest, 1, kBlobBlockSizeMax));
}

Task<S3Result<Block>> receive_block(Services services, ContentSource& source, size_t size) {
  Block block{.buffer = co_await services.env.buffers().allocate(size)};
  FB_CO_TRY(const size_t filled, co_await source.fill(block.buffer.span(0, size)));
  block.length = static_cast<uint32_t>(filled);
  co_return block;
}

// The first block decides which part of the store keeps a blob: where that part is full, another one may have
// room.
Task<S3Result<void>> put_block(Services services, StoredContent& content, uint32_t number, Block& block) {
  BlobWrite write{.id = content.locator().blob, .block = number, .length = block.length};
  write.checksum = blob_checksum({block.buffer.data(), block.length});
  write.buffer = std::move(block.buffer);
  auto stored = co_await services.blobs.put(services.context(), write);
  for (unsigned tries = 1; tries < kPlacesTriedMax && number == 0 && !stored; ++tries) {
    if (!stored.error().is(BlobError::full)) break;
    content.move_to(services.blobs.new_blob());
    write.id = content.locator().blob;
    stored = co_await services.blobs.put(services.context(), write);
  }
  if (!stored) co_return to_failure(stored.error());
  co_return S3Result<void>();
}

}  // namespace

StoredContent::~StoredContent() { discard(); }

void StoredContent::discard() {
  if (locator_.kind != Locator::Kind::blob || services_.env.abandoned()) return;
  services_.names.discard_blob(locator_.blob, std::max(1u, locator_.block_count()));
}

void StoredContent::move_to(BlobId blob) {
  discard();
  locator_.blob = blob;
}

Task<S3Result<StoredContent>> store_content(Services services, ContentSource& source,
                                            uint64_t size_max_bytes) {
  const std::optional<uint64_t> size = source.size_bytes();
  if (size && *size > size_max_bytes) co_return s3::S3Error::EntityTooLarge;
  if (size == 0) {
    std::byte none[1];
    FB_CO_TRY(const size_t extra, co_await source.fill(none));
    if (extra != 0) co_return s3::S3Error::IncompleteBody;
    co_return StoredContent(services, Locator{});
  }

  Locator locator{.kind = Locator::Kind::none};
  FB_CO_TRY(Block block, co_await receive_block(services, source, block_size(size, 0)));
  if (block.length == 0) co_return StoredContent(services, locator);
  locator.kind = Locator::Kind::blob;
  locator.blob = services.blobs.new_blob();
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
    auto [stored, next] = co_await when_all(
        [&] { return put_block(services, unnamed, number, block); },
        [&] { return receive_block(services, source, block_size(size, locator.length_bytes)); });
    FB_CO_CHECK(std::move(stored));
    if (!next) co_return next.error();
    if (next->length == 0) break;
    block = std::move(*next);
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
}

const Locator& ContentCursor::locator(size_t index) const {
  return record_.parts.empty() ? record_.content : record_.parts[index].content;
}

std::optional<ContentPiece> ContentCursor::next() {
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
      piece.key = {content.blob, static_cast<uint32_t>(offset_in_locator_ / block_bytes)};
      piece.offset = static_cast<uint32_t>(offset_in_locator_ % block_bytes);
      piece.length = static_cast<uint32_t>(std::min(in_locator, block_bytes - piece.offset));
    }
    offset_in_locator_ += piece.length;
    remaining_ -= piece.length;
    return piece;
  }
  return std::nullopt;
}

Task<S3Result<BlobData>> read_piece(Services services, const ContentPiece& piece) {
  BlobData cached;
  if (services.blobs.get_cached(piece.key, piece.offset, piece.length, &cached)) co_return cached;
  auto data = co_await services.blobs.get(services.context(), piece.key, piece.offset, piece.length);
  if (!data) co_return to_failure(data.error());
  FB_ASSERT(data->length == piece.length, data->length, piece.length);
  co_return std::move(*data);
}

ObjectSource::ObjectSource(Services services, const ObjectRecord& record, uint64_t offset, uint64_t length)
    : services_(services), cursor_(record, offset, length), length_(length) {}

Task<S3Result<size_t>> ObjectSource::fill(std::span<std::byte> into) {
  size_t filled = 0;
  while (filled < into.size()) {
    if (!piece_) {
      piece_ = cursor_.next();
      if (!piece_) break;
      consumed_ = 0;
      inline_rest_ = piece_->inline_data;
      if (inline_rest_.empty()) {
        // The caller holds a buffer already: what is read here is given back before the next one is asked
        // for.
        data_ = {};
        FB_CO_TRY(data_, co_await read_piece(services_, *piece_));
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
