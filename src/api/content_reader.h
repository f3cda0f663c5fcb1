// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "api/content_cursor.h"
#include "api/services.h"
#include "s3/response/error.h"

namespace fb::api {

using s3::S3Result;

// The verified bytes of one piece. Not for inline and cloud pieces.
Task<S3Result<BlobData>> read_piece(Services services, const ContentPiece& piece);

// Reads pieces of blobs and of cloud objects in the order of a cursor: a connection to the cloud lasts from
// one piece to the next. To be closed.
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

}  // namespace fb::api
