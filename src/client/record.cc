// SPDX-License-Identifier: Apache-2.0
#include "client/record.h"

#include <span>

#include "client/record_format.h"

namespace fb {
namespace {

constexpr size_t kBlobIdSize = 16;
constexpr uint8_t kChecksumComposite = 0x80;
constexpr uint8_t kEtagMd5 = 0;
constexpr uint16_t kPartNumberMax = 10'000;
constexpr uint8_t kBlockSizeLog2Min = 12;
constexpr uint8_t kBlockSizeLog2Max = 20;

constexpr size_t checksum_size(RecordChecksumAlgorithm algorithm) {
  switch (algorithm) {
    case RecordChecksumAlgorithm::none:
      return 0;
    case RecordChecksumAlgorithm::crc32:
    case RecordChecksumAlgorithm::crc32c:
      return 4;
    case RecordChecksumAlgorithm::crc64nvme:
      return 8;
    case RecordChecksumAlgorithm::sha1:
      return 20;
    case RecordChecksumAlgorithm::sha256:
      return 32;
  }
  return 0;
}

bool valid_algorithm(uint8_t value) { return value <= static_cast<uint8_t>(RecordChecksumAlgorithm::sha256); }

// Sizes, so that a field's length can be written before its value.
size_t encoded_size(const Locator& locator) {
  switch (locator.kind) {
    case Locator::Kind::none:
      return 1;
    case Locator::Kind::inline_bytes:
      return 1 + varint_size(locator.inline_data.size()) + locator.inline_data.size();
    case Locator::Kind::cloud:
      return 1 + kBlobIdSize + varint_size(locator.length_bytes) + varint_size(locator.sums.size()) +
             (locator.sums.empty() ? kBlobIdSize : locator.sums.size());
    default:
      return 1 + kBlobIdSize + varint_size(locator.length_bytes) + 1;
  }
}
size_t encoded_size(const RecordChecksum& checksum) { return 1 + checksum_size(checksum.algorithm); }
size_t encoded_size(const RecordPart& part) {
  return varint_size(part.number) + part.md5.size() + encoded_size(part.checksum) +
         encoded_size(part.content);
}

void write_blob_id(ByteWriter& writer, const BlobId& id) {
  writer.u16(id.volume);
  writer.u16(id.shard);
  writer.u32(id.incarnation.value);
  writer.u64(id.number);
}

BlobId read_blob_id(ByteReader& reader) {
  BlobId id;
  id.volume = reader.u16();
  id.shard = reader.u16();
  id.incarnation.value = reader.u32();
  id.number = reader.u64();
  return id;
}

void write_locator(ByteWriter& writer, const Locator& locator) {
  FB_ASSERT(locator.kind != Locator::Kind::manifest, locator.kind);
  writer.u8(static_cast<uint8_t>(locator.kind));
  if (locator.kind == Locator::Kind::inline_bytes) {
    FB_ASSERT(locator.inline_data.size() == locator.length_bytes, locator.length_bytes);
    writer.sized(locator.inline_data);
  } else if (locator.kind == Locator::Kind::blob) {
    FB_ASSERT(locator.length_bytes > 0);
    FB_ASSERT(locator.block_size_log2 >= kBlockSizeLog2Min, locator.block_size_log2);
    FB_ASSERT(locator.block_size_log2 <= kBlockSizeLog2Max, locator.block_size_log2);
    write_blob_id(writer, locator.blob);
    writer.varint(locator.length_bytes);
    writer.u8(locator.block_size_log2);
  } else if (locator.kind == Locator::Kind::cloud) {
    FB_ASSERT(is_cloud(locator.blob), locator.blob.volume);
    FB_ASSERT(locator.length_bytes > 0);
    FB_ASSERT(locator.length_bytes <= kCloudObjectSizeMax, locator.length_bytes);
    FB_ASSERT(locator.sums.empty() || locator.sums.size() == locator.block_count() * kCloudSumBytes,
              locator.sums.size());
    write_blob_id(writer, locator.blob);
    writer.varint(locator.length_bytes);
    writer.sized(locator.sums);
    if (locator.sums.empty()) write_blob_id(writer, locator.sums_blob);
  }
}

Result<void> read_cloud_locator(ByteReader& reader, Locator& locator) {
  locator.blob = read_blob_id(reader);
  locator.length_bytes = reader.varint();
  locator.sums = reader.sized();
  if (locator.sums.empty()) locator.sums_blob = read_blob_id(reader);
  if (!reader.ok() || !is_cloud(locator.blob)) return RecordError::malformed;
  if (locator.length_bytes == 0 || locator.length_bytes > kCloudObjectSizeMax) return RecordError::malformed;
  const bool has_sums = locator.sums.empty() ? !is_cloud(locator.sums_blob)
                                             : locator.sums.size() == locator.block_count() * kCloudSumBytes;
  if (!has_sums) return RecordError::malformed;
  return {};
}

Result<Locator> read_locator(ByteReader& reader) {
  Locator locator;
  const uint8_t kind = reader.u8();
  if (!reader.ok()) return RecordError::malformed;
  locator.kind = static_cast<Locator::Kind>(kind);
  if (kind > static_cast<uint8_t>(Locator::Kind::cloud) || locator.kind == Locator::Kind::manifest)
    return RecordError::unsupported;
  if (locator.kind == Locator::Kind::inline_bytes) {
    locator.inline_data = reader.sized();
    locator.length_bytes = locator.inline_data.size();
  } else if (locator.kind == Locator::Kind::blob) {
    locator.blob = read_blob_id(reader);
    locator.length_bytes = reader.varint();
    locator.block_size_log2 = reader.u8();
    const bool block_size_valid =
        locator.block_size_log2 >= kBlockSizeLog2Min && locator.block_size_log2 <= kBlockSizeLog2Max;
    if (!reader.ok() || !block_size_valid || locator.length_bytes == 0) return RecordError::malformed;
    const uint64_t blocks_max = uint64_t{kBlockNumberMax} + 1;
    if (locator.length_bytes > blocks_max << locator.block_size_log2) return RecordError::malformed;
  } else if (locator.kind == Locator::Kind::cloud) {
    FB_CHECK(read_cloud_locator(reader, locator));
  }
  if (!reader.ok()) return RecordError::malformed;
  return locator;
}

void write_checksum(ByteWriter& writer, const RecordChecksum& checksum) {
  const auto algorithm = static_cast<uint8_t>(checksum.algorithm);
  writer.u8(algorithm | (checksum.composite ? kChecksumComposite : 0));
  writer.fixed(checksum.value.data(), checksum_size(checksum.algorithm));
}

Result<RecordChecksum> read_checksum(ByteReader& reader) {
  RecordChecksum checksum;
  const uint8_t head = reader.u8();
  const uint8_t algorithm = head & ~kChecksumComposite;
  if (!reader.ok() || !valid_algorithm(algorithm)) return RecordError::malformed;
  checksum.algorithm = static_cast<RecordChecksumAlgorithm>(algorithm);
  checksum.composite = (head & kChecksumComposite) != 0;
  checksum.size = static_cast<uint8_t>(checksum_size(checksum.algorithm));
  if (!reader.fixed_bytes(checksum.value.data(), checksum.size)) return RecordError::malformed;
  return checksum;
}

void write_etag(RecordWriter& writer, const RecordEtag& etag) {
  writer.field(RecordTag::etag, 1 + etag.md5.size() + varint_size(etag.part_count));
  writer.bytes().u8(kEtagMd5);
  writer.bytes().fixed(etag.md5.data(), etag.md5.size());
  writer.bytes().varint(etag.part_count);
}

Result<RecordEtag> read_etag(std::string_view value) {
  ByteReader reader(value);
  RecordEtag etag;
  const uint8_t kind = reader.u8();
  if (reader.ok() && kind != kEtagMd5) return RecordError::unsupported;
  reader.fixed_bytes(etag.md5.data(), etag.md5.size());
  const uint64_t part_count = reader.varint();
  if (!reader.ok() || !reader.at_end() || part_count > kPartNumberMax) return RecordError::malformed;
  etag.part_count = static_cast<uint16_t>(part_count);
  return etag;
}

void write_checksum_field(RecordWriter& writer, const RecordChecksum& checksum) {
  if (checksum.algorithm == RecordChecksumAlgorithm::none) return;
  writer.field(RecordTag::checksum, encoded_size(checksum));
  write_checksum(writer.bytes(), checksum);
}

void write_content_field(RecordWriter& writer, const Locator& content) {
  if (content.kind == Locator::Kind::none) return;
  writer.field(RecordTag::content, encoded_size(content));
  write_locator(writer.bytes(), content);
}

void write_parts_field(RecordWriter& writer, std::span<const RecordPart> parts) {
  if (parts.empty()) return;
  size_t size = varint_size(parts.size());
  for (const RecordPart& part : parts) size += encoded_size(part);
  writer.field(RecordTag::parts, size);
  writer.bytes().varint(parts.size());
  for (const RecordPart& part : parts) {
    writer.bytes().varint(part.number);
    writer.bytes().fixed(part.md5.data(), part.md5.size());
    write_checksum(writer.bytes(), part.checksum);
    write_locator(writer.bytes(), part.content);
  }
}

Result<RecordPart> read_part(ByteReader& reader, uint16_t previous_number) {
  RecordPart part;
  const uint64_t number = reader.varint();
  if (!reader.ok() || number <= previous_number || number > kPartNumberMax) return RecordError::malformed;
  part.number = static_cast<uint16_t>(number);
  if (!reader.fixed_bytes(part.md5.data(), part.md5.size())) return RecordError::malformed;
  FB_TRY(part.checksum, read_checksum(reader));
  FB_TRY(part.content, read_locator(reader));
  return part;
}

// Calls `visit(const RecordPart&)` for each part of a part table.
template <class Visit>
Result<void> read_parts(std::string_view value, Visit&& visit) {
  ByteReader reader(value);
  const uint64_t count = reader.varint();
  if (!reader.ok() || count == 0 || count > kPartNumberMax) return RecordError::malformed;
  uint16_t previous_number = 0;
  for (uint64_t i = 0; i < count; ++i) {
    FB_TRY(const RecordPart part, read_part(reader, previous_number));
    previous_number = part.number;
    visit(part);
  }
  if (!reader.at_end()) return RecordError::malformed;
  return {};
}

template <class Read>
auto read_whole(std::string_view value, Read&& read) -> decltype(read(std::declval<ByteReader&>())) {
  ByteReader reader(value);
  auto result = read(reader);
  if (result && !reader.at_end()) return RecordError::malformed;
  return result;
}

bool read_u64(std::string_view value, uint64_t& out) {
  ByteReader reader(value);
  out = reader.varint();
  return reader.ok() && reader.at_end();
}

bool read_time(std::string_view value, UnixTime& out) {
  ByteReader reader(value);
  out.ns = static_cast<int64_t>(reader.u64());
  return reader.ok() && reader.at_end();
}

template <size_t size>
bool read_digest(std::string_view value, std::array<uint8_t, size>& out) {
  if (value.size() != out.size()) return false;
  std::memcpy(out.data(), value.data(), out.size());
  return true;
}

Result<void> read_object_field(ObjectRecord& record, const RecordField& field) {
  bool valid = true;
  switch (field.tag) {
    case RecordTag::size:
      valid = read_u64(field.value, record.size_bytes);
      break;
    case RecordTag::last_modified:
      valid = read_time(field.value, record.last_modified);
      break;
    case RecordTag::etag: {
      FB_TRY(record.etag, read_etag(field.value));
      break;
    }
    case RecordTag::checksum: {
      FB_TRY(record.checksum, read_whole(field.value, read_checksum));
      break;
    }
    case RecordTag::metadata:
      record.metadata = field.value;
      break;
    case RecordTag::owner:
      record.owner = field.value;
      break;
    case RecordTag::storage_class:
      record.storage_class = field.value;
      break;
    case RecordTag::upload_id:
      record.upload_id = field.value;
      break;
    case RecordTag::content: {
      FB_TRY(record.content, read_whole(field.value, read_locator));
      break;
    }
    case RecordTag::parts:
      return read_parts(field.value, [&](const RecordPart& part) { record.parts.push_back(part); });
    default:
      return skip_unknown(field);
  }
  if (!valid) return RecordError::malformed;
  return {};
}

uint64_t content_bytes(const ObjectRecord& record) {
  uint64_t total = record.content.length_bytes;
  for (const RecordPart& part : record.parts) total += part.content.length_bytes;
  return total;
}

// The usual size of a record without metadata, and of one part in it, so that encoding allocates once.
constexpr size_t kRecordSizeUsual = 160;
constexpr size_t kPartSizeUsual = 96;

}  // namespace

std::string_view to_string(RecordError code) {
  switch (code) {
    case RecordError::malformed:
      return "malformed";
    case RecordError::unsupported:
      return "unsupported";
  }
  return "unknown";
}

size_t RecordEtag::write_text(char* out) const {
  return static_cast<size_t>(write_etag_text(md5, part_count, out) - out);
}

std::string RecordEtag::text() const {
  char buffer[kTextSizeMax];
  return std::string(buffer, write_text(buffer));
}

void ObjectRecord::encode_to(std::string& out) const {
  FB_ASSERT(content_bytes(*this) == size_bytes, size_bytes, parts.size());
  FB_ASSERT(parts.empty() || content.kind == Locator::Kind::none);
  RecordWriter writer(out, RecordKind::object);
  writer.field(RecordTag::size, varint_size(size_bytes));
  writer.bytes().varint(size_bytes);
  writer.time(RecordTag::last_modified, last_modified);
  write_etag(writer, etag);
  write_checksum_field(writer, checksum);
  writer.text(RecordTag::metadata, metadata);
  writer.text(RecordTag::owner, owner);
  writer.text(RecordTag::storage_class, storage_class);
  write_content_field(writer, content);
  write_parts_field(writer, parts);
  writer.text(RecordTag::upload_id, upload_id);
}

std::string ObjectRecord::encode() const {
  std::string out;
  out.reserve(kRecordSizeUsual + metadata.size() + parts.size() * kPartSizeUsual);
  encode_to(out);
  return out;
}

Result<ObjectRecord> ObjectRecord::decode(std::string_view bytes) {
  ObjectRecord record;
  FB_TRY(RecordReader reader, RecordReader::open(bytes, RecordKind::object));
  bool has_etag = false;
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    has_etag |= field.tag == RecordTag::etag;
    FB_CHECK(read_object_field(record, field));
  }
  if (!has_etag || content_bytes(record) != record.size_bytes) return RecordError::malformed;
  if (!record.parts.empty() && record.content.kind != Locator::Kind::none) return RecordError::malformed;
  return record;
}

