// SPDX-License-Identifier: Apache-2.0
#include "nss/journal_stream.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"

namespace fb {

void JournalRecordHeader::encode(std::span<std::byte, kJournalRecordHeaderBytes> out) const {
  std::memset(out.data(), 0, out.size());
  std::memcpy(out.data(), &body_bytes, sizeof(body_bytes));
  out[4] = static_cast<std::byte>(kind);
  std::memcpy(out.data() + 8, &checksum, sizeof(checksum));
}

JournalRecordHeader JournalRecordHeader::decode(std::span<const std::byte, kJournalRecordHeaderBytes> bytes) {
  JournalRecordHeader header;
  std::memcpy(&header.body_bytes, bytes.data(), sizeof(header.body_bytes));
  header.kind = static_cast<JournalRecordKind>(bytes[4]);
  std::memcpy(&header.checksum, bytes.data() + 8, sizeof(header.checksum));
  return header;
}

uint64_t journal_record_checksum(uint64_t body_hash, uint32_t body_bytes, JournalRecordKind kind,
                                 uint64_t position) {
  const std::array<uint64_t, 3> words = {body_hash, body_bytes | uint64_t{static_cast<uint8_t>(kind)} << 32,
                                         position};
  return xxh3(std::as_bytes(std::span(words)));
}

Result<void> JournalStreamReader::feed(const JournalClient::Frame& frame) {
  if (frame.payload.size() < kJournalFrameHeaderBytes) return JournalError::damaged;
  uint64_t position = 0;
  std::memcpy(&position, frame.payload.data(), sizeof(position));
  const std::string_view bytes = std::string_view(frame.payload).substr(kJournalFrameHeaderBytes);
  if (begun_ && position != end_) return JournalError::damaged;
  pending_.erase(0, taken_);
  position_ += taken_;
  taken_ = 0;
  if (!begun_ || frame.epoch != epoch_) {
    pending_.clear();
    position_ = position;
  }
  begun_ = true;
  epoch_ = frame.epoch;
  pending_ += bytes;
  end_ = position + bytes.size();
  return {};
}

Result<std::optional<JournalRecord>> JournalStreamReader::next() {
  const uint64_t at = position_ + taken_;
  if (at < from_) taken_ += std::min<uint64_t>(from_ - at, pending_.size() - taken_);
  const std::string_view rest = std::string_view(pending_).substr(taken_);
  if (rest.size() < kJournalRecordHeaderBytes) return std::nullopt;
  const auto bytes = std::as_bytes(std::span(rest));
  const JournalRecordHeader header = JournalRecordHeader::decode(bytes.first<kJournalRecordHeaderBytes>());
  if (header.body_bytes > kJournalRecordBytesMax - kJournalRecordHeaderBytes) return JournalError::damaged;
  const size_t size = kJournalRecordHeaderBytes + header.body_bytes;
  if (rest.size() < size) return std::nullopt;
  const auto body = bytes.subspan(kJournalRecordHeaderBytes, header.body_bytes);
  const uint64_t position = position_ + taken_;
  const uint64_t expected = journal_record_checksum(xxh3(body), header.body_bytes, header.kind, position);
  if (expected != header.checksum) return JournalError::damaged;
  taken_ += size;
  ++records_;
  return JournalRecord{.lsn = {.epoch = epoch_, .position = position + size},
                       .kind = header.kind,
                       .body = rest.substr(kJournalRecordHeaderBytes, header.body_bytes)};
}

}  // namespace fb
