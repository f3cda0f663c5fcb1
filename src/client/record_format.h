// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/byte_codec.h"
#include "base/result.h"
#include "base/time.h"
#include "client/record.h"

// The frame of every record (docs/formats/record.md): version, kind, feature bits, then fields in ascending
// order of their tags. Bit 7 of a tag byte: a reader that does not know the field must refuse the record.
//
//     +---------+------+---------------+----------------------------------------+
//     | version | kind | features: u16 | tag: u8, length: varint, value ... ... |
//     +---------+------+---------------+----------------------------------------+

namespace fb {

inline constexpr uint8_t kRecordVersion = 1;
inline constexpr size_t kRecordHeaderSize = 4;
// Features a reader must know to read the record at all. None is defined yet.
inline constexpr uint16_t kRecordFeaturesKnown = 0;
inline constexpr uint8_t kRecordMustUnderstand = 0x80;

enum class RecordKind : uint8_t {
  object = 1,
  upload = 2,
  part = 3,
  bucket = 4,   // in the system tree, by the root service
  api_key = 5,  // reserved
  token = 6,    // client tokens of renames
  number = 7,   // in the system tree, by the root service; without fields
};

// Numbers without their must-understand bit; those marked * are written with it. 0 and 127 are never used.
enum class RecordTag : uint8_t {
  size = 1,
  last_modified = 2,
  etag = 3,
  checksum = 4,
  metadata = 5,
  owner = 6,
  storage_class = 7,
  content = 8,              // * locator
  parts = 9,                // * part table
  version_id = 10,          // * reserved
  flags = 11,               // * reserved: null version, delete marker
  lock = 12,                // * reserved: mode, retain until
  legal_hold = 13,          // * reserved
  encryption = 14,          // * reserved: kind, key id, wrapped key
  tags = 15,                // reserved
  expiry = 16,              // client tokens; elsewhere reserved
  initiated = 17,           // uploads
  checksum_algorithm = 18,  // uploads
  part_md5 = 19,            // parts
  bucket_id = 20,           // buckets
  created = 21,             // buckets
  upload_id = 22,           // objects made by a multipart upload
  fingerprint = 23,         // client tokens
  part_crc64nvme = 24,      // parts
};
inline constexpr uint8_t kRecordTagMax = 126;

constexpr bool must_understand(RecordTag tag) {
  return (tag >= RecordTag::content && tag <= RecordTag::encryption);
}

struct RecordField {
  RecordTag tag{};
  bool must_understand = false;
  std::string_view value;
};

// Called for a field that the reader does not know.
inline Result<void> skip_unknown(const RecordField& field) {
  if (field.must_understand) return RecordError::unsupported;
  return {};
}

// Fields must be written in ascending order of their tags; text() leaves empty ones out.
class RecordWriter {
 public:
  RecordWriter(std::string& out, RecordKind kind) : writer_(out) {
    writer_.u8(kRecordVersion);
    writer_.u8(static_cast<uint8_t>(kind));
    writer_.u16(0);
  }
  // The head of a field whose value of `size` bytes the caller writes next.
  void field(RecordTag tag, size_t size) {
    FB_ASSERT(static_cast<uint8_t>(tag) > last_tag_, last_tag_);
    last_tag_ = static_cast<uint8_t>(tag);
    writer_.u8(last_tag_ | (must_understand(tag) ? kRecordMustUnderstand : 0));
    writer_.varint(size);
  }
  void text(RecordTag tag, std::string_view value) {
    if (value.empty()) return;
    field(tag, value.size());
    writer_.bytes(value);
  }
  void time(RecordTag tag, UnixTime value) {
    field(tag, sizeof(value.ns));
    writer_.u64(static_cast<uint64_t>(value.ns));
  }
  ByteWriter& bytes() { return writer_; }

 private:
  ByteWriter writer_;
  uint8_t last_tag_ = 0;
};

class RecordReader {
 public:
  // RecordError::unsupported for another version, unknown features.
  static Result<RecordReader> open(std::string_view bytes) {
    ByteReader reader(bytes);
    const uint8_t version = reader.u8();
    const uint8_t kind = reader.u8();
    const uint16_t features = reader.u16();
    if (!reader.ok() || version == 0 || kind == 0) return RecordError::malformed;
    if (version != kRecordVersion || (features & ~kRecordFeaturesKnown) != 0) return RecordError::unsupported;
    return RecordReader(reader, static_cast<RecordKind>(kind));
  }
  // RecordError::malformed if it is of another kind.
  static Result<RecordReader> open(std::string_view bytes, RecordKind kind) {
    auto reader = open(bytes);
    if (reader && reader->kind_ != kind) return RecordError::malformed;
    return reader;
  }
  RecordKind kind() const { return kind_; }
  bool at_end() const { return reader_.at_end(); }
  Result<RecordField> next() {
    const uint8_t tag = reader_.u8();
    const uint8_t number = tag & ~kRecordMustUnderstand;
    const std::string_view value = reader_.sized();
    if (!reader_.ok() || number <= last_tag_ || number > kRecordTagMax) return RecordError::malformed;
    last_tag_ = number;
    return RecordField{static_cast<RecordTag>(number), (tag & kRecordMustUnderstand) != 0, value};
  }

 private:
  RecordReader(ByteReader reader, RecordKind kind) : reader_(reader), kind_(kind) {}
  ByteReader reader_;
  RecordKind kind_;
  uint8_t last_tag_ = 0;
};

}  // namespace fb
