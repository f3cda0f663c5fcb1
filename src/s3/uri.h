// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"

// Percent-encoding as S3 uses it, and a view of a raw query string. Paths and query items differ in one point
// only: in a query item '+' is a space, in a path it is itself.

namespace fb::s3 {

enum class UriPart { path, query };

// Decodes `text` to `out`, which has room for text.size() characters and may be text.data() itself. The
// decoded size, or nothing where a '%' is not followed by two hex digits.
std::optional<size_t> percent_decode(std::string_view text, UriPart part, char* out);
std::optional<std::string> percent_decode(std::string_view text, UriPart part);
inline std::optional<std::string> decode_path(std::string_view text) {
  return percent_decode(text, UriPart::path);
}
inline std::optional<std::string> decode_query(std::string_view text) {
  return percent_decode(text, UriPart::query);
}

// AWS's UriEncode: everything but A-Z a-z 0-9 - . _ ~ becomes %XX with upper-case digits. Slashes are kept in
// paths and encoded in query items.
enum class Slash { keep, encode };
bool is_uri_unreserved(char c);
constexpr size_t kUriEncodeGrowth = 3;
// Writes at most kUriEncodeGrowth * text.size() characters at `out` and returns the end.
char* uri_encode(std::string_view text, Slash slash, char* out);
std::string uri_encode(std::string_view text, Slash slash);

// Decodes and encodes again in one pass, so that every spelling of one name yields one text. Writes at most
// kUriEncodeGrowth * text.size() characters at `out`; returns the end, or null where `text` is malformed.
char* uri_normalize(std::string_view text, UriPart part, Slash slash, char* out);

using fb::is_valid_utf8;

// One item of a query, still percent-encoded: "name=value" or "name".
struct QueryItem {
  std::string_view name;
  std::string_view value;
  bool has_equals = false;

  // Compares the decoded name; `plain` is not encoded and holds no space. Encoding only lengthens such a
  // text.
  bool is(std::string_view plain) const {
    if (name.size() <= plain.size())
      return name == plain && name.find_first_of("%+") == std::string_view::npos;
    return name.find('%') != std::string_view::npos && is_encoded_form_of(plain);
  }

 private:
  bool is_encoded_form_of(std::string_view plain) const;
};

// The items of a raw query string in their order, empty ones ("a&&b") left out. Owns nothing, allocates
// nothing.
class QueryView {
 public:
  class Iterator {
   public:
    using value_type = QueryItem;
    using difference_type = ptrdiff_t;

    Iterator() = default;
    explicit Iterator(std::string_view rest) : rest_(rest) { advance(); }
    const QueryItem& operator*() const { return item_; }
    const QueryItem* operator->() const { return &item_; }
    Iterator& operator++() {
      advance();
      return *this;
    }
    void operator++(int) { advance(); }
    bool operator==(std::default_sentinel_t) const { return done_; }

   private:
    void advance();

    std::string_view rest_;
    QueryItem item_;
    bool done_ = false;
  };

  QueryView() = default;
  explicit QueryView(std::string_view raw) : raw_(raw) {}

  Iterator begin() const { return Iterator(raw_); }
  std::default_sentinel_t end() const { return {}; }
  bool empty() const { return begin() == end(); }
  std::string_view raw() const { return raw_; }

  // The raw value of the first item of that decoded name ("" for an item without '='), or nothing.
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }

 private:
  std::string_view raw_;
};

}  // namespace fb::s3
