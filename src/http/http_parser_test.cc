// SPDX-License-Identifier: Apache-2.0
#include "http/http_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace fb {
namespace {

const HttpLimits kLimits;

struct Parsed {
  std::array<HeaderField, kHeaderCountMax> fields;
  RequestParser parser{fields, kLimits};
  ParseState state = ParseState::need_more;
};

void parse_whole(Parsed& parsed, std::string_view text) { parsed.state = parsed.parser.parse(text); }

// Like a connection: the bytes arrive in steps, in one place.
void parse_in_steps(Parsed& parsed, std::string_view text, size_t step) {
  for (size_t size = std::min(step, text.size()); parsed.state == ParseState::need_more;) {
    parsed.state = parsed.parser.parse(text.substr(0, size));
    if (size == text.size()) break;
    size = std::min(size + step, text.size());
  }
}

int status_of(std::string_view text) {
  Parsed parsed;
  parse_whole(parsed, text);
  if (parsed.state == ParseState::complete) return 200;
  return parsed.state == ParseState::need_more ? 0 : parsed.parser.error_status();
}

constexpr std::string_view kPresigned =
    "GET "
    "/bucket/some/key%20name.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2F"
    "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&"
    "X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\nUser-Agent: test/1.0\r\nAccept: */*\r\nx-amz-meta-a: \t padded value \t\r\n\r\n";

TEST(RequestParser, TakesAHeadApart) {
  Parsed parsed;
  parse_whole(parsed, kPresigned);
  ASSERT_EQ(parsed.state, ParseState::complete);
  const RequestHead& head = parsed.parser.head();
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.path, "/bucket/some/key%20name.jpg");
  EXPECT_TRUE(head.query.starts_with("X-Amz-Algorithm="));
  EXPECT_TRUE(head.query.ends_with("abcdef"));
  EXPECT_EQ(head.headers.size(), 4u);
  EXPECT_EQ(head.header("HOST"), "127.0.0.1:8080");
  EXPECT_EQ(head.header("x-amz-meta-a"), "padded value");
  EXPECT_FALSE(head.http_1_0);
  EXPECT_TRUE(parsed.parser.keep_alive());
  EXPECT_EQ(parsed.parser.head_size(), kPresigned.size());
}

TEST(RequestParser, EverySplitGivesTheSameHead) {
  for (size_t first = 0; first <= kPresigned.size(); ++first) {
    Parsed parsed;
    if (parsed.parser.parse(kPresigned.substr(0, first)) == ParseState::need_more) {
      parse_whole(parsed, kPresigned);
      ASSERT_EQ(parsed.state, ParseState::complete) << first;
    } else {
      ASSERT_EQ(first, kPresigned.size());
    }
    EXPECT_EQ(parsed.parser.head().headers.size(), 4u);
    EXPECT_EQ(parsed.parser.head().header("x-amz-meta-a"), "padded value");
  }
  Parsed bytewise;
  parse_in_steps(bytewise, kPresigned, 1);
  EXPECT_EQ(bytewise.state, ParseState::complete);
}

TEST(RequestParser, StopsAtTheEndOfTheHead) {
  Parsed parsed;
  const std::string text = std::string(kPresigned) + "GET /next HTTP/1.1\r\n";
  parse_whole(parsed, text);
  ASSERT_EQ(parsed.state, ParseState::complete);
  EXPECT_EQ(parsed.parser.head_size(), kPresigned.size());
}

TEST(RequestParser, RebaseFollowsTheBytes) {
  Parsed parsed;
  const std::string original(kPresigned);
  parse_whole(parsed, original);
  const std::string moved(kPresigned);
  parsed.parser.rebase(original.data(), moved.data());
  EXPECT_EQ(parsed.parser.head().method.data(), moved.data());
  EXPECT_EQ(parsed.parser.head().headers[0].value, "127.0.0.1:8080");
  EXPECT_GE(parsed.parser.head().headers[3].value.data(), moved.data());
  EXPECT_LE(parsed.parser.head().headers[3].value.data(), moved.data() + moved.size());
}

struct Case {
  std::string text;
  int status;  // 200: complete; 0: more is needed
};

