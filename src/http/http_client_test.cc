// SPDX-License-Identifier: Apache-2.0
#include "http/http_client.h"

#include <gtest/gtest.h>

#include "http/http_test_env.h"

namespace fb {
namespace {

class HttpClientTest : public testing::TestWithParam<TestEnv> {};
INSTANTIATE_TEST_SUITE_P(All, HttpClientTest,
                         testing::Values(TestEnv::uring, TestEnv::portable, TestEnv::sim), test_env_name);

// Asks once; `answer` comes back in one piece, and `rest` a moment later. Returns the body, or nothing.
Task<std::string> ask(Env& env, std::string answer, std::string rest) {
  auto listener = co_await Listener::open(env, Endpoint::loopback(0));
  EXPECT_TRUE(listener);
  std::string body;
  co_await when_all(
      [&]() -> Task<void> {
        auto socket = co_await listener->accept({});
        EXPECT_TRUE(socket);
        EXPECT_TRUE(co_await send_text(*socket, answer));
        (void)co_await sleep_for(env, Duration::milliseconds(5));
        EXPECT_TRUE(co_await send_text(*socket, rest));
        (void)co_await receive_all(*socket);
        EXPECT_TRUE(co_await socket->close());
      },
      [&]() -> Task<void> {
        auto socket = co_await Socket::connect(env, listener->endpoint());
        (void)co_await sleep_for(env, Duration::milliseconds(5));  // so that all of it is there
        HttpClient client(*socket);
        EXPECT_TRUE(co_await client.send({.target = "/"}, {}, {}));
        const auto head = co_await client.receive_head({});
        EXPECT_TRUE(head) << head.error().to_string();
        if (head) {
          const std::string_view type = (*head)->header("content-type");
          const auto text = co_await client.read_body_text(kMiB, {});
          EXPECT_TRUE(text);
          if (text) body = *text;
          EXPECT_EQ(type, "text/x");  // a view of the head, after its body
        }
        EXPECT_TRUE(co_await socket->close());
      });
  EXPECT_TRUE(co_await listener->close());
  co_return body;
}

// Interim heads, and then one that ends exactly at the end of the client's memory for heads: the framing of
// the body, which comes later, needs room of its own.
TEST_P(HttpClientTest, HeadsThatFillItsMemory) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\nX: ";
  const HttpLimits limits;
  const size_t heads_max = limits.request_line_bytes + limits.header_section_bytes;
  for (const size_t size : {heads_max, heads_max + 4, heads_max + 16 * kKiB, size_t{1000}}) {
    std::string answer;
    while (answer.size() + interim.size() + last.size() + 100 < size) answer += interim;
    answer += last;
    answer += std::string(size - answer.size() - 4, 'x') + "\r\n\r\n";
    ASSERT_EQ(answer.size(), size);
    std::string body;
    run_in(GetParam(), [&](Env& env) -> Task<void> {
      body = co_await ask(env, answer, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    });
    EXPECT_EQ(body, "hello world") << size;
  }
}

}  // namespace
}  // namespace fb
