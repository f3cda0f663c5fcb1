// SPDX-License-Identifier: Apache-2.0
#include "s3/time.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "base/ascii.h"
#include "s3/put_text.h"

namespace fb::s3 {
namespace {

constexpr int64_t kSecondsPerDay = 86400;
constexpr int kYearMin = 1;
constexpr int kYearMax = 9999;
constexpr int kTwoDigitYearHorizon = 50;

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

struct CivilTime {
  int year = 0;
  int month = 0;  // 1 to 12
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int weekday = 0;  // 0 is Sunday; not read by to_unix()
};

std::optional<int64_t> to_unix(const CivilTime& time) {
  if (time.year < kYearMin || time.year > kYearMax) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(time.year), std::chrono::month(time.month),
                                         std::chrono::day(time.day)};
  if (!date.ok() || time.hour > 23 || time.minute > 59) return std::nullopt;
  // A leap second is read as the second that follows it, as Unix time does.
  if (time.second > 60) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * kSecondsPerDay + time.hour * 3600 + time.minute * 60 + time.second;
}

CivilTime to_civil(int64_t unix_seconds) {
  constexpr int64_t kFirst = -62135596800;  // 0001-01-01
  constexpr int64_t kLast = 253402300799;   // 9999-12-31
  unix_seconds = std::clamp(unix_seconds, kFirst, kLast);
  const int64_t days = unix_seconds / kSecondsPerDay - (unix_seconds % kSecondsPerDay < 0 ? 1 : 0);
  const int in_day = static_cast<int>(unix_seconds - days * kSecondsPerDay);
  const std::chrono::sys_days day{std::chrono::days(days)};
  const std::chrono::year_month_day date{day};
  return {.year = static_cast<int>(date.year()),
          .month = static_cast<int>(static_cast<unsigned>(date.month())),
          .day = static_cast<int>(static_cast<unsigned>(date.day())),
          .hour = in_day / 3600,
          .minute = in_day / 60 % 60,
          .second = in_day % 60,
          .weekday = static_cast<int>(std::chrono::weekday(day).c_encoding())};
}

// The zone of an HTTP date, its two spellings in mail, and what Go's RFC1123 makes of it (rclone, goamz):
// clients sign their Date in any of them.
constexpr std::string_view kUtcNames[] = {"GMT", "-0000", "+0000", "UTC", "UT", "Z"};

// Takes the parts of a date off the front of a text. After the first mismatch everything fails.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool at_end() const { return ok_ && rest_.empty(); }

