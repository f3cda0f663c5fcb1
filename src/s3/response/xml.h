// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

// Writes XML documents of S3's kind: elements and text, no attributes but the namespace.

namespace fb::s3 {

constexpr std::string_view kS3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// XML 1.0 cannot express most control characters. S3 writes them as numeric references all the same, which
// most clients read; `replace` writes U+FFFD instead, so that the document is well-formed whatever the text
// is. Bytes that are not UTF-8 become U+FFFD with both.
enum class IllegalCharacters { numeric_reference, replace };

struct XmlFragment {};

constexpr size_t kXmlEscapeGrowth = 6;  // "&quot;" for one byte
// Writes at most kXmlEscapeGrowth * text.size() characters at `out` and returns the end.
char* xml_escape(std::string_view text, IllegalCharacters illegal, char* out);

// Appends to a string of the caller's. The caller closes what it opens.
class XmlWriter {
 public:
  // Writes the declaration.
  explicit XmlWriter(std::string& out, IllegalCharacters illegal = IllegalCharacters::numeric_reference);
  // Writes no declaration: for a part of a document.
  XmlWriter(std::string& out, XmlFragment) : out_(out), illegal_(IllegalCharacters::numeric_reference) {}
  XmlWriter(const XmlWriter&) = delete;
  XmlWriter& operator=(const XmlWriter&) = delete;

  void open(std::string_view name);
  // The document's root, with S3's namespace.
  void open_root(std::string_view name);
  void close(std::string_view name);
  void empty(std::string_view name);

  void element(std::string_view name, std::string_view text);
  void element(std::string_view name, bool value) { plain(name, value ? "true" : "false"); }
  void element(std::string_view name, std::same_as<uint64_t> auto value) { number(name, value); }
  void element(std::string_view name, std::same_as<uint32_t> auto value) { number(name, value); }
  void element(std::string_view name, const char* text) { element(name, std::string_view(text)); }
  // `text` needs no escaping.
  void plain(std::string_view name, std::string_view text);
  // Markup or text that needs no escaping, as it is: for documents with thousands of like entries.
  void raw(std::string_view markup) { out_.append(markup); }
  void text(std::string_view text) { append_escaped(text); }
  // An ETag in its quotes.
  void etag(std::string_view name, std::string_view unquoted);

 private:
  void number(std::string_view name, uint64_t value);
  void append_escaped(std::string_view text);

  std::string& out_;
  IllegalCharacters illegal_;
};

}  // namespace fb::s3
