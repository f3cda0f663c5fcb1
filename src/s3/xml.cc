// SPDX-License-Identifier: Apache-2.0
#include "s3/xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes that can be copied as they are: printable ASCII without the five that XML or its readers treat
// specially.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7F; ++c) plain[c] = true;
  for (char c : {'&', '<', '>', '"', '\''}) plain[static_cast<uint8_t>(c)] = false;
  return plain;
}();

size_t utf8_size(uint8_t lead) { return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

}  // namespace

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
  size_t at = 0;
  while (at < text.size()) {
    const size_t run = at;
    while (at < text.size() && kPlain[static_cast<uint8_t>(text[at])]) ++at;
    out_.append(text.substr(run, at - run));
    if (at == text.size()) return;

    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte >= 0x80) {
      // One character at a time, so that a bad byte costs only itself.
      const std::string_view character = text.substr(at, std::min(utf8_size(byte), text.size() - at));
      const bool valid = is_valid_utf8(character);
      const bool noncharacter = character == "\xEF\xBF\xBE" || character == "\xEF\xBF\xBF";
      if (valid && noncharacter && illegal_ == IllegalCharacters::numeric_reference) {
        out_.append(character == "\xEF\xBF\xBE" ? "&#xfffe;" : "&#xffff;");
      } else {
        out_.append(valid && !noncharacter ? character : kReplacement);
      }
      at += valid ? character.size() : 1;
      continue;
    }
    ++at;
    switch (byte) {
      case '&':
        out_.append("&amp;");
        break;
      case '<':
        out_.append("&lt;");
        break;
      case '>':
        out_.append("&gt;");
        break;
      case '"':
        out_.append("&quot;");
        break;
      case '\'':
        out_.append("&apos;");
        break;
      default: {
        const bool legal = byte == '\t' || byte == '\n' || byte == '\r' || byte == 0x7F;
        if (!legal && (illegal_ == IllegalCharacters::replace || byte == 0)) {
          out_.append(kReplacement);
        } else {
          fmt::format_to(std::back_inserter(out_), "&#x{:x};", byte);
        }
      }
    }
  }
}

}  // namespace fb::s3
