// SPDX-License-Identifier: Apache-2.0
#include "s3/request/write_condition.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fb::s3 {
namespace {

using Kind = WriteCondition::Kind;

S3Result<WriteCondition> parse(const std::vector<HeaderField>& headers) {
  RequestHead head;
  head.headers = headers;
  return WriteCondition::of_request(head);
}

std::string code(const std::vector<HeaderField>& headers) {
  const auto parsed = parse(headers);
  return parsed ? "ok" : std::string(parsed.error().code());
}

TEST(WriteCondition, NoneAndIfNoneMatch) {
  EXPECT_TRUE(parse({{"Host", "x"}, {"x-amz-copy-source-if-match", "e"}})->empty());
  const auto free = parse({{"if-NONE-match", "*"}});
  ASSERT_TRUE(free);
  EXPECT_EQ(free->kind, Kind::must_not_exist);
  EXPECT_EQ(free->header(), "If-None-Match");
  for (std::string_view value : {"", "\"abc\"", "abc", "\"*\"", "**", "*, *"}) {
    EXPECT_EQ(code({{"If-None-Match", value}}), "NotImplemented") << value;
  }
}

TEST(WriteCondition, IfMatch) {
  for (std::string_view value : {"abc-2", "\"abc-2\"", " \"abc-2\" "}) {
    const auto same = parse({{"If-Match", value}});
    ASSERT_TRUE(same) << value;
    EXPECT_EQ(same->kind, Kind::etag_is);
    EXPECT_EQ(same->etag, "abc-2");
    EXPECT_EQ(same->header(), "If-Match");
  }
  EXPECT_EQ(parse({{"If-Match", "*"}})->kind, Kind::must_exist);
  // These can match nothing, which is what they mean.
  EXPECT_EQ(parse({{"If-Match", "W/\"abc\""}})->etag, "W/\"abc\"");
  EXPECT_EQ(parse({{"If-Match", ""}})->kind, Kind::etag_is);
  EXPECT_EQ(parse({{"If-Match", "\""}})->etag, "\"");
}

TEST(WriteCondition, WhatIsNotBuiltIsRefused) {
  EXPECT_EQ(code({{"If-Match", "a, b"}}), "NotImplemented");
  EXPECT_EQ(code({{"If-Match", "\"a\",\"b\""}}), "NotImplemented");
  EXPECT_EQ(code({{"If-Match", "a"}, {"If-Match", "b"}}), "NotImplemented");
  EXPECT_EQ(code({{"If-Match", "a"}, {"If-None-Match", "*"}}), "NotImplemented");
  EXPECT_EQ(code({{"If-None-Match", "*"}, {"If-Match", "a"}}), "NotImplemented");
  for (std::string_view name : {"If-Modified-Since", "If-Unmodified-Since", "X-Amz-If-Match-Size",
                                "x-amz-if-match-last-modified-time"}) {
    EXPECT_EQ(code({{name, "Fri, 02 Jan 2026 03:04:05 GMT"}}), "NotImplemented") << name;
  }
  const auto refused = parse({{"if-match", "a"}, {"if-none-match", "*"}});
  ASSERT_EQ(refused.error().elements.size(), 2U) << "Header and additionalMessage";
  EXPECT_EQ(refused.error().elements[0].second, "If-None-Match");
}

TEST(WriteCondition, AreFound) {
  const auto find = [](std::string_view name) {
    const std::vector<HeaderField> headers = {{"Host", "x"}, {name, "*"}};
    RequestHead head;
    head.headers = headers;
    return std::string(find_write_condition(head));
  };
  EXPECT_EQ(find("if-none-match"), "If-None-Match");
  EXPECT_EQ(find("X-Amz-If-Match-Size"), "x-amz-if-match-size");
  EXPECT_EQ(find("x-amz-copy-source-if-match"), "");
}

}  // namespace
}  // namespace fb::s3
