// SPDX-License-Identifier: Apache-2.0
#include "s3/response/etag.h"

#include <gtest/gtest.h>

namespace fb::s3 {
namespace {

TEST(Etag, Text) {
  const Etag empty{md5(as_bytes("")), 0};
  EXPECT_EQ(empty.text(), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(empty.quoted(), "\"d41d8cd98f00b204e9800998ecf8427e\"");
  EXPECT_EQ((Etag{empty.md5, UINT32_MAX}).text().size(), Etag::kTextSizeMax);
}

TEST(Etag, OfParts) {
  const Md5Digest parts[] = {md5(as_bytes("a")), md5(as_bytes("b"))};
  std::string joined(reinterpret_cast<const char*>(parts), sizeof(parts));
  EXPECT_EQ(Etag::of_parts(parts), (Etag{md5(as_bytes(joined)), 2}));
}

TEST(Etag, Parse) {
  const Etag etag{md5(as_bytes("x")), 12};
  EXPECT_EQ(Etag::parse(etag.text()), etag);
  EXPECT_EQ(Etag::parse(etag.quoted()), etag);
  EXPECT_EQ(Etag::parse("D41D8CD98F00B204E9800998ECF8427E")->part_count, 0U);
  for (std::string_view text :
       {"", "\"\"", "x", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427e-",
        "d41d8cd98f00b204e9800998ecf8427e-0", "d41d8cd98f00b204e9800998ecf8427e-1x",
        "d41d8cd98f00b204e9800998ecf8427e0", "\"d41d8cd98f00b204e9800998ecf8427e"}) {
    EXPECT_FALSE(Etag::parse(text)) << text;
  }
}

}  // namespace
}  // namespace fb::s3
