// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace fb::s3 {
namespace {

template <class Hash>
std::string hex_of(std::string_view text) {
  Hash hash;
  hash.update(as_bytes(text));
  return hex_encode(hash.finish());
}

// RFC 1321, FIPS 180-4.
TEST(Hash, PublishedVectors) {
  EXPECT_EQ(hex_of<Md5>(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex_of<Md5>("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(hex_of<Sha1>("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of<Sha256>(""), kEmptySha256Hex);
  EXPECT_EQ(hex_of<Sha256>("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(md5(as_bytes("abc"))), hex_of<Md5>("abc"));
  EXPECT_EQ(hex_encode(sha256("abc")), hex_of<Sha256>("abc"));
}

TEST(Hash, SplitsAndCopiesDoNotMatter) {
  const std::string text(300, 'q');
  const Sha256Digest whole = sha256(text);
  for (size_t split = 0; split <= text.size(); ++split) {
    Sha256 first;
    first.update(std::string_view(text).substr(0, split));
    Sha256 fork = first;
    fork.update("something else");
    first.update(std::string_view(text).substr(split));
    EXPECT_EQ(first.finish(), whole);
    EXPECT_NE(fork.finish(), whole);
  }
}

// RFC 4231, cases 1, 2, 6.
TEST(Hash, HmacSha256) {
  const HmacSha256Key one(std::string(20, '\x0b'));
  EXPECT_EQ(hex_encode(one.mac("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_encode(one.mac("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_encode(HmacSha256Key("Jefe").mac("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_encode(HmacSha256Key(std::string(131, '\xaa'))
                           .mac("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace fb::s3
