// SPDX-License-Identifier: Apache-2.0
#include "http/response_head.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <iterator>

namespace fb {
namespace {

constexpr std::string_view kServerLine = "Server: FractalBits\r\nX-Content-Type-Options: nosniff\r\n";
constexpr std::string_view kOkLine = "HTTP/1.1 200 OK\r\n";

void append_number(std::string& out, uint64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

}  // namespace

std::string_view http_reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

void write_http_date(int64_t unix_seconds, char out[kHttpDateBytes]) {
  static constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  // Calendar arithmetic only; no clock is read.
  const std::chrono::sys_seconds time{std::chrono::seconds(unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  const unsigned weekday = std::chrono::weekday(day).c_encoding();
  fmt::format_to_n(
      out, kHttpDateBytes, "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays.substr(weekday * 3, 3),
      static_cast<unsigned>(date.day()), kMonths.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3),
      static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string_view CommonLines::get() {
  const Instant now = env_.now();
  if (now < stale_at_ && !lines_.empty()) return lines_;
  constexpr int64_t kSecond = 1'000'000'000;
  const UnixTime wall = env_.wall_clock();
  stale_at_ = now + Duration::nanoseconds(kSecond - wall.ns % kSecond);
  char date[kHttpDateBytes];
  write_http_date(wall.seconds(), date);
  lines_.assign(kServerLine).append("Date: ").append(date, kHttpDateBytes).append("\r\n");
  return lines_;
}

void write_response_head(std::string& out, const ResponseFraming& framing, std::string_view common_lines,
                         std::string_view header_lines) {
  out.clear();
  if (framing.status == 200) {
    out.append(kOkLine);
  } else {
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<uint64_t>(framing.status));
    out.append(" ").append(http_reason(framing.status)).append("\r\n");
  }
  out.append(common_lines);
  if (framing.content_length) {
    out.append("Content-Length: ");
    append_number(out, *framing.content_length);
    out.append("\r\n");
  }
  if (framing.chunked) out.append("Transfer-Encoding: chunked\r\n");
  if (framing.close) {
    out.append("Connection: close\r\n");
  } else if (framing.http_1_0) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append(header_lines).append("\r\n");
}

}  // namespace fb
