// SPDX-License-Identifier: Apache-2.0
#include "s3/request/range.h"

#include <gtest/gtest.h>

namespace fb::s3 {
namespace {

constexpr ResolvedRange part(uint64_t offset, uint64_t size) { return {RangeKind::partial, offset, size}; }
constexpr ResolvedRange whole(uint64_t size) { return {RangeKind::whole, 0, size}; }
constexpr ResolvedRange kUnsatisfiable{RangeKind::unsatisfiable, 0, 0};

TEST(Range, Satisfiable) {
  EXPECT_EQ(resolve_range("bytes=0-9", 100), part(0, 10));
  EXPECT_EQ(resolve_range("bytes=0-0", 1), part(0, 1));
  EXPECT_EQ(resolve_range("BYTES=5-5", 100), part(5, 1));
  EXPECT_EQ(resolve_range("bytes=10-", 100), part(10, 90));
  EXPECT_EQ(resolve_range("bytes=90-200", 100), part(90, 10));
  EXPECT_EQ(resolve_range("bytes=0-99999999999999999999999999", 100), part(0, 100));
  EXPECT_EQ(resolve_range("bytes=-10", 100), part(90, 10));
  EXPECT_EQ(resolve_range("bytes=-1000", 100), part(0, 100));
}

TEST(Range, Unsatisfiable) {
  EXPECT_EQ(resolve_range("bytes=100-", 100), kUnsatisfiable);
  EXPECT_EQ(resolve_range("bytes=100-200", 100), kUnsatisfiable);
  EXPECT_EQ(resolve_range("bytes=99999999999999999999999999-", 100), kUnsatisfiable);
  EXPECT_EQ(resolve_range("bytes=0-", 0), kUnsatisfiable);
  EXPECT_EQ(resolve_range("bytes=0-0", 0), kUnsatisfiable);
  EXPECT_EQ(resolve_range("bytes=-0", 100), kUnsatisfiable);
}

TEST(Range, IgnoredIsWhole) {
  for (std::string_view text :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1-2,4-5", "bytes= 1-2",
        "bytes=1-2 ", "items=0-1", "bytes=1", "bytes=--1", "bytes=+1-2", "0-9", "bytes=1-2-3"}) {
    EXPECT_EQ(resolve_range(text, 100), whole(100)) << text;
  }
  EXPECT_EQ(resolve_range("bytes=-5", 0), whole(0)) << "a suffix of an empty object is the empty object";
}

TEST(Range, ContentRange) {
  EXPECT_EQ(content_range(part(5, 10), 100), "bytes 5-14/100");
  EXPECT_EQ(content_range(kUnsatisfiable, 100), "bytes */100");
  EXPECT_LE(content_range(part(UINT64_MAX - 1, 1), UINT64_MAX).size(), kContentRangeSizeMax);
}

TEST(Range, CopyRange) {
  EXPECT_EQ(parse_copy_range("bytes=0-9"), (CopyRange{0, 9}));
  for (std::string_view text : {"", "bytes=-9", "bytes=0-", "bytes=9-0", "0-9", "bytes=0-9,11-12",
                                "bytes=0-99999999999999999999999"}) {
    EXPECT_FALSE(parse_copy_range(text)) << text;
  }
}

}  // namespace
}  // namespace fb::s3
