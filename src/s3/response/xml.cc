// SPDX-License-Identifier: Apache-2.0
#include "s3/response/xml.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>

#include "s3/put_text.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

size_t utf8_size(uint8_t lead) { return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

// Plain bytes can be copied as they are: printable ASCII without the five that XML or its readers treat
// specially. A bit for each byte that is not plain:
uint32_t special_bytes(__m256i bytes) {
  // Signed: bytes from 0x80 on are negative.
  __m256i special = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);
  for (const char c : {'&', '<', '>', '"', '\'', '\x7f'})
    special = _mm256_or_si256(special, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c)));
  return static_cast<uint32_t>(_mm256_movemask_epi8(special));
}

// Copies what stands before the first byte that is not plain; the size of it. Writes up to 32 bytes beyond,
// which `out` has room for: it has more than one byte for each of the text.
size_t copy_plain(std::string_view text, char* out) {
  constexpr size_t kStep = sizeof(__m256i);
  size_t at = 0;
  for (; at + kStep <= text.size(); at += kStep) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + at));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at), bytes);
    const uint32_t special = special_bytes(bytes);
    if (special != 0) return at + static_cast<size_t>(std::countr_zero(special));
  }
  const size_t rest = text.size() - at;
  std::array<char, kStep> tail{};
  std::copy_n(text.data() + at, rest, tail.data());
  // Behind the rest stand zeros, which are not plain.
  const uint32_t special = special_bytes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(tail.data())));
  const auto plain = static_cast<size_t>(std::countr_zero(special));
  std::copy_n(tail.data(), plain, out + at);
  return at + plain;
}

// One character beyond ASCII, or the replacement of one byte that begins none. Takes it off the front of
// `text`.
char* escape_wide(std::string_view& text, IllegalCharacters illegal, char* out) {
  // One character at a time, so that a bad byte costs only itself.
  const std::string_view character =
      text.substr(0, std::min(utf8_size(static_cast<uint8_t>(text.front())), text.size()));
  const bool valid = is_valid_utf8(character);
  const bool noncharacter = character == "\xEF\xBF\xBE" || character == "\xEF\xBF\xBF";
  text.remove_prefix(valid ? character.size() : 1);
  if (valid && noncharacter && illegal == IllegalCharacters::numeric_reference)
    return put(character == "\xEF\xBF\xBE" ? "&#xfffe;" : "&#xffff;", out);
  return put(valid && !noncharacter ? character : kReplacement, out);
}

char* escape_ascii(uint8_t byte, IllegalCharacters illegal, char* out) {
  switch (byte) {
    case '&':
      return put("&amp;", out);
    case '<':
      return put("&lt;", out);
    case '>':
      return put("&gt;", out);
    case '"':
      return put("&quot;", out);
    case '\'':
      return put("&apos;", out);
    default: {
      const bool legal = byte == '\t' || byte == '\n' || byte == '\r' || byte == 0x7F;
      if (!legal && (illegal == IllegalCharacters::replace || byte == 0)) return put(kReplacement, out);
      return fmt::format_to(out, "&#x{:x};", byte);
    }
  }
}

}  // namespace

char* xml_escape(std::string_view text, IllegalCharacters illegal, char* out) {
  for (;;) {
    const size_t plain = copy_plain(text, out);
    out += plain;
    text.remove_prefix(plain);
    if (text.empty()) return out;
    const auto byte = static_cast<uint8_t>(text.front());
    if (byte >= 0x80) {
      out = escape_wide(text, illegal, out);
      continue;
    }
    text.remove_prefix(1);
    out = escape_ascii(byte, illegal, out);
  }
}

XmlWriter::XmlWriter(std::string& out, IllegalCharacters illegal) : out_(out), illegal_(illegal) {
  out_.append("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void XmlWriter::open(std::string_view name) { out_.append("<").append(name).append(">"); }

void XmlWriter::open_root(std::string_view name) {
  out_.append("<").append(name).append(" xmlns=\"").append(kS3Namespace).append("\">");
}

void XmlWriter::close(std::string_view name) { out_.append("</").append(name).append(">"); }

void XmlWriter::empty(std::string_view name) { out_.append("<").append(name).append("/>"); }

void XmlWriter::element(std::string_view name, std::string_view text) {
  open(name);
  append_escaped(text);
  close(name);
}

void XmlWriter::plain(std::string_view name, std::string_view text) {
  open(name);
  out_.append(text);
  close(name);
}

void XmlWriter::etag(std::string_view name, std::string_view unquoted) {
  open(name);
  out_.append("&quot;");
  append_escaped(unquoted);
  out_.append("&quot;");
  close(name);
}

void XmlWriter::number(std::string_view name, uint64_t value) {
  const fmt::format_int digits(value);
  plain(name, {digits.data(), digits.size()});
}

void XmlWriter::append_escaped(std::string_view text) {
  const size_t size = out_.size();
  out_.resize_and_overwrite(size + kXmlEscapeGrowth * text.size(), [&](char* data, size_t) {
    return static_cast<size_t>(xml_escape(text, illegal_, data + size) - data);
  });
}

}  // namespace fb::s3
