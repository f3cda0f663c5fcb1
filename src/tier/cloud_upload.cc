// SPDX-License-Identifier: Apache-2.0
#include "tier/cloud_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "client/blob_checksum.h"
#include "http/retry.h"
#include "io/log.h"
#include "s3/encoding.h"
#include "s3/request/xml_body.h"
#include "s3/response/xml.h"
#include "s3/uri.h"

namespace fb::tier {
namespace {

constexpr auto kCrc = s3::ChecksumKind::crc32c;
constexpr int kCompleteAttemptsMax = 4;
constexpr int kLookAttemptsMax = 4;

s3::Bytes bytes_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

CloudUpload::CloudUpload(CloudRequests& requests, UploadBudget& budget, std::string key, bool checksums)
    : requests_(requests),
      budget_(budget),
      key_(std::move(key)),
      checksums_(checksums),
      turns_(requests.env(), kPiecesInFlightMax) {}

Task<CloudUpload::Outcome> CloudUpload::run(CloudSource& source, const CloudClient::StoreOptions& options) {
  Result<void> result = co_await send_pieces(source, options);
  if (result && !upload_id_.empty()) result = co_await complete();
  if (!result && !upload_id_.empty()) co_await abort();
  if (result) result = co_await verify();
  co_return Outcome{.result = result, .may_exist = may_exist_};
}

// Receives up to one piece of content, hashed as it arrives; fewer bytes only at the content's end.
Task<Result<void>> CloudUpload::receive(CloudSource& source, Piece& piece) {
  Env& env = requests_.env();
  s3::Sha256 sha256;
  s3::Checksum crc(kCrc);
  UploadBudget::Receiving receiving(budget_, source);
  while (piece.bytes < kUploadPieceBytes) {
    Buffer buffer = co_await env.buffers().allocate(kBlobBlockSizeMax, BufferUse::body);
    FB_CO_TRY(const size_t count, co_await receiving.fill(buffer.span(0, kBlobBlockSizeMax)));
    if (count == 0) break;
    const std::span<std::byte> block = buffer.span(0, count);
    sums_.push_back(blob_checksum(block));
    if (!checksums_) sha256.update(bytes_of(block));
    crc.update(bytes_of(block));
    piece.vectors.push_back({buffer.data(), count});
    piece.buffers.push_back(std::move(buffer));
    piece.bytes += count;
    if (count < kBlobBlockSizeMax) break;
    co_await yield(env);
  }
  if (piece.bytes == 0) co_return Result<void>();
  piece.sha256 = checksums_ ? std::string(kUnsignedBody) : s3::hex_encode(sha256.finish());
  const s3::ChecksumValue value = crc.finish();
  piece.crc32c = value.to_base64();
  crc_ = crc_ ? s3::combine(*crc_, value, piece.bytes) : value;
  length_ += piece.bytes;
  co_return Result<void>();
}

// For a piece that will not be full, only the bytes that it will hold.
uint64_t CloudUpload::memory_of_next(std::optional<uint64_t> size_bytes) const {
  if (!size_bytes || *size_bytes < length_) return kUploadPieceBytes;
  const uint64_t rest = *size_bytes - length_;
  return std::clamp<uint64_t>(align_up(rest, kBlobBlockSizeMax), kBlobBlockSizeMax, kUploadPieceBytes);
}

Task<Result<void>> CloudUpload::send_pieces(CloudSource& source, const CloudClient::StoreOptions& options) {
  Scope scope(requests_.env());
  Result<void> result;
  for (uint32_t number = 1; !error_; ++number) {
    Piece piece{.number = number};
    piece.memory = co_await budget_.acquire(memory_of_next(options.size_bytes));
    result = co_await receive(source, piece);
    if (!result || piece.bytes == 0) break;
    if (length_ > options.size_max_bytes || number > s3::kPartNumberMax) result = BlobError::too_large;
    if (!result) break;
    const bool last = piece.bytes < kUploadPieceBytes || options.size_bytes == length_;
    if (last && number == 1) {
      result = co_await put(piece);
      break;
    }
    if (number == 1) result = co_await create();
    if (!result) break;
    piece.turn = co_await turns_.acquire();
    scope.spawn(&CloudUpload::send_piece, this, std::move(piece));
    if (last) break;
  }
  if (!result) fail(result.error());
  co_await scope.join();
  if (!error_) co_return Result<void>();
  co_return *error_;
}

void CloudUpload::fail(const Error& error) {
  if (error_) return;
  error_ = error;
  cancel_.cancel();
}

Task<Result<void>> CloudUpload::put(const Piece& piece) {
  CloudRequest request{.method = "PUT", .key = key_, .body = piece.vectors, .body_sha256 = piece.sha256};
  if (checksums_) request.headers.push_back({"x-amz-checksum-crc32c", piece.crc32c});
  may_exist_ = true;
  FB_CO_TRY(const CloudAnswer answer, co_await requests_.call(request));
  if (!answer.ok()) co_return BlobError::unavailable;
  co_return Result<void>();
}

Task<Result<void>> CloudUpload::create() {
  CloudRequest request{.method = "POST", .key = key_, .query = "uploads="};
  if (checksums_) {
    request.headers = {{"x-amz-checksum-algorithm", "CRC32C"}, {"x-amz-checksum-type", "FULL_OBJECT"}};
  }
  FB_CO_TRY(const CloudAnswer answer, co_await requests_.call(request));
  if (!answer.ok()) co_return BlobError::unavailable;
  auto id = s3::parse_initiate_result(answer.body);
  if (!id) co_return BlobError::unavailable;
  upload_id_ = std::move(*id);
  co_return Result<void>();
}

Task<void> CloudUpload::send_piece(CloudUpload* self, Piece piece) {
  if (self->error_) co_return;
  CloudRequest request{.method = "PUT",
                       .key = self->key_,
                       .query = fmt::format("partNumber={}&uploadId={}", piece.number,
                                            s3::uri_encode(self->upload_id_, s3::Slash::encode)),
                       .body = piece.vectors,
                       .body_sha256 = piece.sha256};
  if (self->checksums_) request.headers.push_back({"x-amz-checksum-crc32c", piece.crc32c});
  const auto answer = co_await self->requests_.call(request, &self->cancel_);
  if (!answer) {
    self->fail(answer.error());
  } else if (!answer->ok() || answer->etag.empty()) {
    self->fail(BlobError::unavailable);
  } else {
    self->sent_[piece.number] = {.etag = answer->etag, .crc32c = piece.crc32c};
  }
}

Task<Result<void>> CloudUpload::complete() {
  std::string body;
  s3::XmlWriter xml(body);
  xml.open("CompleteMultipartUpload");
  for (const auto& [number, part] : sent_) {
    xml.open("Part");
    xml.element("PartNumber", std::to_string(number));
    xml.element("ETag", part.etag);
    if (checksums_) xml.element("ChecksumCRC32C", part.crc32c);
    xml.close("Part");
  }
  xml.close("CompleteMultipartUpload");
  const std::string hash = s3::hex_encode(s3::sha256(body));
  const std::string whole = crc_->to_base64();
  const iovec vector{body.data(), body.size()};
  CloudRequest request{.method = "POST",
                       .key = key_,
                       .query = "uploadId=" + s3::uri_encode(upload_id_, s3::Slash::encode),
                       .body = {&vector, 1},
                       .body_sha256 = hash};
  if (checksums_) {
    request.headers = {{"x-amz-checksum-crc32c", whole}, {"x-amz-checksum-type", "FULL_OBJECT"}};
  }
  may_exist_ = true;
  Retry retry(requests_.env(), requests_.env().now() + kRequestTimeout);
  for (int attempts = 0; attempts < kCompleteAttemptsMax; ++attempts) {
    FB_CO_TRY(const CloudAnswer answer, co_await requests_.call(request));
    // If the upload is gone, an attempt whose answer was lost has completed it: verify() will tell. An answer
    // may turn out to be an error after it has begun with 200.
    if (answer.status == 404 ||
        (answer.ok() && s3::is_result_of("CompleteMultipartUploadResult", answer.body))) {
      upload_id_.clear();
      co_return Result<void>();
    }
    if (!co_await retry.wait()) break;
  }
  co_return BlobError::unavailable;
}

Task<Result<void>> CloudUpload::verify() {
  const std::string crc = checksums_ ? crc_->to_base64() : std::string();
  co_return co_await verify_object(requests_, key_, length_, crc);
}

Task<void> CloudUpload::abort() {
  (void)co_await requests_.call({.method = "DELETE",
                                 .key = key_,
                                 .query = "uploadId=" + s3::uri_encode(upload_id_, s3::Slash::encode)});
}

Task<Result<void>> verify_object(CloudRequests& requests, std::string_view key, uint64_t length_bytes,
                                 std::string_view crc32c) {
  CloudRequest request{.method = "HEAD", .key = key};
  if (!crc32c.empty()) request.headers = {{"x-amz-checksum-mode", "ENABLED"}};
  Retry retry(requests.env(), requests.env().now() + kRequestTimeout);
  for (int attempts = 0; attempts < kLookAttemptsMax; ++attempts) {
    FB_CO_TRY(const CloudAnswer answer, co_await requests.call(request));
    const bool same_crc = crc32c.empty() || answer.crc32c.empty() || answer.crc32c == crc32c;
    if (answer.ok() && answer.length == length_bytes && same_crc) co_return Result<void>();
    log(requests.env(), LogLevel::warn, "tier: what the cloud says it has stored is not what was sent",
        {{"key", key},
         {"status", answer.status},
         {"bytes", answer.length.value_or(0)},
         {"sent", length_bytes}});
    if (!co_await retry.wait()) break;
  }
  co_return BlobError::unavailable;
}

}  // namespace fb::tier
