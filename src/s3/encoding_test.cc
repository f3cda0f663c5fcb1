// SPDX-License-Identifier: Apache-2.0
#include "s3/encoding.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace fb::s3 {
namespace {

TEST(Encoding, Hex) {
  const uint8_t bytes[] = {0x00, 0x1f, 0xab, 0xff};
  EXPECT_EQ(hex_encode(bytes), "001fabff");
  uint8_t back[4];
  EXPECT_TRUE(hex_decode("001FaBff", back));
  EXPECT_TRUE(std::ranges::equal(bytes, back));
  EXPECT_FALSE(hex_decode("001fabf", back));
  EXPECT_FALSE(hex_decode("001fabff0", back));
  EXPECT_FALSE(hex_decode("001fabfg", back));
  EXPECT_FALSE(hex_decode("g01fabff", back));
  EXPECT_TRUE(is_lower_hex("09af"));
  EXPECT_FALSE(is_lower_hex("09aF"));
  EXPECT_FALSE(is_lower_hex("09ag"));
}

TEST(Encoding, HexOfEveryLength) {
  std::vector<uint8_t> bytes;
  std::string expected;
  for (unsigned i = 0; i < 300; ++i) {
    EXPECT_EQ(hex_encode(bytes), expected);
    bytes.push_back(static_cast<uint8_t>(i * 7));
    expected += fmt::format("{:02x}", bytes.back());
  }
}

TEST(Encoding, Base64OfRfc4648) {
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe\xfd", "//79"}};
  for (const auto& [plain, encoded] : cases) {
    EXPECT_EQ(base64_encode(as_bytes(plain)), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
  }
}

TEST(Encoding, Base64IsStrict) {
  for (const std::string_view bad : {"Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "Zm 9",
                                     "Zm9v\n", "Zm-_", "=m9v", "Z=9v", "Zm=v"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  uint8_t small[2];
  EXPECT_FALSE(base64_decode("Zm9v", small));
  EXPECT_EQ(base64_decode("Zm8=", small), 2u);
}

TEST(Encoding, Base64OfEveryLengthComesBack) {
  std::string plain;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(as_bytes(plain))), plain);
    plain.push_back(static_cast<char>(i * 37));
  }
}

TEST(Encoding, ConstantTimeEqual) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("abc", "bbc"));
  EXPECT_FALSE(constant_time_equal("abc", "abcd"));
  const std::string text = "a text of more than two words";
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 0x80);
    EXPECT_FALSE(constant_time_equal(text, other)) << i;
  }
  EXPECT_TRUE(constant_time_equal(text, std::string(text)));
}

}  // namespace
}  // namespace fb::s3
