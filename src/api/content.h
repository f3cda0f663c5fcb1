// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "client/blob_writer.h"
#include "client/cloud_client.h"
#include "client/namespace_client.h"
#include "client/outcome.h"
#include "client/record.h"
#include "io/env.h"
#include "s3/error.h"

// The content of objects: streams of bytes into blobs and out of them, in blocks of at most 1 MiB, with one
// block being stored (or sent) while the next is received (or read). Memory is bounded: at most two blocks a
// stream, from the core's BufferPool, whose limit makes further streams wait; a block begins small and grows
// with what comes (docs/admission.md). With a cloud bucket, content of its threshold and above goes there.

namespace fb::api {

using s3::S3Result;

inline constexpr Duration kCallTimeout = Duration::seconds(60);
// A request waits so long for memory, and answers SlowDown then.
inline constexpr Duration kMemoryWaitMax = Duration::seconds(5);

// What one core's request handlers work with.
struct Services {
  Env& env;
  NamespaceClient& names;
  BlobClient& blobs;
  CloudClient* cloud = nullptr;  // null: no cloud bucket

  // For one call to another service. A stream makes one for each block: it may take as long as its client
  // needs.
  CallContext context() const { return {.deadline = env.now() + kCallTimeout}; }
  BlobWriter writer() const { return {blobs, names}; }
};

// Where content comes from: a request's body, or another object.
class ContentSource {
 public:
  virtual ~ContentSource() = default;
  // Fills `into`; fewer bytes only at the end of the content, where the next call gives 0.
  virtual Task<S3Result<size_t>> fill(std::span<std::byte> into) = 0;
  // Bytes that fill() gives without waiting for a client; SIZE_MAX where it waits for none.
  virtual size_t at_hand() const { return SIZE_MAX; }
  // Waits until some are.
  virtual Task<S3Result<void>> await_some() { co_return S3Result<void>(); }
  // For content that a client sends: how much memory of which use waits for it.
  virtual void hold(uint64_t, BufferUse) {}
  // Where a client sends it, which is waited for no longer: fails fill().
  virtual void stop() {}
  // The size where it is known beforehand.
  virtual std::optional<uint64_t> size_bytes() const = 0;
};

// Of how many blocks of a cloud object the checksums may be in a record: a multipart object's record must
// hold those of 10,000 parts.
inline constexpr uint32_t kInlineSumsOfObject = 64;
inline constexpr uint32_t kInlineSumsOfPart = 2;

// Content that is durable but named by no record yet. Unless a record names it, or may do so, as settle()
// decides, its blobs are handed to the namespace to be freed.
class StoredContent {
 public:
  StoredContent(Services services, Locator locator) : services_(services), locator_(locator) {}
  StoredContent(Services services, CloudContent cloud)
      : services_(services), cloud_(std::make_unique<CloudContent>(std::move(cloud))) {
    locator_ = cloud_->locator();
  }
  StoredContent(StoredContent&& other) noexcept
      : services_(other.services_), locator_(other.locator_), cloud_(std::move(other.cloud_)) {
    other.release();
  }
  StoredContent& operator=(StoredContent&&) = delete;
  ~StoredContent();

  const Locator& locator() const { return locator_; }
  uint64_t size_bytes() const { return locator_.length_bytes; }
  // What further blocks have made of it.
  void grow(uint64_t length_bytes) { locator_.length_bytes = length_bytes; }
  // The writer has found a place under this name; nothing is stored under the one before.
  void set_name(BlobId blob) { locator_.blob = blob; }
  void release() { locator_.kind = Locator::Kind::none; }
  // To be called with the outcome of the write of the record that names it. What was certainly not written is
  // freed at once. If that is unknown the record may name the blob, now or later: it is the namespace's then.
  template <class T>
  void settle(const Result<T>& named) {
    if (!named && outcome_of(named.error()) != Outcome::unknown) discard();
    release();
  }

 private:
  void discard();
  Services services_;
  Locator locator_;
  std::unique_ptr<CloudContent> cloud_;  // what views of the locator lead into
};

// Stores all of `source` (at most `size_max_bytes`, else EntityTooLarge); durable when it returns. What was
// stored before a failure is freed.
struct StoreLimits {
  uint64_t size_max_bytes = 0;
  uint32_t inline_sums_max = kInlineSumsOfObject;
};
Task<S3Result<StoredContent>> store_content(Services services, ContentSource& source, StoreLimits limits);

// A piece of one block.
struct ContentPiece {
  BlobKey key;
  const Locator* cloud = nullptr;  // in the cloud: of which object
  uint64_t cloud_rest = 0;         // and how many bytes of it are wanted, from this piece's first one
  uint32_t offset = 0;
  uint32_t length = 0;
  std::string_view inline_data{};  // instead of a block
};

// Walks over the pieces that hold bytes [offset, offset + length) of an object, touching no others. The
// record must outlive it. A read that goes on needs the blobs of the piece that next() gave last, and of
// those to come.
class ContentCursor final : public LongRead::Needs {
 public:
  ContentCursor(const ObjectRecord& record, uint64_t offset, uint64_t length);
  std::optional<ContentPiece> next() { return next(kBlobBlockSizeMax); }
  // Of at most `length_max` bytes.
  std::optional<ContentPiece> next(uint64_t length_max);
  void name_blobs(std::vector<BlobId>& out) const override;

 private:
  const Locator& locator(size_t index) const;
  const ObjectRecord& record_;
  size_t locator_index_ = 0;
  size_t given_ = 0;  // the locator of the piece that was given last
  uint64_t offset_in_locator_ = 0;
  uint64_t remaining_ = 0;
};

// What a long read is told when its cursor has given a piece, or nothing more.
inline void come_to(LongRead& reading, const std::optional<ContentPiece>& piece) {
  if (!piece) {
    reading.release();
  } else if (piece->inline_data.empty()) {
    reading.come_to(piece->key.id);
  }
}

// The verified bytes of one piece. Not for inline and cloud pieces.
Task<S3Result<BlobData>> read_piece(Services services, const ContentPiece& piece);

// The same for pieces of blobs and cloud objects in the order of a cursor: a connection to the cloud lasts
// from one to the next. To be closed.
class PieceReader {
 public:
  explicit PieceReader(Services services) : services_(services) {}
  // Not for inline pieces.
  Task<S3Result<BlobData>> read(const ContentPiece& piece);
  Task<void> close();

 private:
  Services services_;
  std::unique_ptr<CloudReader> cloud_;
  const Locator* cloud_of_ = nullptr;
};

// Whether any of an object's content is in the cloud.
bool is_in_cloud(const ObjectRecord& record);

// An object's content as a source, for copies. It takes the pin of the record, unless nothing can free what
// that names. To be closed.
class ObjectSource final : public ContentSource {
 public:
  ObjectSource(Services services, const ObjectRecord& record, uint64_t offset, uint64_t length,
               ReadPin pin = {});
  Task<S3Result<size_t>> fill(std::span<std::byte> into) override;
  std::optional<uint64_t> size_bytes() const override { return length_; }
  Task<void> close() { return reader_.close(); }

 private:
  Services services_;
  PieceReader reader_;
  ContentCursor cursor_;
  LongRead reading_;
  uint64_t length_;
  std::optional<ContentPiece> piece_;  // the one being copied out of
  BlobData data_;
  std::string_view inline_rest_;
  size_t consumed_ = 0;
};

}  // namespace fb::api
