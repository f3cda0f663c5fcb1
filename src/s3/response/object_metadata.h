// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "s3/response/error.h"

// The headers that are stored with an object and sent back with it, in the form in which they stand in its
// record:
//
//   version (1 byte, 1)  then for each header:  field (1)  [name size (2)  name]  value size (2)  value
//
// Sizes are little-endian; only user metadata carries a name. System headers come first, in the order of
// MetadataField, each at most once. Names and values are kept as they are sent, so that sending needs no
// further work. Nothing stored at all is the empty string.
//
// User metadata follows AWS: what a request carries as RFC 2047 encoded words is decoded, and text that is
// not printable ASCII is sent as one encoded word in UTF-8. The limit of 2 KiB counts decoded UTF-8.

namespace fb::s3 {

constexpr size_t kUserMetadataSizeMax = 2 << 10;
constexpr size_t kSystemHeadersSizeMax = 8 << 10;
// No encoded metadata is longer: base64 makes three bytes four, each header has a few bytes of its own.
constexpr size_t kEncodedMetadataSizeMax = 64 << 10;
constexpr std::string_view kUserMetadataPrefix = "x-amz-meta-";
constexpr std::string_view kDefaultContentType = "binary/octet-stream";

enum class MetadataField : uint8_t {
  content_type = 1,
  cache_control,
  content_disposition,
  content_encoding,
  content_language,
  expires,
  user,
};
constexpr int kSystemFieldCount = 6;

struct SystemHeader {
  MetadataField field;
  std::string_view name;           // of request and response
  std::string_view override_item;  // the query item that overrides it in one response
};
extern const std::array<SystemHeader, kSystemFieldCount> kSystemHeaders;

// The metadata of a request that creates an object. `aws-chunked` is taken out of Content-Encoding.
S3Result<std::string> parse_object_metadata(const RequestHead& head);

struct MetadataEntry {
  MetadataField field = MetadataField::user;
  std::string_view name;  // "Content-Type", "x-amz-meta-colour"
  std::string_view value;
};

// Walks over encoded metadata without copying. Every size is checked: bytes that are not of this format end
// the walk with damaged() true.
class MetadataReader {
 public:
  explicit MetadataReader(std::string_view encoded);
  std::optional<MetadataEntry> next();
  bool damaged() const { return damaged_; }

 private:
  std::optional<MetadataEntry> fail();
  std::optional<std::string_view> take_sized();

  std::string_view rest_;
  uint8_t last_field_ = 0;
  bool damaged_ = false;
};

// Values for single headers of one response: response-content-type and its like.
struct ResponseOverrides {
  std::array<std::optional<std::string>, kSystemFieldCount> values;  // by MetadataField - 1
  bool any = false;
};

// Calls emit(name, value) for each header a response to GetObject or HeadObject carries on behalf of the
// metadata; Content-Type is always among them. False where the metadata is damaged.
template <class Emit>
bool emit_object_headers(std::string_view metadata, const ResponseOverrides& overrides, Emit&& emit) {
  bool has_content_type = false;
  if (overrides.any) {
    for (int i = 0; i < kSystemFieldCount; ++i) {
      if (!overrides.values[i]) continue;
      emit(kSystemHeaders[i].name, std::string_view(*overrides.values[i]));
      has_content_type |= kSystemHeaders[i].field == MetadataField::content_type;
    }
  }
  MetadataReader reader(metadata);
  while (const auto entry = reader.next()) {
    const int index = static_cast<int>(entry->field) - 1;
    if (overrides.any && index < kSystemFieldCount && overrides.values[index]) continue;
    emit(entry->name, entry->value);
    has_content_type |= entry->field == MetadataField::content_type;
  }
  if (!has_content_type) emit(kSystemHeaders[0].name, kDefaultContentType);
  return !reader.damaged();
}

// RFC 2047, exposed for tests. decode_words() returns its input where it holds no well-formed encoded word in
// UTF-8, ISO-8859-1 or US-ASCII. Bytes that are not UTF-8 are read as ISO-8859-1.
std::string decode_words(std::string_view text);
std::string encode_word(std::string_view utf8);

}  // namespace fb::s3
