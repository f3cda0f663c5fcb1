// SPDX-License-Identifier: Apache-2.0
#include "s3/uri.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"

// Encoding undoes decoding and is its own normal form; a query is the sum of its items.

namespace {

using namespace fb::s3;

void check_part(std::string_view text, UriPart part, Slash slash) {
  const auto decoded = percent_decode(text, part);
  std::string normalized(kUriEncodeGrowth * text.size(), '\0');
  const char* end = uri_normalize(text, part, slash, normalized.data());
  FB_ASSERT(decoded.has_value() == (end != nullptr));
  if (!decoded) return;
  normalized.resize(end - normalized.data());
  FB_ASSERT(normalized == uri_encode(*decoded, slash));
  FB_ASSERT(percent_decode(normalized, part) == decoded);
  std::string in_place(text);
  const auto size = percent_decode(in_place, part, in_place.data());
  FB_ASSERT(size.has_value());
  FB_ASSERT(in_place.substr(0, *size) == *decoded);
}

void check_query(std::string_view text) {
  size_t length = 0;
  for (const QueryItem& item : QueryView(text)) {
    length += item.name.size() + item.value.size() + (item.has_equals ? 1 : 0);
    // Names with a space are not asked for: no parameter of S3 has one.
    if (const auto name = decode_query(item.name); name && !name->contains(' ')) {
      FB_ASSERT(item.is(*name));
      FB_ASSERT(QueryView(text).has(*name));
      FB_ASSERT(!item.is(*name + "x"));
    }
  }
  FB_ASSERT(length <= text.size(), length, text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_part(text, UriPart::path, Slash::keep);
  check_part(text, UriPart::query, Slash::encode);
  check_query(text);
  // The rest of a text behind its well-formed beginning decides.
  const bool valid = is_valid_utf8(text);
  if (valid) FB_ASSERT(is_valid_utf8("1234567" + std::string(text)));
  if (!valid) FB_ASSERT(!is_valid_utf8(std::string(text) + "12345678"));
  return 0;
}
