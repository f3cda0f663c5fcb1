// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/types.h"
#include "io/buffer.h"
#include "io/task.h"

// Blobs as their users see them: immutable payloads of at most kBlobBlockSizeMax bytes under (BlobId, block).

namespace fb {

enum class BlobError {
  not_found,
  exists,  // put of a key that exists with other content
  too_large,
  full,             // no space for puts; reads and erases go on
  damaged,          // the payload does not match its checksum, or the device reports it unreadable
  unavailable,      // shutting down or failed; a put or erase was certainly not done
  timed_out,        // the deadline passed; a put or erase was certainly not done
  outcome_unknown,  // put, erase: a write failed and could not be wiped, so it may be on the medium
};
std::string_view to_string(BlobError code);
inline const ErrorDomain& error_domain(BlobError) {
  static constexpr ErrorDomain kDomain{"blob",
                                       [](int code) { return to_string(static_cast<BlobError>(code)); }};
  return kDomain;
}

struct BlobWrite {
  BlobId id;
  uint32_t block = 0;
  Buffer buffer;  // payload at its start; the rest up to a multiple of 4096 bytes is zeroed by the engine
  uint32_t length = 0;    // bytes, 1 to kBlobBlockSizeMax
  uint64_t checksum = 0;  // blob_checksum() of the payload, made where the data entered
};

struct BlobData {
  Buffer buffer;  // may be shared with a cache: read only
  size_t offset = 0;
  size_t length = 0;
  std::span<const std::byte> bytes() const { return {buffer.data() + offset, length}; }
};

struct BlobExtent {
  BlobId id;
  uint32_t block_count = 0;  // blocks 0 to block_count - 1
};

struct BlobPage {
  std::vector<BlobKey> keys;
  uint64_t next_cursor = 0;  // 0: this was the last page
};

struct BlobSpace {
  uint64_t capacity_bytes = 0;
  uint64_t used_bytes = 0;  // live payloads with their padding
  uint64_t available_bytes = 0;
};

// One instance a core; used on that core only.
class BlobClient {
 public:
  virtual ~BlobClient() = default;

  // A new name, in a shard of this core if one has room, of the incarnation given to the engine at start.
  // After BlobError::full, another name may be in a shard that has room.
  virtual BlobId new_blob() = 0;
  // A new name for content of `size_bytes`, over several blocks: in a shard that has room for all of it, if
  // there is one. No space is reserved.
  virtual BlobId new_blob_of(uint64_t /*size_bytes*/) { return new_blob(); }
  // Durable (in the configured mode) when it returns. The same key with the same content again is success.
  virtual Task<Result<void>> put(const CallContext& context, const BlobWrite& write) = 0;
  // Bytes [offset, offset + length) of one block, verified against the index's checksum before they are
  // returned.
  virtual Task<Result<BlobData>> get(const CallContext& context, BlobKey key, uint32_t offset,
                                     uint32_t length) = 0;
  // Like get(), from this core's cache and without suspending: false if the block is not there, then call
  // get(). Shares the cache's memory. For the hot path; an engine without a cache does not override it.
  virtual bool get_cached(BlobKey /*key*/, uint32_t /*offset*/, uint32_t /*length*/, BlobData* /*out*/) {
    return false;
  }
  // Idempotent: a blob that is not there is success. Durable when it returns. After any error some may have
  // been erased, and others not: erase them again.
  virtual Task<Result<void>> erase(const CallContext& context, std::span<const BlobExtent> extents) = 0;
  // Every live key of one shard, in no particular order, in pages. For mark and sweep and for fsck.
  virtual Task<Result<BlobPage>> enumerate(const CallContext& context, uint16_t shard, uint64_t cursor) = 0;
  virtual uint16_t shard_count() const = 0;
  virtual Task<Result<BlobSpace>> space(const CallContext& context) = 0;
};

}  // namespace fb