Result<ObjectSummary> ObjectSummary::decode(std::string_view bytes) {
  ObjectSummary summary;
  FB_TRY(RecordReader reader, RecordReader::open(bytes, RecordKind::object));
  bool has_etag = false;
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    switch (field.tag) {
      case RecordTag::size:
        if (!read_u64(field.value, summary.size_bytes)) return RecordError::malformed;
        break;
      case RecordTag::last_modified:
        if (!read_time(field.value, summary.last_modified)) return RecordError::malformed;
        break;
      case RecordTag::etag: {
        FB_TRY(summary.etag, read_etag(field.value));
        has_etag = true;
        break;
      }
      case RecordTag::checksum: {
        FB_TRY(const RecordChecksum checksum, read_whole(field.value, read_checksum));
        summary.checksum_algorithm = checksum.algorithm;
        summary.checksum_composite = checksum.composite;
        break;
      }
      case RecordTag::content:
      case RecordTag::parts:
        break;
      default:
        FB_CHECK(skip_unknown(field));
    }
  }
  if (!has_etag) return RecordError::malformed;
  return summary;
}

std::string UploadRecord::encode() const {
  std::string out;
  RecordWriter writer(out, RecordKind::upload);
  writer.text(RecordTag::metadata, metadata);
  writer.text(RecordTag::owner, owner);
  writer.text(RecordTag::storage_class, storage_class);
  writer.time(RecordTag::initiated, initiated);
  if (checksum_algorithm != RecordChecksumAlgorithm::none || checksum_composite) {
    writer.field(RecordTag::checksum_algorithm, 1);
    const auto algorithm = static_cast<uint8_t>(checksum_algorithm);
    writer.bytes().u8(algorithm | (checksum_composite ? kChecksumComposite : 0));
  }
  return out;
}

