// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "client/blob_client.h"
#include "client/unnamed_blobs.h"

namespace fb {

// Decides where a blob goes and what it is called: the only code that does. If a place is full, the first
// block tries another one under another name; the blocks behind it go where the first one went.
//
// Two references, on one core; made where it is needed.
class BlobWriter {
 public:
  static constexpr unsigned kPlacesTriedMax = 16;

  BlobWriter(BlobClient& blobs, UnnamedBlobs& unnamed) : blobs_(blobs), unnamed_(unnamed) {}

  // A name for content of so many bytes, in a place that has room for all of it if there is one. Nothing is
  // set aside.
  BlobId begin(std::optional<uint64_t> size_bytes);
  // Stores the first block of a blob that begin() named. `write.id` says under which name it is stored, or
  // may be stored after an error: under none of those before it is anything left.
  Task<Result<void>> put_first(const CallContext& context, BlobWrite& write);
  // Stores a blob of one block: `length` bytes at the beginning of `buffer`. After an error nothing of it is
  // left to the caller.
  Task<Result<BlobId>> put_whole(const CallContext& context, Buffer buffer, uint32_t length);

 private:
  BlobClient& blobs_;
  UnnamedBlobs& unnamed_;
};

}  // namespace fb