std::string get_with(std::string_view lines) {
  return fmt::format("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines);
}

std::vector<Case> cases() {
  using std::string_literals::operator""s;
  return {
      {"", 0},
      {"GET / HTTP/1.1\r\nHost: a\r\n", 0},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
      {get_with(""), 200},
      {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      // request line
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
      {"GET /\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {std::string(33, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      // version
      {"GET / HTTP/1.0\r\n\r\n", 200},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 200},
      {"GET / HTTP/0.9\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
      {"GET / HTCPCP/1.0\r\nHost: a\r\n\r\n", 400},
      // targets
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {"GET HTTPS://A/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200},
      {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
      {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      // line ends and control characters
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400},
      {get_with("A: b\0c\r\n"s), 400},
      {get_with("A: b\x01\r\n"), 400},
      {get_with("A: b\x7f\r\n"), 400},
      {get_with("A: \xc3\xa4\t\xff\r\n"), 200},
      // fields
      {get_with("A : b\r\n"), 400},
      {get_with("A\t: b\r\n"), 400},
      {get_with(" A: b\r\n"), 400},
      {get_with("A: b\r\n c\r\n"), 400},
      {get_with("A: b\r\n\tc\r\n"), 400},
      {get_with(": b\r\n"), 400},
      {get_with("A\r\n"), 400},
      {get_with("A(: b\r\n"), 400},
      {get_with("A\xc3: b\r\n"), 400},
      {get_with("A:\r\n"), 200},
      {get_with("A:b\r\n"), 200},
      // host
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {get_with("Host: a\r\n"), 400},
      {get_with("hOST: b\r\n"), 400},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200},
      // the end of the message
      {get_with("Content-Length: 0\r\n"), 200},
      {get_with("Content-Length: 9223372036854775807\r\n"), 200},
      {get_with("Content-Length: 9223372036854775808\r\n"), 400},
      {get_with("Content-Length: 18446744073709551617\r\n"), 400},
      {get_with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {get_with("Content-Length: 5\r\ncontent-length: 6\r\n"), 400},
      {get_with("Content-Length: 5, 5\r\n"), 400},
      {get_with("Content-Length: +5\r\n"), 400},
      {get_with("Content-Length: -5\r\n"), 400},
      {get_with("Content-Length: 0x5\r\n"), 400},
      {get_with("Content-Length: 5 5\r\n"), 400},
      {get_with("Content-Length: 5.0\r\n"), 400},
      {get_with("Content-Length:\r\n"), 400},
      {get_with("Transfer-Encoding: chunked\r\n"), 200},
      {get_with("Transfer-Encoding: Chunked\r\n"), 200},
      {get_with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
      {get_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
      {get_with("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"), 400},
      {get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400},
      {get_with("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {get_with("Transfer-Encoding: chunked, chunked\r\n"), 501},
      {get_with("Transfer-Encoding: identity\r\n"), 501},
      {get_with("Transfer-Encoding: xchunked\r\n"), 501},
      {get_with("Transfer-Encoding: chunked;a=b\r\n"), 501},
      {get_with("Transfer-Encoding:\r\n"), 501},
      {get_with("Transfer-Encoding: \x0b"
                "chunked\r\n"),
       400},
      {get_with("Transfer-Encoding : chunked\r\n"), 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      // expectations
      {get_with("Expect: 100-continue\r\n"), 200},
      {get_with("Expect: 200-ok\r\n"), 200},
      {get_with("Expect:\r\n"), 200},
  };
}

TEST(RequestParser, Table) {
  for (const Case& c : cases()) EXPECT_EQ(status_of(c.text), c.status) << c.text;
}

TEST(RequestParser, TheVerdictDoesNotDependOnSplits) {
  for (const Case& c : cases()) {
    for (size_t step = 1; step < 40; ++step) {
      Parsed parsed;
      parse_in_steps(parsed, c.text, step);
      const int status = parsed.state == ParseState::complete    ? 200
                         : parsed.state == ParseState::need_more ? 0
                                                                 : parsed.parser.error_status();
      EXPECT_EQ(status, c.status) << step << " " << c.text;
    }
  }
}

TEST(RequestParser, Limits) {
  const auto line = [](size_t length) {
    const std::string rest = "GET / HTTP/1.1";
    return fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", std::string(length - rest.size(), 'a'));
  };
  EXPECT_EQ(status_of(line(kLimits.request_line_bytes)), 200);
  EXPECT_EQ(status_of(line(kLimits.request_line_bytes + 1)), 414);
  EXPECT_EQ(status_of(line(kLimits.request_line_bytes * 2)), 414);
  EXPECT_EQ(status_of(std::string(kLimits.request_line_bytes + 2, 'a')), 414);
  EXPECT_EQ(status_of(std::string(kLimits.request_line_bytes + 1, 'a')), 0);

  const auto section = [](size_t bytes) {
    const std::string rest = "Host: a\r\nA: \r\n\r\n";
    return fmt::format("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", std::string(bytes - rest.size(), 'v'));
  };
  EXPECT_EQ(status_of(section(kLimits.header_section_bytes)), 200);
  EXPECT_EQ(status_of(section(kLimits.header_section_bytes + 1)), 431);
  EXPECT_EQ(status_of(section(kLimits.header_section_bytes + 2)), 431);
  EXPECT_EQ(status_of(section(10 * kMiB)), 431);

  const auto count = [](size_t fields) {
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (size_t i = 1; i < fields; ++i) text += fmt::format("A{}: b\r\n", i);
    return text + "\r\n";
  };
  EXPECT_EQ(status_of(count(kHeaderCountMax)), 200);
  EXPECT_EQ(status_of(count(kHeaderCountMax + 1)), 431);
}

TEST(RequestParser, LimitsDoNotDependOnSplits) {
  const std::string texts[] = {
      "GET /" + std::string(kLimits.request_line_bytes, 'a') + " HTTP/1.1\r\n",
      get_with("A: " + std::string(kLimits.header_section_bytes - 15, 'v') + "\r\n"),
      get_with("A: " + std::string(kLimits.header_section_bytes, 'v') + "\x01\r\n"),
  };
  for (const std::string& text : texts) {
    for (const size_t step : {1, 7, 1000, 16384, 32768, 40000}) {
      Parsed parsed;
      parse_in_steps(parsed, text, step);
      EXPECT_EQ(parsed.state, ParseState::failed);
      EXPECT_EQ(parsed.parser.error_status(), status_of(text)) << step;
    }
  }
}

TEST(RequestParser, Persistence) {
  const auto keeps = [](std::string_view text) {
    Parsed parsed;
    parse_whole(parsed, text);
    EXPECT_EQ(parsed.state, ParseState::complete);
    return parsed.parser.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close ,y\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParser, AbsoluteTargetsAreReduced) {
  Parsed parsed;
  parse_whole(parsed, "GET http://a:80/b/c?d=e HTTP/1.1\r\nHost: A:80\r\n\r\n");
  ASSERT_EQ(parsed.state, ParseState::complete);
  EXPECT_EQ(parsed.parser.head().target, "/b/c?d=e");
  EXPECT_EQ(parsed.parser.head().path, "/b/c");
  EXPECT_EQ(parsed.parser.head().query, "d=e");
}

int response_status_of(std::string_view text, size_t step) {
  std::array<HeaderField, 8> fields;
  ResponseParser parser(fields, kLimits);
  for (size_t size = std::min(step, text.size());; size = std::min(size + step, text.size())) {
    const ParseState state = parser.parse(text.substr(0, size));
    if (state == ParseState::complete) return parser.head().status;
    if (state == ParseState::failed) return -parser.error_status();
    if (size == text.size()) return 0;
  }
}

TEST(ResponseParser, Table) {
  const std::pair<std::string_view, int> table[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200},
      {"HTTP/1.1 404\r\n\r\n", 404},
      {"HTTP/1.1 404 \r\n\r\n", 404},
      {"HTTP/1.0 301 Moved There\r\nA: b\r\n\r\n", 301},
      {"HTTP/1.1 20 OK\r\n\r\n", -400},
      {"HTTP/1.1 2000 OK\r\n\r\n", -400},
      {"HTTP/1.1 099 OK\r\n\r\n", -400},
      {"HTTP/2.0 200 OK\r\n\r\n", -505},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", -400},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
      {"HTTP/1.1 200 OK\nA: b\r\n\r\n", -400},
      {"HTTP/1.1 200 OK\r\n", 0},
  };
  for (const auto& [text, status] : table) {
    for (size_t step = 1; step <= text.size(); ++step)
      EXPECT_EQ(response_status_of(text, step), status) << text;
  }
}

}  // namespace
}  // namespace fb