Result<UploadRecord> UploadRecord::decode(std::string_view bytes) {
  UploadRecord record;
  FB_TRY(RecordReader reader, RecordReader::open(bytes, RecordKind::upload));
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    bool valid = true;
    switch (field.tag) {
      case RecordTag::metadata:
        record.metadata = field.value;
        break;
      case RecordTag::owner:
        record.owner = field.value;
        break;
      case RecordTag::storage_class:
        record.storage_class = field.value;
        break;
      case RecordTag::initiated:
        valid = read_time(field.value, record.initiated);
        break;
      case RecordTag::checksum_algorithm: {
        if (field.value.size() != 1) return RecordError::malformed;
        const auto head = static_cast<uint8_t>(field.value[0]);
        const uint8_t algorithm = head & ~kChecksumComposite;
        valid = valid_algorithm(algorithm);
        record.checksum_algorithm = static_cast<RecordChecksumAlgorithm>(algorithm);
        record.checksum_composite = (head & kChecksumComposite) != 0;
        break;
      }
      default:
        FB_CHECK(skip_unknown(field));
    }
    if (!valid) return RecordError::malformed;
  }
  return record;
}

std::string PartRecord::encode() const {
  FB_ASSERT(content.length_bytes == size_bytes, size_bytes);
  std::string out;
  RecordWriter writer(out, RecordKind::part);
  writer.field(RecordTag::size, varint_size(size_bytes));
  writer.bytes().varint(size_bytes);
  writer.time(RecordTag::last_modified, last_modified);
  write_checksum_field(writer, checksum);
  write_content_field(writer, content);
  writer.field(RecordTag::part_md5, md5.size());
  writer.bytes().fixed(md5.data(), md5.size());
  if (crc64nvme) {
    writer.field(RecordTag::part_crc64nvme, crc64nvme->size());
    writer.bytes().fixed(crc64nvme->data(), crc64nvme->size());
  }
  return out;
}

