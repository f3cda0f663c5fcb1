// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "client/blob_client.h"
#include "client/unnamed_blobs.h"

namespace fb {

// Decides the place and the name of a blob; no other code does. If a place is full, the first block tries
// another one under another name; the blocks behind it follow the first one.
//
// Two references, on one core; made wherever it is needed.
class BlobWriter {
 public:
  static constexpr unsigned kPlacesTriedMax = 16;

  BlobWriter(BlobClient& blobs, UnnamedBlobs& unnamed) : blobs_(blobs), unnamed_(unnamed) {}

  // A name for content of `size_bytes`, in a place that has room for all of it if there is one. No space is
  // reserved.
  BlobId begin(std::optional<uint64_t> size_bytes);
  // Stores the first block of a blob that begin() named. `write.id` is then the name under which it is
  // stored, or may be stored after an error. Nothing is left under the names tried before.
  Task<Result<void>> put_first(const CallContext& context, BlobWrite& write);
  // Stores a blob of one block: `length` bytes at the beginning of `buffer`. After an error the caller has
  // nothing to clean up.
  Task<Result<BlobId>> put_whole(const CallContext& context, Buffer buffer, uint32_t length);
  // Gives up the first `block_count` blocks of a blob that no record will name. They are erased in the
  // background.
  void discard(BlobId blob, uint32_t block_count) { unnamed_.discard_blob(blob, block_count); }

 private:
  BlobClient& blobs_;
  UnnamedBlobs& unnamed_;
};

}  // namespace fb