  Scanner& literal(std::string_view expected) {
    ok_ = ok_ && rest_.starts_with(expected);
    if (ok_) rest_.remove_prefix(expected.size());
    return *this;
  }
  Scanner& digits(size_t count, int& value) {
    if (rest_.size() < count) ok_ = false;
    if (!ok_) return *this;
    value = 0;
    for (const char c : rest_.substr(0, count)) {
      ok_ = ok_ && ascii_is_digit(c);
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return *this;
  }
  // A day of the month padded with a space, as in asctime().
  Scanner& padded_day(int& value) {
    if (!rest_.starts_with(' ')) return digits(2, value);
    return literal(" ").digits(1, value);
  }
  Scanner& month(int& value) {
    const auto found = std::ranges::find(kMonths, rest_.substr(0, 3));
    ok_ = ok_ && found != kMonths.end();
    if (ok_) rest_.remove_prefix(3);
    value = static_cast<int>(found - kMonths.begin()) + 1;
    return *this;
  }
  Scanner& one_of(std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
      if (rest_.starts_with(name)) return literal(name);
    }
    ok_ = false;
    return *this;
  }
  Scanner& clock(CivilTime& time) {
    return digits(2, time.hour).literal(":").digits(2, time.minute).literal(":").digits(2, time.second);
  }
  // ".678" and beyond, in milliseconds; 0 where there is no fraction.
  Scanner& fraction_ms(int& value) {
    value = 0;
    if (!ok_ || !rest_.starts_with('.')) return *this;
    rest_.remove_prefix(1);
    int weight = 100;
    ok_ = !rest_.empty() && ascii_is_digit(rest_.front());
    for (; !rest_.empty() && ascii_is_digit(rest_.front()); rest_.remove_prefix(1), weight /= 10) {
      value += weight * (rest_.front() - '0');
    }
    return *this;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<int64_t> parse_imf_fixdate(std::string_view text) {
  CivilTime time;
  Scanner scan(text);
  scan.one_of(kDays).literal(", ").digits(2, time.day).literal(" ").month(time.month).literal(" ");
  scan.digits(4, time.year).literal(" ").clock(time).literal(" ").one_of(kUtcNames);
  return scan.at_end() ? to_unix(time) : std::nullopt;
}

std::optional<int64_t> parse_rfc850(std::string_view text, int64_t now_seconds) {
  CivilTime time;
  Scanner scan(text);
  scan.one_of(kLongDays).literal(", ").digits(2, time.day).literal("-").month(time.month).literal("-");
  scan.digits(2, time.year).literal(" ").clock(time).literal(" GMT");
  if (!scan.at_end()) return std::nullopt;
  const int latest = to_civil(now_seconds).year + kTwoDigitYearHorizon;
  time.year += latest / 100 * 100;
  if (time.year > latest) time.year -= 100;
  return to_unix(time);
}

std::optional<int64_t> parse_asctime(std::string_view text) {
  CivilTime time;
  Scanner scan(text);
  scan.one_of(kDays).literal(" ").month(time.month).literal(" ").padded_day(time.day).literal(" ");
  scan.clock(time).literal(" ").digits(4, time.year);
  return scan.at_end() ? to_unix(time) : std::nullopt;
}

template <int kCount>
char* put_digits(int value, char* out) {
  for (int i = kCount; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
  return out + kCount;
}

char* put_clock(const CivilTime& time, char* out) {
  out = put_digits<2>(time.hour, out);
  *out++ = ':';
  out = put_digits<2>(time.minute, out);
  *out++ = ':';
  return put_digits<2>(time.second, out);
}

}  // namespace

std::optional<int64_t> parse_amz_date(std::string_view text) {
  CivilTime time;
  Scanner scan(text);
  scan.digits(4, time.year).digits(2, time.month).digits(2, time.day).literal("T");
  scan.digits(2, time.hour).digits(2, time.minute).digits(2, time.second).literal("Z");
  return scan.at_end() ? to_unix(time) : std::nullopt;
}

char* format_amz_date(int64_t unix_seconds, char* out) {
  const CivilTime time = to_civil(unix_seconds);
  out = put_digits<4>(time.year, out);
  out = put_digits<2>(time.month, out);
  out = put_digits<2>(time.day, out);
  *out++ = 'T';
  out = put_digits<2>(time.hour, out);
  out = put_digits<2>(time.minute, out);
  out = put_digits<2>(time.second, out);
  *out++ = 'Z';
  return out;
}

std::string format_amz_date(int64_t unix_seconds) {
  std::string text(kAmzDateLength, '\0');
  format_amz_date(unix_seconds, text.data());
  return text;
}

std::optional<int64_t> parse_http_date(std::string_view text, int64_t now_seconds) {
  if (const auto time = parse_imf_fixdate(text)) return time;
  if (const auto time = parse_rfc850(text, now_seconds)) return time;
  return parse_asctime(text);
}

char* format_http_date(int64_t unix_seconds, char* out) {
  const CivilTime time = to_civil(unix_seconds);
  out = put(kDays[time.weekday], out);
  out = put(", ", out);
  out = put_digits<2>(time.day, out);
  *out++ = ' ';
  out = put(kMonths[time.month - 1], out);
  *out++ = ' ';
  out = put_digits<4>(time.year, out);
  *out++ = ' ';
  return put(" GMT", put_clock(time, out));
}

std::string format_http_date(int64_t unix_seconds) {
  std::string text(kHttpDateLength, '\0');
  format_http_date(unix_seconds, text.data());
  return text;
}

std::optional<int64_t> parse_iso8601_ms(std::string_view text) {
  CivilTime time;
  int ms = 0;
  Scanner scan(text);
  scan.digits(4, time.year).literal("-").digits(2, time.month).literal("-").digits(2, time.day).literal("T");
  scan.clock(time).fraction_ms(ms).literal("Z");
  if (!scan.at_end()) return std::nullopt;
  const auto seconds = to_unix(time);
  if (!seconds) return std::nullopt;
  return *seconds * 1000 + ms;
}

char* format_iso8601_ms(int64_t unix_ms, char* out) {
  const int64_t seconds = unix_ms / 1000 - (unix_ms % 1000 < 0 ? 1 : 0);
  const CivilTime time = to_civil(seconds);
  out = put_digits<4>(time.year, out);
  *out++ = '-';
  out = put_digits<2>(time.month, out);
  *out++ = '-';
  out = put_digits<2>(time.day, out);
  *out++ = 'T';
  out = put_clock(time, out);
  *out++ = '.';
  out = put_digits<3>(static_cast<int>(unix_ms - seconds * 1000), out);
  *out++ = 'Z';
  return out;
}

char* Iso8601Writer::write(int64_t unix_seconds, char* out) {
  const int64_t day = unix_seconds / kSecondsPerDay - (unix_seconds % kSecondsPerDay < 0 ? 1 : 0);
  if (day != day_) {
    char text[kIso8601Length];
    format_iso8601_ms(day * kSecondsPerDay * 1000, text);
    std::copy_n(text, kDateLength, date_.data());
    day_ = day;
  }
  const int in_day = static_cast<int>(unix_seconds - day * kSecondsPerDay);
  const CivilTime clock{.hour = in_day / 3600, .minute = in_day / 60 % 60, .second = in_day % 60};
  out = put_clock(clock, std::copy_n(date_.data(), kDateLength, out));
  return put(".000Z", out);
}

std::string format_iso8601_ms(int64_t unix_ms) {
  std::string text(kIso8601Length, '\0');
  format_iso8601_ms(unix_ms, text.data());
  return text;
}

}  // namespace fb::s3
