// SPDX-License-Identifier: Apache-2.0
#include "client/blob_writer.h"

#include "base/assert.h"
#include "client/blob_checksum.h"
#include "client/outcome.h"

namespace fb {

BlobId BlobWriter::begin(std::optional<uint64_t> size_bytes) {
  const bool several_blocks = size_bytes.value_or(0) > kBlobBlockSizeMax;
  return several_blocks ? blobs_.new_blob_of(*size_bytes) : blobs_.new_blob();
}

// A place that is full has stored nothing.
Task<Result<void>> BlobWriter::put_first(const CallContext& context, BlobWrite& write) {
  FB_ASSERT(write.block == 0, write.block);
  Result<void> stored = co_await blobs_.put(context, write);
  for (unsigned tries = 1; tries < kPlacesTriedMax && !stored && stored.error().is(BlobError::full);
       ++tries) {
    write.id = blobs_.new_blob();
    stored = co_await blobs_.put(context, write);
  }
  co_return stored;
}

Task<Result<BlobId>> BlobWriter::put_whole(const CallContext& context, Buffer buffer, uint32_t length) {
  BlobWrite write{.id = begin(length), .length = length, .checksum = blob_checksum(buffer.span(0, length))};
  write.buffer = std::move(buffer);
  const Result<void> stored = co_await put_first(context, write);
  if (stored) co_return write.id;
  if (outcome_of(stored.error()) == Outcome::unknown) discard(write.id, 1);
  co_return stored.error();
}

}  // namespace fb
