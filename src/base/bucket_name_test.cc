// SPDX-License-Identifier: Apache-2.0
#include "base/bucket_name.h"

#include <gtest/gtest.h>

#include <string>

namespace fb {
namespace {

TEST(BucketName, Accepts) {
  for (std::string_view name : {"abc", "a.b.c", "my-bucket", "0bucket9", "a--b", "1.2.3", "1.2.3.4.5",
                                "1234.1.1.1", "s3alias", "mrap", "xn-a"}) {
    EXPECT_TRUE(is_valid_bucket_name(name)) << name;
  }
  EXPECT_TRUE(is_valid_bucket_name(std::string(63, 'a')));
}

TEST(BucketName, Refuses) {
  for (std::string_view name : {"",
                                "ab",
                                "Abc",
                                "a_b",
                                "a b",
                                "-abc",
                                "abc-",
                                ".abc",
                                "abc.",
                                "a..b",
                                "a.-b",
                                "a-.b",
                                "192.168.5.4",
                                "999.999.999.999",
                                "xn--abc",
                                "sthree-abc",
                                "amzn-s3-demo-x",
                                "abc-s3alias",
                                "abc--ol-s3",
                                "abc.mrap",
                                "abc--x-s3",
                                "abc--table-s3",
                                "a/b",
                                "a%62",
                                "caf\xC3\xA9"}) {
    EXPECT_FALSE(is_valid_bucket_name(name)) << name;
  }
  EXPECT_FALSE(is_valid_bucket_name(std::string(64, 'a')));
  EXPECT_FALSE(is_valid_bucket_name(std::string_view("ab\0c", 4)));
}

}  // namespace
}  // namespace fb
