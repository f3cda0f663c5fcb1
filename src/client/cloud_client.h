// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "client/blob_client.h"
#include "client/record.h"
#include "io/task.h"

// Large content in a cloud bucket, as code that stores and reads objects sees it. Stored content has a BlobId
// of kCloudVolume; it is freed like any blob, through the BlobClient that the namespace uses.

namespace fb {

// A source of content. An error ends the store() that reads from it; store() returns that error.
class CloudSource {
 public:
  // Fills `into`; fewer bytes only at the end of the content; the next call then gives 0.
  virtual Task<Result<size_t>> fill(std::span<std::byte> into) = 0;
  // Called if the content comes from a client that is too slow: fails the fill() under way, or the next one.
  virtual void stop() {}

 protected:
  ~CloudSource() = default;
};

// Durable in the cloud, its size verified, and named by no record yet.
struct CloudContent {
  BlobId id;
  uint64_t length_bytes = 0;
  std::string sums;    // see Locator; empty: they are in sums_blob
  BlobId sums_blob{};  // the blob of this store with the sums

  Locator locator() const {
    return {.kind = Locator::Kind::cloud,
            .blob = id,
            .length_bytes = length_bytes,
            .sums = sums,
            .sums_blob = sums_blob};
  }
};

// The bytes of a range, in order, each block verified before any of it is returned. Must be closed.
class CloudReader {
 public:
  virtual ~CloudReader() = default;
  // The rest of the next block. Must not be called at the end of the range.
  virtual Task<Result<BlobData>> next() = 0;
  virtual Task<void> close() = 0;
};

// One instance a core; used on that core only. Errors, apart from those of the source: BlobError::unavailable
// (the cloud does not answer, or refuses; or must not be used yet), damaged, not_found, too_large.
class CloudClient {
 public:
  virtual ~CloudClient() = default;

  // Content of this size or more goes to the cloud.
  virtual uint64_t threshold_bytes() const = 0;
  struct StoreOptions {
    std::optional<uint64_t> size_bytes{};  // if it is known beforehand
    uint64_t size_max_bytes = kCloudObjectSizeMax;
    // For content of at most this many blocks, the checksums may be in the record itself.
    uint32_t inline_sums_max = 0;
  };
  // Stores all of `source`, at least one byte. After a failure, the part already stored is freed.
  virtual Task<Result<CloudContent>> store(CloudSource& source, const StoreOptions& options) = 0;
  // A copy of a whole cloud object, made in the cloud.
  virtual Task<Result<CloudContent>> copy(const Locator& source, const StoreOptions& options) = 0;
  // Bytes [offset, offset + length). The bytes that `content` views must outlive the reader.
  virtual std::unique_ptr<CloudReader> open(const Locator& content, uint64_t offset, uint64_t length) = 0;
};

}  // namespace fb
