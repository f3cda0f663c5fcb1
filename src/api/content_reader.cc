// SPDX-License-Identifier: Apache-2.0
#include "api/content_reader.h"

#include "api/content_cloud.h"
#include "api/failures.h"

namespace fb::api {

Task<S3Result<BlobData>> read_piece(Services services, const ContentPiece& piece) {
  BlobData cached;
  if (services.blobs.get_cached(piece.key, piece.offset, piece.length, &cached)) co_return cached;
  auto data = co_await services.blobs.get(services.context(), piece.key, piece.offset, piece.length);
  if (!data) co_return to_failure(data.error());
  FB_ASSERT(data->length == piece.length, data->length, piece.length);
  co_return std::move(*data);
}

Task<S3Result<BlobData>> PieceReader::read(const ContentPiece& piece) {
  if (piece.cloud == nullptr) co_return co_await read_piece(services_, piece);
  if (cloud_of_ != piece.cloud) {
    co_await close();
    if (services_.cloud == nullptr) {
      co_return s3::S3Failure(s3::S3Error::ServiceUnavailable,
                              "The object is in a cloud bucket, and this server was started without one.");
    }
    const uint64_t offset = uint64_t{piece.key.block} * kBlobBlockSizeMax + piece.offset;
    cloud_ = services_.cloud->open(*piece.cloud, offset, piece.cloud_rest);
    cloud_of_ = piece.cloud;
  }
  auto data = co_await cloud_->next();
  if (!data) co_return cloud_failure(data.error());
  FB_ASSERT(data->length == piece.length, data->length, piece.length);
  co_return std::move(*data);
}

Task<void> PieceReader::close() {
  cloud_of_ = nullptr;
  if (cloud_ == nullptr) co_return;
  co_await cloud_->close();
  cloud_.reset();
}

}  // namespace fb::api
