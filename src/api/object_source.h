// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "api/content_cursor.h"
#include "api/content_reader.h"
#include "api/content_source.h"

namespace fb::api {

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
