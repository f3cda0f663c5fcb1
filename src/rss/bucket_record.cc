// SPDX-License-Identifier: Apache-2.0
#include "rss/bucket_record.h"

#include "client/record_format.h"

namespace fb {
namespace {

bool read_u64(std::string_view value, uint64_t& out) {
  ByteReader reader(value);
  out = reader.u64();
  return reader.ok() && reader.at_end();
}

}  // namespace

std::string encode_bucket(const BucketInfo& bucket) {
  std::string out;
  RecordWriter writer(out, RecordKind::bucket);
  writer.text(RecordTag::owner, bucket.owner);
  writer.field(RecordTag::bucket_id, sizeof(uint64_t));
  writer.bytes().u64(bucket.id.value);
  writer.time(RecordTag::created, bucket.created);
  return out;
}

Result<BucketInfo> decode_bucket(std::string_view name, std::string_view record) {
  BucketInfo bucket;
  bucket.name = name;
  FB_TRY(RecordReader reader, RecordReader::open(record, RecordKind::bucket));
  while (!reader.at_end()) {
    FB_TRY(const RecordField field, reader.next());
    uint64_t number = 0;
    switch (field.tag) {
      case RecordTag::owner:
        bucket.owner = field.value;
        break;
      case RecordTag::bucket_id:
        if (!read_u64(field.value, bucket.id.value)) return RecordError::malformed;
        break;
      case RecordTag::created:
        if (!read_u64(field.value, number)) return RecordError::malformed;
        bucket.created.ns = static_cast<int64_t>(number);
        break;
      default:
        FB_CHECK(skip_unknown(field));
    }
  }
  if (bucket.id == kSystemTree || name.empty()) return RecordError::malformed;
  return bucket;
}

}  // namespace fb
