// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

// The spellings of time in S3, as pure functions of Unix time in UTC. Years 1 to 9999; a text with a day that
// does not exist, or anything before or behind the time, is not parsed.

namespace fb::s3 {

// 20260102T030405Z: x-amz-date and the string to sign.
constexpr size_t kAmzDateLength = 16;
std::optional<int64_t> parse_amz_date(std::string_view text);
char* format_amz_date(int64_t unix_seconds, char* out);  // writes kAmzDateLength characters, returns the end
std::string format_amz_date(int64_t unix_seconds);

// Fri, 02 Jan 2026 03:04:05 GMT. Parsing takes the three forms of RFC 9110 (IMF-fixdate, RFC 850, asctime),
// as recipients must, and the first also with a zone of -0000, +0000, UTC, UT or Z; a two-digit year is the
// latest one at most 50 years after `now_seconds`. The name of the weekday need not fit the date.
constexpr size_t kHttpDateLength = 29;
std::optional<int64_t> parse_http_date(std::string_view text, int64_t now_seconds);
char* format_http_date(int64_t unix_seconds,
                       char* out);  // writes kHttpDateLength characters, returns the end
std::string format_http_date(int64_t unix_seconds);

// 2026-01-02T03:04:05.678Z, as in S3's XML. Parsing takes any number of fraction digits, also none, and 'Z'
// only; what is beyond milliseconds is cut off.
constexpr size_t kIso8601Length = 24;
std::optional<int64_t> parse_iso8601_ms(std::string_view text);
char* format_iso8601_ms(int64_t unix_ms, char* out);  // writes kIso8601Length characters, returns the end
std::string format_iso8601_ms(int64_t unix_ms);

// For many times of whole seconds, mostly of one day: its date is worked out once.
class Iso8601Writer {
 public:
  char* write(int64_t unix_seconds, char* out);  // writes kIso8601Length characters, returns the end

 private:
  static constexpr size_t kDateLength = 11;  // "2013-05-24T"
  int64_t day_ = std::numeric_limits<int64_t>::min();
  std::array<char, kDateLength> date_{};
};

}  // namespace fb::s3
