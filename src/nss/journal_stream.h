// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "client/journal_client.h"

// The journal of the engine on pages is one stream of records. Frames of the JournalClient carry it in
// pieces, cut anywhere:
//
//     frame:   position of its first byte in the stream (8) | bytes of the stream
//     record:  size of the body (4) | kind (1) | zeros (3) | checksum (8) | body
//
// The checksum is XXH3-64 of the body, mixed with size, kind and the position of the record's first byte: a
// piece at another place is no record. A record's LSN has the position behind its last byte. When an epoch
// ends in the middle of a record, the rest was never acknowledged: the next epoch's first frame begins where
// the last whole frame ended, and the cut record is passed over.

namespace fb {

enum class JournalRecordKind : uint8_t {
  change = 1,     // pages of a tree change their form: splits, merges
  commit = 2,     // and what it means: commit_record.h
  tree_made = 3,  // a bucket's tree
  tree_dropped = 4,
};

inline constexpr size_t kJournalRecordHeaderBytes = 16;
inline constexpr size_t kJournalRecordBytesMax = 4u << 20;  // header and body
inline constexpr size_t kJournalFrameHeaderBytes = 8;

struct JournalRecordHeader {
  uint32_t body_bytes = 0;
  JournalRecordKind kind = JournalRecordKind::change;
  uint64_t checksum = 0;

  void encode(std::span<std::byte, kJournalRecordHeaderBytes> out) const;
  static JournalRecordHeader decode(std::span<const std::byte, kJournalRecordHeaderBytes> bytes);
};
// `body_hash` is xxh3(body): so that it can be made before the position is known.
uint64_t journal_record_checksum(uint64_t body_hash, uint32_t body_bytes, JournalRecordKind kind,
                                 uint64_t position);

struct JournalRecord {
  Lsn lsn;  // behind its last byte
  JournalRecordKind kind = JournalRecordKind::change;
  std::string_view body;
};

// Puts the stream together again from frames, in order. Feed a frame, then take records until there is none;
// what a record's view points to lives until the next feed().
class JournalStreamReader {
 public:
  // `from`: where a record begins; what stands before it is passed over, without looking at it.
  explicit JournalStreamReader(uint64_t from) : from_(from) {}

  // JournalError::damaged for what no writer of ours made: a frame too short, one that does not begin where
  // the one before it ended.
  Result<void> feed(const JournalClient::Frame& frame);
  // None: feed the next frame. JournalError::damaged for a record whose checksum does not fit.
  Result<std::optional<JournalRecord>> next();

  // Behind the last byte of the last frame: where the next epoch begins.
  uint64_t end() const { return end_; }
  uint64_t records() const { return records_; }

 private:
  uint64_t from_;
  bool begun_ = false;
  uint64_t epoch_ = 0;
  uint64_t position_ = 0;  // of pending_'s first byte
  uint64_t end_ = 0;
  uint64_t records_ = 0;
  std::string pending_;
  size_t taken_ = 0;  // of pending_
};

}  // namespace fb
