// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/record.h"
#include "client/types.h"

// What a leaf of a bucket's tree holds; docs/formats/namespace.md.
//
//     version | record
//     version | blob id (16) | record's bytes u32 | object's size u64 | etag given u8 | MD5 (16) | parts u16
//
// A version is two varints, its epoch and its counter: 5 bytes as a rule instead of 8.
//
// The second form stands where the leaf is marked as spilled: the record is too large for a page and is the
// only block of a blob, which the leaf owns. What conditions and counts ask for is kept beside it.

namespace fb {

struct SpilledRecord {
  BlobId blob;
  uint32_t length_bytes = 0;
  uint64_t object_bytes = 0;
  std::optional<RecordEtag> etag;
};
inline constexpr unsigned kVersionCounterBits = 40;
inline constexpr size_t kVersionBytesMax = 4 + 6;  // as a value begins with it
inline constexpr size_t kSpilledBytes = 16 + 4 + 8 + 1 + 16 + 2;
inline constexpr size_t kSpilledValueBytesMax = kVersionBytesMax + kSpilledBytes;

struct TreeValue {
  Version version;
  std::string_view record;               // where it is not spilled
  std::optional<SpilledRecord> spilled;  // where it is

  std::optional<RecordEtag> etag() const { return spilled ? spilled->etag : etag_of(record); }
  uint64_t object_bytes() const {
    return spilled ? spilled->object_bytes : object_size_of(record).value_or(0);
  }
};

void encode_value(std::string& out, Version version, std::string_view record);
void encode_spilled(std::string& out, Version version, const SpilledRecord& spilled);
SpilledRecord describe_spilled(BlobId blob, std::string_view record);
// A view into the bytes. Nothing where they are no value.
std::optional<TreeValue> decode_value(uint8_t flags, std::string_view bytes);

}  // namespace fb
