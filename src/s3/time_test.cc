// SPDX-License-Identifier: Apache-2.0
#include "s3/time.h"

#include <gtest/gtest.h>

#include <limits>

namespace fb::s3 {
namespace {

constexpr int64_t kSample = 784111777;  // 1994-11-06 08:49:37, the example of RFC 9110
constexpr int64_t kNow = 1798761600;    // 2027-01-01

TEST(Time, AmzDate) {
  EXPECT_EQ(format_amz_date(1369353600), "20130524T000000Z");
  EXPECT_EQ(parse_amz_date("20130524T000000Z"), 1369353600);
  EXPECT_EQ(parse_amz_date("19941106T084937Z"), kSample);
  EXPECT_EQ(parse_amz_date("20240229T000000Z"), 1709164800);
  for (const std::string_view bad :
       {"", "20130524T000000", "20130524T000000Zx", "20130524 000000Z", "20130524t000000Z",
        "20130532T000000Z", "20130229T000000Z", "20131301T000000Z", "20130500T000000Z", "20130524T240000Z",
        "20130524T006000Z", "20130524T000061Z", "2013052/T000000Z", "00000101T000000Z", "+0130524T000000Z"}) {
    EXPECT_EQ(parse_amz_date(bad), std::nullopt) << bad;
  }
}

TEST(Time, HttpDateForms) {
  EXPECT_EQ(format_http_date(kSample), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(format_http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kSample);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 -0000", kNow), kSample);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 +0000", kNow), kSample);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 UTC", kNow), kSample);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 UTCX", kNow), std::nullopt);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 +0100", kNow), std::nullopt);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kSample);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994", kNow), kSample);
  EXPECT_EQ(parse_http_date("Wed Nov 16 08:49:37 1994", kNow), kSample + 10 * 86400);
  for (const std::string_view bad :
       {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Nov 1994 08:49:37 GMT", "Xun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun Nov 6 08:49:37 1994", "784111777"}) {
    EXPECT_EQ(parse_http_date(bad, kNow), std::nullopt) << bad;
  }
}

TEST(Time, TwoDigitYearsLieAtMostFiftyYearsAhead) {
  const auto year_of = [](std::string_view text) {
    return format_amz_date(*parse_http_date(text, kNow)).substr(0, 4);
  };
  EXPECT_EQ(year_of("Sunday, 06-Nov-77 08:49:37 GMT"), "2077");
  EXPECT_EQ(year_of("Sunday, 06-Nov-78 08:49:37 GMT"), "1978");
  EXPECT_EQ(year_of("Sunday, 06-Nov-00 08:49:37 GMT"), "2000");
}

TEST(Time, Iso8601) {
  EXPECT_EQ(format_iso8601_ms(kSample * 1000 + 5), "1994-11-06T08:49:37.005Z");
  EXPECT_EQ(format_iso8601_ms(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(parse_iso8601_ms("1994-11-06T08:49:37.005Z"), kSample * 1000 + 5);
  EXPECT_EQ(parse_iso8601_ms("1994-11-06T08:49:37Z"), kSample * 1000);
  EXPECT_EQ(parse_iso8601_ms("1994-11-06T08:49:37.5Z"), kSample * 1000 + 500);
  EXPECT_EQ(parse_iso8601_ms("1994-11-06T08:49:37.123456789Z"), kSample * 1000 + 123);
  for (const std::string_view bad : {"1994-11-06", "1994-11-06T08:49:37", "1994-11-06T08:49:37.Z",
                                     "1994-11-06T08:49:37+00:00", "1994-11-06T08:49:37.x"}) {
    EXPECT_EQ(parse_iso8601_ms(bad), std::nullopt) << bad;
  }
}

TEST(Time, EveryDayComesBack) {
  for (int64_t day = -20000; day < 40000; ++day) {
    const int64_t time = day * 86400 + (day * 7919) % 43200 + 43200;
    ASSERT_EQ(parse_amz_date(format_amz_date(time)), time);
    ASSERT_EQ(parse_http_date(format_http_date(time), kNow), time);
    ASSERT_EQ(parse_iso8601_ms(format_iso8601_ms(time * 1000 + 7)), time * 1000 + 7);
  }
}

TEST(Time, AbsurdTimesAreClamped) {
  EXPECT_EQ(format_amz_date(std::numeric_limits<int64_t>::max()), "99991231T235959Z");
  EXPECT_EQ(format_amz_date(std::numeric_limits<int64_t>::min()), "00010101T000000Z");
}

TEST(Iso8601Writer, IsWhatIsWrittenOneByOne) {
  Iso8601Writer writer;
  for (const int64_t seconds :
       {int64_t{0}, int64_t{86399}, int64_t{86400}, int64_t{1369353600}, int64_t{1369353599}, int64_t{-1},
        int64_t{-86400}, int64_t{-86401}, int64_t{253402300799}, int64_t{1709164800}}) {
    char text[kIso8601Length];
    EXPECT_EQ(std::string(text, writer.write(seconds, text)), format_iso8601_ms(seconds * 1000));
  }
}

}  // namespace
}  // namespace fb::s3
