// SPDX-License-Identifier: Apache-2.0
#include "s3/response/xml.h"

#include <gtest/gtest.h>

namespace fb::s3 {
namespace {

std::string escaped(std::string_view text, IllegalCharacters illegal = IllegalCharacters::numeric_reference) {
  std::string out;
  XmlWriter xml(out, illegal);
  const size_t start = out.size();
  xml.element("k", text);
  return out.substr(start + 3, out.size() - start - 7);
}

TEST(XmlWriter, Document) {
  std::string out;
  XmlWriter xml(out);
  xml.open_root("Root");
  xml.element("Size", uint64_t{18446744073709551615U});
  xml.element("Count", uint32_t{7});
  xml.element("Flag", true);
  xml.element("Text", "a<b");
  xml.etag("ETag", "abc-1");
  xml.empty("None");
  xml.close("Root");
  EXPECT_EQ(
      out,
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<Root "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Size>18446744073709551615</Size><Count>7</Count>"
      "<Flag>true</Flag><Text>a&lt;b</Text><ETag>&quot;abc-1&quot;</ETag><None/></Root>");
}

TEST(XmlWriter, Escapes) {
  EXPECT_EQ(escaped("plain key/with-._~ things"), "plain key/with-._~ things");
  EXPECT_EQ(escaped("&<>\"'"), "&amp;&lt;&gt;&quot;&apos;");
  EXPECT_EQ(escaped("a\tb\nc\rd\x7F"), "a&#x9;b&#xa;c&#xd;d&#x7f;");
  EXPECT_EQ(escaped("caf\xC3\xA9 \xF0\x9F\x98\x80"), "caf\xC3\xA9 \xF0\x9F\x98\x80");
}

// Plain text is copied 32 bytes at a time: whatever stands wherever comes out the same.
TEST(XmlWriter, EscapesAtEveryPlace) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"&", "&amp;"},           {"'", "&apos;"},
                                                                 {"\x1f", "&#x1f;"},       {"\x7f", "&#x7f;"},
                                                                 {"\xC3\xA9", "\xC3\xA9"}, {"~", "~"}};
  for (const auto& [special, expected] : cases) {
    for (size_t size = 0; size < 100; ++size) {
      const std::string plain(size, 'a');
      for (size_t at = 0; at <= size; ++at) {
        const std::string text = plain.substr(0, at) + std::string(special) + plain.substr(at);
        ASSERT_EQ(escaped(text), plain.substr(0, at) + std::string(expected) + plain.substr(at))
            << size << ' ' << at;
      }
    }
  }
  EXPECT_EQ(escaped(std::string(100, '"')).size(), 600U);
}

TEST(XmlWriter, Fragment) {
  std::string out = "<Root>";
  XmlWriter(out, XmlFragment{}).element("a", "<");
  EXPECT_EQ(out, "<Root><a>&lt;</a>");
}

TEST(XmlWriter, IllegalCharacters) {
  EXPECT_EQ(escaped("a\x01z"), "a&#x1;z");
  EXPECT_EQ(escaped("a\x01z", IllegalCharacters::replace), "a\xEF\xBF\xBDz");
  EXPECT_EQ(escaped("\xEF\xBF\xBE\xEF\xBF\xBF"), "&#xfffe;&#xffff;");
  EXPECT_EQ(escaped("\xEF\xBF\xBE", IllegalCharacters::replace), "\xEF\xBF\xBD");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\xEF\xBF\xBD") << "no reference to NUL exists";
}

TEST(XmlWriter, BytesThatAreNotUtf8) {
  EXPECT_EQ(escaped("\xFFz"), "\xEF\xBF\xBDz");
  EXPECT_EQ(escaped("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(escaped("\xC3<"), "\xEF\xBF\xBD&lt;") << "a cut character does not swallow what follows";
  EXPECT_EQ(escaped("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace fb::s3
