// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

constexpr UnixTime kTime{1'795'352'707'123'000'000};

TEST(Log, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(format_log_line(LogFormat::text, kTime, LogLevel::warn, "disk full",
                            {{"path", "/a b"}, {"bytes", 12}, {"fs", "ext4"}}),
            "2026-11-22T13:05:07.123Z WARN  disk full  path=\"/a b\" bytes=12 fs=ext4");
}

TEST(Log, JsonKeepsNumbersAndEscapes) {
  EXPECT_EQ(format_log_line(LogFormat::json, kTime, LogLevel::info, "a\"b", {{"key", "x\ny\x01"}, {"n", 3}}),
            "{\"time\":\"2026-11-22T13:05:07.123Z\",\"level\":\"info\",\"message\":\"a\\\"b\",\"key\":"
            "\"x\\ny\\u0001\",\"n\":3}");
}

TEST(Log, HostileTextStaysOneLineOfUtf8) {
  const std::string line =
      format_log_line(LogFormat::text, kTime, LogLevel::info, "a\r\nb\xff", {{"k", "\x1b[31m\n"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\r'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_NE(line.find("\xef\xbf\xbd"), std::string::npos);
}

TEST(Log, NamesParse) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::warn);
  EXPECT_EQ(parse_log_level("loud"), std::nullopt);
  EXPECT_EQ(parse_log_format("json"), LogFormat::json);
}

}  // namespace
}  // namespace fb
