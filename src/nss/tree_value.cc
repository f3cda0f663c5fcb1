// SPDX-License-Identifier: Apache-2.0
#include "nss/tree_value.h"

#include "art/page_format.h"
#include "base/byte_codec.h"

namespace fb {

void encode_value(std::string& out, Version version, std::string_view record) {
  ByteWriter writer(out);
  writer.fixed(&version.value, sizeof(version.value));
  writer.fixed(record.data(), record.size());
}

void encode_spilled(std::string& out, Version version, const SpilledRecord& spilled) {
  const RecordEtag etag = spilled.etag.value_or(RecordEtag());
  ByteWriter writer(out);
  writer.fixed(&version.value, sizeof(version.value));
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
  if (bytes.size() < sizeof(value.version.value)) return std::nullopt;
  std::memcpy(&value.version.value, bytes.data(), sizeof(value.version.value));
  if ((flags & art::kValueSpilled) == 0) {
    value.record = bytes.substr(sizeof(value.version.value));
    return value;
  }
  if (bytes.size() != kSpilledValueBytes) return std::nullopt;
  const char* at = bytes.data() + sizeof(value.version.value);
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
