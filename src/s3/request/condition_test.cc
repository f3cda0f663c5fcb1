// SPDX-License-Identifier: Apache-2.0
#include "s3/request/condition.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fb::s3 {
namespace {

constexpr int64_t kModified = 1767323045;  // Fri, 02 Jan 2026 03:04:05 GMT
constexpr int64_t kNow = kModified + 3600;
constexpr std::string_view kBefore = "Fri, 02 Jan 2026 03:04:04 GMT";
constexpr std::string_view kFuture = "Fri, 02 Jan 2026 04:04:06 GMT";
constexpr std::string_view kSame = "Fri, 02 Jan 2026 03:04:05 GMT";

std::string run(const std::vector<HeaderField>& headers, bool copy = false) {
  RequestHead head;
  head.headers = headers;
  const auto conditions =
      copy ? ReadConditions::of_copy_source(head, kNow) : ReadConditions::of_request(head, kNow);
  switch (conditions.evaluate("abc", kModified)) {
    case ConditionOutcome::proceed:
      return "200";
    case ConditionOutcome::not_modified:
      return "304";
    case ConditionOutcome::failed:
      return "412";
  }
  return "?";
}

TEST(EtagList, Forms) {
  for (std::string_view list :
       {"abc", "\"abc\"", "*", " * ", "x,abc", "\"x\", \"abc\"", "\"a,b\",\"abc\"", "abc,x", ",abc"}) {
    EXPECT_TRUE(etag_list_matches(list, "abc", true)) << list;
  }
  for (std::string_view list :
       {"", "ab", "abcd", "\"ab\"", "\"abc", "x,y", "\"x,abc,y\"", "**", "ABC", ",", "W/\"abc\""}) {
    EXPECT_EQ(etag_list_matches(list, "abc", true), list == "\"abc") << list;
  }
  EXPECT_TRUE(etag_list_matches("W/\"abc\"", "abc", false));
}

TEST(ReadConditions, Single) {
  EXPECT_EQ(run({}), "200");
  EXPECT_EQ(run({{"If-Match", "\"abc\""}}), "200");
  EXPECT_EQ(run({{"If-Match", "x"}}), "412");
  EXPECT_EQ(run({{"If-Match", "x"}, {"if-match", "abc"}}), "200") << "repeated headers are one list";
  EXPECT_EQ(run({{"If-Match", ""}}), "412");
  EXPECT_EQ(run({{"If-None-Match", "abc"}}), "304");
  EXPECT_EQ(run({{"If-None-Match", "*"}}), "304");
  EXPECT_EQ(run({{"If-None-Match", "x"}}), "200");
  EXPECT_EQ(run({{"If-Modified-Since", kBefore}}), "200");
  EXPECT_EQ(run({{"If-Modified-Since", kSame}}), "304");
  EXPECT_EQ(run({{"If-Unmodified-Since", kBefore}}), "412");
  EXPECT_EQ(run({{"If-Unmodified-Since", kSame}}), "200");
  EXPECT_EQ(run({{"If-Modified-Since", "yesterday"}}), "200");
  EXPECT_EQ(run({{"If-Modified-Since", kFuture}}), "200") << "a time to come does not count";
  EXPECT_EQ(run({{"x-amz-copy-source-If-Modified-Since", kFuture}}, true), "200");
  EXPECT_EQ(run({{"If-Unmodified-Since", "0"}}), "200");
}

TEST(ReadConditions, Precedence) {
  EXPECT_EQ(run({{"If-Match", "abc"}, {"If-Unmodified-Since", kBefore}}), "200");
  EXPECT_EQ(run({{"If-Match", "x"}, {"If-Unmodified-Since", kSame}}), "412");
  EXPECT_EQ(run({{"If-None-Match", "abc"}, {"If-Modified-Since", kBefore}}), "304");
  EXPECT_EQ(run({{"If-None-Match", "x"}, {"If-Modified-Since", kSame}}), "200");
  EXPECT_EQ(run({{"If-Match", "abc"}, {"If-None-Match", "abc"}}), "304");
  EXPECT_EQ(run({{"If-Match", "x"}, {"If-None-Match", "x"}}), "412");
}

TEST(ReadConditions, CopySource) {
  EXPECT_EQ(run({{"If-None-Match", "abc"}}, true), "200") << "only the source's headers count";
  EXPECT_EQ(run({{"x-amz-copy-source-if-none-match", "abc"}}, true), "412");
  EXPECT_EQ(run({{"x-amz-copy-source-if-modified-since", kSame}}, true), "412");
  EXPECT_EQ(
      run({{"x-amz-copy-source-if-match", "abc"}, {"x-amz-copy-source-if-unmodified-since", kBefore}}, true),
      "200");
  EXPECT_EQ(run({{"x-amz-copy-source-if-match", "x"}}, true), "412");
}

TEST(ReadConditions, Rename) {
  const auto decide = [](const std::vector<HeaderField>& headers, bool source, bool absent = false) {
    RequestHead head;
    head.headers = headers;
    const auto conditions = source ? ReadConditions::of_rename_source(head, kNow)
                                   : ReadConditions::of_rename_destination(head, kNow);
    const auto decision = absent ? conditions.decide_absent() : conditions.decide("abc", kModified);
    return decision.outcome == ConditionOutcome::proceed ? std::string() : std::string(decision.header);
  };
  const std::vector<HeaderField> free = {{"If-None-Match", "*"}};
  EXPECT_EQ(decide(free, false), "If-None-Match");
  EXPECT_EQ(decide(free, false, true), "");
  EXPECT_EQ(decide(free, true), "") << "only the source's headers count";
  EXPECT_EQ(decide({{"If-Match", "abc"}}, false), "");
  EXPECT_EQ(decide({{"If-Match", "*"}}, false, true), "If-Match");
  EXPECT_EQ(decide({{"If-Modified-Since", kSame}}, false), "If-Modified-Since");
  EXPECT_EQ(decide({{"If-Modified-Since", kBefore}}, false), "");
  EXPECT_EQ(decide({{"If-Modified-Since", kBefore}}, false, true), "If-Modified-Since");
  EXPECT_EQ(decide({{"If-Unmodified-Since", kBefore}}, false), "If-Unmodified-Since");
  EXPECT_EQ(decide({{"If-Unmodified-Since", kBefore}}, false, true), "");
  EXPECT_EQ(decide({{"x-amz-rename-source-if-match", "x"}}, true), "x-amz-rename-source-If-Match");
  EXPECT_EQ(decide({{"x-amz-rename-source-if-none-match", "*"}}, true), "x-amz-rename-source-If-None-Match");
  EXPECT_EQ(decide({{"x-amz-rename-source-if-modified-since", kBefore}}, true), "");
}

TEST(IfRange, NeedsTheSameObject) {
  const auto holds = [](std::string_view value) { return if_range_holds(value, "abc", kModified, kNow); };
  for (std::string_view value :
       {std::string_view(), std::string_view("\"abc\""), std::string_view("abc"), kSame}) {
    EXPECT_TRUE(holds(value)) << value;
  }
  for (std::string_view value : {std::string_view("\"abd\""), std::string_view("W/\"abc\""), kBefore,
                                 std::string_view("\"abc\",\"x\""), std::string_view("yesterday")}) {
    EXPECT_FALSE(holds(value)) << value;
  }
}

TEST(ReadConditions, NameWhatFailed) {
  const auto failing = [](const std::vector<HeaderField>& headers, bool copy) {
    RequestHead head;
    head.headers = headers;
    const auto conditions =
        copy ? ReadConditions::of_copy_source(head, kNow) : ReadConditions::of_request(head, kNow);
    return std::string(conditions.decide("abc", kModified).header);
  };
  EXPECT_EQ(failing({}, false), "");
  EXPECT_EQ(failing({{"if-match", "abc"}, {"if-none-match", "x"}}, false), "");
  EXPECT_EQ(failing({{"if-match", "x"}, {"if-none-match", "abc"}}, false), "If-Match");
  EXPECT_EQ(failing({{"if-none-match", "abc"}}, false), "If-None-Match");
  EXPECT_EQ(failing({{"if-unmodified-since", kBefore}}, false), "If-Unmodified-Since");
  EXPECT_EQ(failing({{"if-modified-since", kSame}}, false), "If-Modified-Since");
  EXPECT_EQ(failing({{"X-Amz-Copy-Source-If-Match", "x"}}, true), "x-amz-copy-source-If-Match");
}

}  // namespace
}  // namespace fb::s3