Result<PartRecord> PartRecord::decode(std::string_view bytes) {
  PartRecord record;
  FB_TRY(RecordReader reader, RecordReader::open(bytes, RecordKind::part));
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    bool valid = true;
    switch (field.tag) {
      case RecordTag::size:
        valid = read_u64(field.value, record.size_bytes);
        break;
      case RecordTag::last_modified:
        valid = read_time(field.value, record.last_modified);
        break;
      case RecordTag::checksum: {
        FB_TRY(record.checksum, read_whole(field.value, read_checksum));
        break;
      }
      case RecordTag::content: {
        FB_TRY(record.content, read_whole(field.value, read_locator));
        break;
      }
      case RecordTag::part_md5:
        valid = read_digest(field.value, record.md5);
        break;
      case RecordTag::part_crc64nvme:
        valid = read_digest(field.value, record.crc64nvme.emplace());
        break;
      default:
        FB_CHECK(skip_unknown(field));
    }
    if (!valid) return RecordError::malformed;
  }
  if (record.content.length_bytes != record.size_bytes) return RecordError::malformed;
  return record;
}

std::string ClientTokenRecord::encode() const {
  std::string out;
  RecordWriter writer(out, RecordKind::token);
  writer.time(RecordTag::expiry, expires);
  writer.field(RecordTag::fingerprint, fingerprint.size());
  writer.bytes().fixed(fingerprint.data(), fingerprint.size());
  return out;
}

