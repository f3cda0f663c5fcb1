// SPDX-License-Identifier: Apache-2.0
#include "s3/request/list_position.h"

#include <gtest/gtest.h>

#include "s3/request/route.h"

namespace fb::s3 {
namespace {

TEST(Token, RoundTrips) {
  for (const std::string& after :
       {std::string(), std::string("a"), std::string("a/b/\xC3\xA9 +&"), std::string(kKeySizeMax, '\xFF')}) {
    for (bool past_prefix : {false, true}) {
      const std::string token = encode_token({after, past_prefix});
      EXPECT_EQ(token.find_first_of("+/=&? "), std::string::npos);
      EXPECT_EQ(decode_token(token), (ListPosition{after, past_prefix}));
    }
  }
}

TEST(Token, RefusesWhatItDidNotMake) {
  const std::string token = encode_token({"some/key", true});
  for (size_t size = 0; size < token.size(); ++size)
    EXPECT_FALSE(decode_token(token.substr(0, size))) << size;
  for (size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(decode_token(other)) << i;
  }
  EXPECT_FALSE(decode_token("some/key"));
  EXPECT_FALSE(decode_token(token + "="));
  EXPECT_FALSE(decode_token(std::string(100'000, 'A')));
}

TEST(Marker, CommonPrefixesStandForTheirKeys) {
  EXPECT_EQ(position_of_marker("a/", "", "/"), (ListPosition{"a/", true}));
  EXPECT_EQ(position_of_marker("a/b", "", "/"), (ListPosition{"a/b", false}));
  EXPECT_EQ(position_of_marker("a/b/", "", "/"), (ListPosition{"a/b/", false}))
      << "not a common prefix at this level";
  EXPECT_EQ(position_of_marker("a/b/", "a/", "/"), (ListPosition{"a/b/", true}));
  EXPECT_EQ(position_of_marker("a/", "a/", "/"), (ListPosition{"a/", false}));
  EXPECT_EQ(position_of_marker("a/", "", ""), (ListPosition{"a/", false}));
  EXPECT_EQ(position_of_marker("a--b--", "", "--"), (ListPosition{"a--b--", false}));
  EXPECT_EQ(position_of_marker("a--", "", "--"), (ListPosition{"a--", true}));
  EXPECT_EQ(position_of_marker("", "", "/"), ListPosition{});
}

}  // namespace
}  // namespace fb::s3
