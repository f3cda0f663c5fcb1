// SPDX-License-Identifier: Apache-2.0
#include "s3/uri.h"

#include <gtest/gtest.h>

#include <vector>

namespace fb::s3 {
namespace {

TEST(Uri, Decode) {
  EXPECT_EQ(decode_path("/a%20b+c%2Fd"), "/a b+c/d");
  EXPECT_EQ(decode_query("a%20b+c%2fd"), "a b c/d");
  EXPECT_EQ(decode_path(""), "");
  EXPECT_EQ(decode_path("%00"), std::string(1, '\0'));
  EXPECT_EQ(decode_path("%25"), "%");
  EXPECT_EQ(decode_path("%2525"), "%25");
  for (const std::string_view bad : {"%", "%2", "a%", "a%2", "%zz", "%2g", "%g2", "%%20", "%+1", "% 1"}) {
    EXPECT_FALSE(decode_path(bad)) << bad;
    EXPECT_FALSE(decode_query(bad)) << bad;
  }
}

TEST(Uri, DecodesInPlace) {
  std::string text = "%61%62c%64";
  const auto size = percent_decode(text, UriPart::path, text.data());
  ASSERT_TRUE(size);
  EXPECT_EQ(text.substr(0, *size), "abcd");
}

TEST(Uri, Encode) {
  EXPECT_EQ(uri_encode("/a b/c+d~e-f_g.h", Slash::keep), "/a%20b/c%2Bd~e-f_g.h");
  EXPECT_EQ(uri_encode("/a=&?", Slash::encode), "%2Fa%3D%26%3F");
  EXPECT_EQ(uri_encode("\xc3\xa9", Slash::keep), "%C3%A9");
  EXPECT_EQ(uri_encode(std::string_view("\0\x7f", 2), Slash::keep), "%00%7F");
}

std::optional<std::string> normalize(std::string_view text, UriPart part, Slash slash) {
  std::string out(kUriEncodeGrowth * text.size(), '\0');
  const char* end = uri_normalize(text, part, slash, out.data());
  if (!end) return std::nullopt;
  return out.substr(0, end - out.data());
}

TEST(Uri, NormalizeMakesEverySpellingOne) {
  EXPECT_EQ(normalize("/%61%2fb+c*!%c3%a9", UriPart::path, Slash::keep), "/a/b%2Bc%2A%21%C3%A9");
  EXPECT_EQ(normalize("/a+b", UriPart::query, Slash::encode), "%2Fa%20b");
  EXPECT_EQ(normalize("a%2", UriPart::query, Slash::encode), std::nullopt);
  for (int c = 0; c < 256; ++c) {
    const std::string plain(1, static_cast<char>(c));
    const std::string encoded = uri_encode(plain, Slash::encode);
    EXPECT_EQ(normalize(encoded, UriPart::query, Slash::encode), encoded);
    EXPECT_EQ(decode_query(encoded), plain);
  }
}

TEST(Uri, Utf8) {
  for (const std::string_view good :
       {"", "plain ascii text over eight", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "1234567\xc3\xa9",
        "12345678\xe2\x82\xac"
        "12345678"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
        "12345678\xc3", "\xf0\x90\x80"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << bad;
  }
}

TEST(Uri, QueryItems) {
  const QueryView query("list-type=2&prefix=a%2Fb&&delete&empty=&x=1=2&x=3&%70lus+name=v&");
  std::vector<std::string> seen;
  for (const QueryItem& item : query) {
    seen.push_back(std::string(item.name) + (item.has_equals ? "=" : "!") + std::string(item.value));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"list-type=2", "prefix=a%2Fb", "delete!", "empty=", "x=1=2",
                                            "x=3", "%70lus+name=v"}));
  EXPECT_EQ(query.get("prefix"), "a%2Fb");
  EXPECT_EQ(query.get("delete"), "");
  EXPECT_EQ(query.get("empty"), "");
  EXPECT_EQ(query.get("x"), "1=2");
  EXPECT_EQ(query.get("plus name"), "v");
  EXPECT_EQ(query.get("pre"), std::nullopt);
  EXPECT_EQ(query.get("prefixes"), std::nullopt);
  EXPECT_FALSE(query.has("Delete"));
  EXPECT_TRUE(QueryView("").empty());
  EXPECT_TRUE(QueryView("&&").empty());
  EXPECT_FALSE(QueryView("=v").empty());
  EXPECT_FALSE(QueryView("%zz=1").has("%zz"));
  EXPECT_FALSE(QueryView("%41=1").has("%41"));
  EXPECT_FALSE(QueryView("a+b=1").has("a+b"));
  EXPECT_TRUE(QueryView("a%25Fm=1").has("a%Fm"));
}

}  // namespace
}  // namespace fb::s3