Result<ClientTokenRecord> ClientTokenRecord::decode(std::string_view bytes) {
  ClientTokenRecord record;
  FB_TRY(RecordReader reader, RecordReader::open(bytes, RecordKind::token));
  bool has_expiry = false;
  bool has_fingerprint = false;
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    bool valid = true;
    if (field.tag == RecordTag::expiry) {
      valid = has_expiry = read_time(field.value, record.expires);
    } else if (field.tag == RecordTag::fingerprint) {
      valid = has_fingerprint = read_digest(field.value, record.fingerprint);
    } else {
      FB_CHECK(skip_unknown(field));
    }
    if (!valid) return RecordError::malformed;
  }
  if (!has_expiry || !has_fingerprint) return RecordError::malformed;
  return record;
}

void visit_locator(const Locator& locator, void (*visit)(void*, const BlobId&, uint32_t), void* context) {
  if (locator.kind == Locator::Kind::blob) visit(context, locator.blob, locator.block_count());
  if (locator.kind != Locator::Kind::cloud) return;
  visit(context, locator.blob, 1);
  if (locator.sums.empty()) visit(context, locator.sums_blob, 1);
}

Result<void> for_each_blob(std::string_view record, void (*visit)(void*, const BlobId&, uint32_t),
                           void* context) {
  FB_TRY(RecordReader reader, RecordReader::open(record));
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    if (field.tag == RecordTag::content) {
      FB_TRY(const Locator locator, read_whole(field.value, read_locator));
      visit_locator(locator, visit, context);
    } else if (field.tag == RecordTag::parts) {
      FB_CHECK(read_parts(field.value,
                          [&](const RecordPart& part) { visit_locator(part.content, visit, context); }));
    }
  }
  return {};
}

std::optional<RecordEtag> etag_of(std::string_view record) {
  auto reader = RecordReader::open(record, RecordKind::object);
  if (!reader) return std::nullopt;
  while (!reader->at_end()) {
    const auto field = reader->next();
    if (!field) return std::nullopt;
    if (field->tag != RecordTag::etag) continue;
    const auto etag = read_etag(field->value);
    return etag ? std::optional(*etag) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<uint64_t> object_size_of(std::string_view record) {
  auto reader = RecordReader::open(record, RecordKind::object);
  if (!reader) return std::nullopt;
  while (!reader->at_end()) {
    const auto field = reader->next();
    if (!field) return std::nullopt;
    uint64_t size = 0;
    if (field->tag == RecordTag::size)
      return read_u64(field->value, size) ? std::optional(size) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace fb
