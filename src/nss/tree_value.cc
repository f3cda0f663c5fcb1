// SPDX-License-Identifier: Apache-2.0
#include "nss/tree_value.h"

#include "art/page_format.h"
#include "base/byte_codec.h"

namespace fb {
namespace {

constexpr uint64_t kCounterMax = (uint64_t{1} << kVersionCounterBits) - 1;
constexpr uint64_t kEpochMax = UINT64_MAX >> kVersionCounterBits;

void write_version(ByteWriter& writer, Version version) {
  writer.varint(version.value >> kVersionCounterBits);
  writer.varint(version.value & kCounterMax);
}

}  // namespace

void encode_value(std::string& out, Version version, std::string_view record) {
  ByteWriter writer(out);
  write_version(writer, version);
  writer.fixed(record.data(), record.size());
}

void encode_spilled(std::string& out, Version version, const SpilledRecord& spilled) {
  const RecordEtag etag = spilled.etag.value_or(RecordEtag());
  ByteWriter writer(out);
  write_version(writer, version);
  writer.fixed(&spilled.blob, sizeof(spilled.blob));
  writer.fixed(&spilled.length_bytes, sizeof(spilled.length_bytes));
  writer.fixed(&spilled.object_bytes, sizeof(spilled.object_bytes));
  writer.u8(spilled.etag ? 1 : 0);
  writer.fixed(etag.md5.data(), etag.md5.size());
  writer.fixed(&etag.part_count, sizeof(etag.part_count));
}

SpilledRecord describe_spilled(BlobId blob, std::string_view record) {
  return {.blob = blob,
          .length_bytes = static_cast<uint32_t>(record.size()),
          .object_bytes = object_size_of(record).value_or(0),
          .etag = etag_of(record)};
}

std::optional<TreeValue> decode_value(uint8_t flags, std::string_view bytes) {
  TreeValue value;
  ByteReader reader(bytes);
  const uint64_t epoch = reader.varint();
  const uint64_t counter = reader.varint();
  if (!reader.ok() || epoch > kEpochMax || counter > kCounterMax) return std::nullopt;
  value.version = {epoch << kVersionCounterBits | counter};
  const std::string_view rest = bytes.substr(bytes.size() - reader.remaining());
  if ((flags & art::kValueSpilled) == 0) {
    value.record = rest;
    return value;
  }
  if (rest.size() != kSpilledBytes) return std::nullopt;
  const char* at = rest.data();
  const auto take = [&at](void* to, size_t size) {
    std::memcpy(to, at, size);
    at += size;
  };
  SpilledRecord spilled;
  RecordEtag etag;
  uint8_t etag_given = 0;
  take(&spilled.blob, sizeof(spilled.blob));
  take(&spilled.length_bytes, sizeof(spilled.length_bytes));
  take(&spilled.object_bytes, sizeof(spilled.object_bytes));
  take(&etag_given, 1);
  take(etag.md5.data(), etag.md5.size());
  take(&etag.part_count, sizeof(etag.part_count));
  if (etag_given > 1 || spilled.length_bytes == 0 || spilled.length_bytes > kBlobBlockSizeMax)
    return std::nullopt;
  if (etag_given == 1) spilled.etag = etag;
  value.spilled = spilled;
  return value;
}

}  // namespace fb
