// SPDX-License-Identifier: Apache-2.0
#include "s3/uri.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "s3/encoding.h"

namespace fb::s3 {
namespace {

constexpr char kUpperHexDigits[] = "0123456789ABCDEF";

using CharacterSet = std::array<bool, 256>;

consteval CharacterSet make_passing(Slash slash) {
  CharacterSet set{};
  for (int c = 'A'; c <= 'Z'; ++c) set[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) set[c] = true;
  for (int c = '0'; c <= '9'; ++c) set[c] = true;
  for (const char c : {'-', '.', '_', '~'}) set[static_cast<uint8_t>(c)] = true;
  set['/'] = slash == Slash::keep;
  return set;
}
constexpr CharacterSet kUnreserved = make_passing(Slash::encode);
constexpr CharacterSet kUnreservedAndSlash = make_passing(Slash::keep);

const CharacterSet& passing(Slash slash) { return slash == Slash::keep ? kUnreservedAndSlash : kUnreserved; }

char* encode_one(char c, Slash slash, char* out) {
  if (passing(slash)[static_cast<uint8_t>(c)]) {
    *out++ = c;
    return out;
  }
  *out++ = '%';
  *out++ = kUpperHexDigits[static_cast<uint8_t>(c) >> 4];
  *out++ = kUpperHexDigits[static_cast<uint8_t>(c) & 15];
  return out;
}

// Takes the next decoded character off `text`; false where it is malformed.
bool decode_one(std::string_view& text, UriPart part, char& out) {
  const char c = text.front();
  if (c == '%') {
    uint8_t value = 0;
    if (text.size() < 3 || !hex_decode(text.substr(1, 2), {&value, 1})) return false;
    text.remove_prefix(3);
    out = static_cast<char>(value);
    return true;
  }
  text.remove_prefix(1);
  out = c == '+' && part == UriPart::query ? ' ' : c;
  return true;
}

}  // namespace

bool is_uri_unreserved(char c) { return kUnreserved[static_cast<uint8_t>(c)]; }

std::optional<size_t> percent_decode(std::string_view text, UriPart part, char* out) {
  char* const begin = out;
  for (;;) {
    size_t plain = 0;
    while (plain < text.size() && text[plain] != '%' && text[plain] != '+') ++plain;
    out = std::copy_n(text.data(), plain, out);
    text.remove_prefix(plain);
    if (text.empty()) return out - begin;
    if (!decode_one(text, part, *out)) return std::nullopt;
    ++out;
  }
}

std::optional<std::string> percent_decode(std::string_view text, UriPart part) {
  std::string decoded(text.size(), '\0');
  const auto size = percent_decode(text, part, decoded.data());
  if (!size) return std::nullopt;
  decoded.resize(*size);
  return decoded;
}

char* uri_encode(std::string_view text, Slash slash, char* out) {
  for (const char c : text) out = encode_one(c, slash, out);
  return out;
}

std::string uri_encode(std::string_view text, Slash slash) {
  std::string encoded(kUriEncodeGrowth * text.size(), '\0');
  encoded.resize(uri_encode(text, slash, encoded.data()) - encoded.data());
  return encoded;
}

char* uri_normalize(std::string_view text, UriPart part, Slash slash, char* out) {
  const CharacterSet& passes = passing(slash);
  while (!text.empty()) {
    size_t run = 0;
    while (run < text.size() && passes[static_cast<uint8_t>(text[run])]) ++run;
    std::memcpy(out, text.data(), run);
    out += run;
    text.remove_prefix(run);
    if (text.empty()) break;
    char c = 0;
    if (!decode_one(text, part, c)) return nullptr;
    out = encode_one(c, slash, out);
  }
  return out;
}

bool QueryItem::is_encoded_form_of(std::string_view plain) const {
  std::string_view rest = name;
  for (const char expected : plain) {
    char c = 0;
    if (rest.empty() || !decode_one(rest, UriPart::query, c) || c != expected) return false;
  }
  return rest.empty();
}

void QueryView::Iterator::advance() {
  while (!rest_.empty()) {
    const auto* end = static_cast<const char*>(std::memchr(rest_.data(), '&', rest_.size()));
    const size_t length = end ? static_cast<size_t>(end - rest_.data()) : rest_.size();
    const std::string_view text = rest_.substr(0, length);
    rest_.remove_prefix(end ? length + 1 : length);
    if (text.empty()) continue;
    const size_t equals = text.find('=');
    item_ = {.name = text.substr(0, equals),
             .value = equals == text.npos ? std::string_view() : text.substr(equals + 1),
             .has_equals = equals != text.npos};
    return;
  }
  done_ = true;
}

std::optional<std::string_view> QueryView::get(std::string_view name) const {
  for (const QueryItem& item : *this) {
    if (item.is(name)) return item.value;
  }
  return std::nullopt;
}

}  // namespace fb::s3
