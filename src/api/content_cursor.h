// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "client/blob_client.h"
#include "client/read_pin.h"
#include "client/record.h"

namespace fb::api {

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
  // The piece has at most `length_max` bytes.
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

// Tells a long read which piece its cursor has given, or that it has given the last one.
inline void come_to(LongRead& reading, const std::optional<ContentPiece>& piece) {
  if (!piece) {
    reading.release();
  } else if (piece->inline_data.empty()) {
    reading.come_to(piece->key.id);
  }
}

}  // namespace fb::api
