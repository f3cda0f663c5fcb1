// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/content_source.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/hash.h"
#include "s3/request/chunked.h"
#include "s3/request/payload.h"

namespace fb::api {

// What the request's head says of its body, or why that is refused.
S3Result<s3::PayloadPlan> plan_payload(const Call& call, const s3::UploadChecksum& upload = {});

// The body of a request: transfer framing and aws-chunked removed, hashed in the pass that receives it.
// Nothing of it may become visible before finish() has succeeded, which compares it with all that was
// declared: its length, the SHA-256 or the chunk signatures that the request's signature binds it to,
// Content-MD5, checksums in header or trailer. The plan's views must stay.
class RequestBody final : public ContentSource {
 public:
  RequestBody(Call& call, const s3::PayloadPlan& plan);

  Task<S3Result<size_t>> fill(std::span<std::byte> into) override;
  size_t at_hand() const override;
  Task<S3Result<void>> await_some() override;
  void hold(uint64_t bytes, BufferUse use) override { call_.exchange.hold_for_body(bytes, use); }
  void stop() override { call_.exchange.stop_receiving(); }
  // Of the content, without aws-chunked framing.
  std::optional<uint64_t> size_bytes() const override { return plan_.size_bytes; }
  // Reads what is left behind the content, which is framing at most, and compares.
  Task<S3Result<void>> finish();

  // After finish().
  const s3::Md5Digest& md5() const { return md5_digest_; }
  const std::optional<s3::ChecksumValue>& checksum() const { return checksum_value_; }
  // Where the plan asks for it beside another one.
  const std::optional<s3::ChecksumValue>& crc64nvme() const { return crc64nvme_value_; }

 private:
  Task<S3Result<size_t>> fill_framed(std::span<std::byte> into);
  S3Result<size_t> decode_in_place(std::span<std::byte> received);
  S3Result<size_t> decode_window(std::span<std::byte> out);
  bool is_all(std::span<const std::byte> bytes) const;
  void hash(std::span<const std::byte> bytes);
  S3Result<void> finish_framing();
  S3Result<void> compare_checksum();

  Call& call_;
  s3::PayloadPlan plan_;
  uint64_t received_ = 0;
  bool ended_ = false;

  s3::Md5 md5_;
  std::optional<s3::Sha256> sha256_;
  std::optional<s3::Checksum> checksum_;
  std::optional<s3::Checksum> crc64nvme_;
  s3::Md5Digest md5_digest_{};
  bool md5_known_ = false;  // of the whole body, which came in one piece
  std::optional<s3::ChecksumValue> checksum_value_;
  std::optional<s3::ChecksumValue> crc64nvme_value_;

  // aws-chunked is decoded where it was received. Only where the caller's room is small is it received into a
  // window of its own. That is not pooled memory: who holds a pooled buffer must not wait for another one.
  static constexpr size_t kWindowBytes = 4 * kKiB;
  struct Framing {
    Framing(const s3::ChunkedDecoder::Options& options, const s3::SignatureChain* chain)
        : decoder(options, chain) {}
    s3::ChunkedDecoder decoder;
    s3::Bytes rest;  // received into the window and not decoded yet
    std::array<std::byte, kWindowBytes> window;
  };
  std::unique_ptr<Framing> framing_;
};

// A whole body of an XML request, and its part of the memory that there is for them (BufferUse::text).
class SmallBody {
 public:
  std::string_view text() const { return text_; }

 private:
  friend Task<S3Result<SmallBody>> read_small_body(Call& call, size_t size_max_bytes);
  std::string text_;
  std::vector<BufferPool::Reservation> memory_;
};
// Verified; MaxMessageLengthExceeded above `size_max_bytes`, SlowDown where there is no memory for it.
Task<S3Result<SmallBody>> read_small_body(Call& call, size_t size_max_bytes);

RecordChecksum to_record(const s3::ChecksumValue& value);
RecordChecksumAlgorithm to_record(s3::ChecksumKind kind);
std::optional<s3::ChecksumKind> to_checksum_kind(RecordChecksumAlgorithm algorithm);
std::optional<s3::ChecksumValue> to_checksum_value(const RecordChecksum& checksum);  // composite or not
s3::UploadChecksum to_upload_checksum(const UploadRecord& upload);
// Base64, with "-N" for composite ones of `part_count` parts.
std::string checksum_text(const RecordChecksum& checksum, size_t part_count);

}  // namespace fb::api
