// SPDX-License-Identifier: Apache-2.0
#include "http/http_server.h"

#include <gtest/gtest.h>

#include "http/http_test_env.h"

namespace fb {
namespace {

class HttpServerTest : public testing::TestWithParam<TestEnv> {
 protected:
  void with(const std::function<Task<void>(Env&, HttpServer&, TestHandler&)>& client,
            const HttpLimits& limits = {}) {
    with_server(GetParam(), {.limits = limits}, client);
  }
  // The server's answers to `pieces` until it closes.
  std::string answer(std::vector<std::string> pieces, const HttpLimits& limits = {}) {
    std::string out;
    with([&](Env& env, HttpServer& server,
             TestHandler&) -> Task<void> { out = co_await raw_exchange(env, server.endpoint(), pieces); },
         limits);
    return out;
  }
};

INSTANTIATE_TEST_SUITE_P(All, HttpServerTest,
                         testing::Values(TestEnv::uring, TestEnv::portable, TestEnv::sim), test_env_name);

const std::string kHello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kHelloClose = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
using std::string_literals::operator""s;
constexpr HeaderField kHost{"Host", "test"};

TEST_P(HttpServerTest, KeepAlive) {
  with([](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream stream(*socket);
    HttpClient client(stream);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(co_await client.send({.target = "/hello", .headers = {&kHost, 1}}, {}, {}));
      const auto head = co_await client.receive_head({});
      EXPECT_TRUE(head);
      EXPECT_EQ((*head)->status, 200);
      EXPECT_EQ((*head)->header("content-length"), "5");
      EXPECT_EQ((*head)->header("x-test"), "yes");
      EXPECT_EQ((*head)->header("server"), "FractalBits");
      EXPECT_EQ((*head)->header("date").size(), 29u);
      EXPECT_EQ(co_await client.read_body_text(100, {}), "hello");
      EXPECT_TRUE(client.reusable());
    }
    EXPECT_EQ(handler.handled, 3);
    EXPECT_EQ(server.stats().requests, 3u);
    EXPECT_EQ(server.stats().responses_by_class[2], 3u);
    EXPECT_EQ(server.stats().connections_accepted, 1u);
    EXPECT_TRUE(co_await socket->close());
  });
}

TEST_P(HttpServerTest, Pipelining) {
  const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  const std::string text = answer({kHello + post + kHello + post + kHelloClose});
  EXPECT_EQ(count_of(text, "HTTP/1.1 200 OK"), 5u);
  EXPECT_EQ(count_of(text, "\r\n\r\nhello"), 3u);
  EXPECT_EQ(count_of(text, "\r\n\r\nabc"), 2u);
}

TEST_P(HttpServerTest, EverySplitOfTwoRequests) {
  const std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n "
      "world\r\n0\r\n\r\n";
  const std::string all = chunked + kHelloClose;
  with([&](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    for (size_t split = 1; split < all.size(); ++split) {
      const std::string text =
          co_await raw_exchange(env, server.endpoint(), {all.substr(0, split), all.substr(split)});
      EXPECT_EQ(count_of(text, "HTTP/1.1 200 OK"), 2u) << split << text;
      EXPECT_EQ(count_of(text, "\r\n\r\nhello world"), 1u) << split;
      EXPECT_TRUE(text.ends_with("\r\n\r\nhello")) << split;
    }
  });
}

TEST_P(HttpServerTest, ByteByByte) {
  std::vector<std::string> bytes;
  for (const char c : "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"s) {
    bytes.emplace_back(1, c);
  }
  EXPECT_TRUE(answer(bytes).ends_with("\r\n\r\nok"));
}

TEST_P(HttpServerTest, LargeBodiesBothWaysAreNotCopied) {
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream stream(*socket);
    HttpClient client(stream);
    std::string sent = pattern_text(3 * kMiB + 17);
    const uint64_t copied_before = env.stats().bytes_copied;
    co_await when_all(
        [&]() -> Task<void> {
          iovec body{sent.data(), sent.size()};
          EXPECT_TRUE(co_await client.send({.method = "PUT", .target = "/echo", .headers = {&kHost, 1}},
                                           {&body, 1}, {}));
        },
        [&]() -> Task<void> {
          const auto head = co_await client.receive_head({});
          EXPECT_TRUE(head);
          const auto text = co_await client.read_body_text(10 * kMiB, {});
          EXPECT_TRUE(text && *text == sent);
        });
    EXPECT_LE(env.stats().bytes_copied - copied_before, 2 * kPooledBytesSize);
    EXPECT_TRUE(co_await socket->close());
  });
}

TEST_P(HttpServerTest, ChunkedUploadInManySizes) {
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream stream(*socket);
    HttpClient client(stream);
    std::string expected;
    EXPECT_TRUE(co_await client.send_head(
        {.method = "PUT", .target = "/echo", .headers = {&kHost, 1}, .chunked = true}, {}));
    for (size_t size = 1; size < 200'000; size = size * 3 + 1) {
      std::string piece = pattern_text(size);
      expected += piece;
      iovec vector{piece.data(), piece.size()};
      EXPECT_TRUE(co_await client.send_body({&vector, 1}, {}));
    }
    EXPECT_TRUE(co_await client.end_body({}));
    EXPECT_TRUE(co_await client.receive_head({}));
    const auto text = co_await client.read_body_text(kMiB, {});
    EXPECT_TRUE(text && *text == expected);
    EXPECT_TRUE(co_await socket->close());
  });
}

TEST_P(HttpServerTest, BadChunksAreRefused) {
  if (clients_cut()) GTEST_SKIP() << "the connection may be reset while the client sends on";
  const std::string text =
      answer({"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"});
  EXPECT_TRUE(text.starts_with("HTTP/1.1 400 ")) << text;
  EXPECT_EQ(count_of(text, "Connection: close"), 1u);
}

TEST_P(HttpServerTest, ExpectContinue) {
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream stream(*socket);
    HttpClient client(stream);
    const HeaderField fields[] = {kHost, {"Expect", "100-continue"}};
    EXPECT_TRUE(co_await client.send_head(
        {.method = "PUT", .target = "/echo", .headers = fields, .content_length = 4}, {}));
    const auto asked = co_await client.receive_continue({});
    EXPECT_TRUE(asked && *asked);
    std::string body = "body";
    iovec vector{body.data(), body.size()};
    EXPECT_TRUE(co_await client.send_body({&vector, 1}, {}));
    const auto head = co_await client.receive_head({});
    EXPECT_TRUE(head && (*head)->status == 200);
    EXPECT_EQ(co_await client.read_body_text(100, {}), "body");
    // Refused: the final status comes at once, and the connection closes.
    EXPECT_TRUE(co_await client.send_head(
        {.method = "PUT", .target = "/refuse", .headers = fields, .content_length = 4}, {}));
    const auto asked_again = co_await client.receive_continue({});
    EXPECT_TRUE(asked_again && !*asked_again);
    const auto refusal = co_await client.receive_head({});
    EXPECT_TRUE(refusal && (*refusal)->status == 403);
    EXPECT_EQ(co_await client.read_body_text(100, {}), "refused");
    EXPECT_FALSE(client.reusable());
    EXPECT_EQ(co_await receive_all(*socket), "");
    EXPECT_TRUE(co_await socket->close());
  });
}

// If the handler reads the body, the server asks for it, though it is empty; if not, the connection ends with
// the answer.
TEST_P(HttpServerTest, ExpectContinueOfAnEmptyBody) {
  const auto request = [](std::string_view path) {
    return "PUT " + std::string(path) +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n";
  };
  const std::string text = answer({request("/echo"), request("/refuse")});
  // A client that has already gone on sending does not wait for the 100.
  EXPECT_LE(count_of(text, "HTTP/1.1 100 Continue\r\n"), 1u) << text;
  if (!clients_cut()) EXPECT_EQ(count_of(text, "HTTP/1.1 100 Continue\r\n"), 1u) << text;
  EXPECT_EQ(count_of(text, "HTTP/1.1 200 OK\r\n"), 1u);
  EXPECT_EQ(count_of(text, "HTTP/1.1 403 Forbidden\r\n"), 1u);
  EXPECT_EQ(count_of(text, "Connection: close\r\n"), 1u);
}

TEST_P(HttpServerTest, NothingFollowsAProtocolError) {
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    const Instant before = env.now();
    const std::string text = co_await raw_exchange(env, server.endpoint(), {"GET\r\n\r\n"});
    EXPECT_EQ(count_of(text, "HTTP/1.1 400 "), 1u) << text;
    EXPECT_LT(env.now() - before, HttpLimits{}.drain_timeout) << "the client sees the end at once";
  });
}

TEST_P(HttpServerTest, HeadAndStatusesWithoutBody) {
  const auto request = [](std::string_view method, std::string_view path, bool last = false) {
    return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" +
           (last ? "Connection: close\r\n\r\n" : "\r\n");
  };
  const std::string text = answer({request("HEAD", "/hello") + request("HEAD", "/announced") +
                                   request("HEAD", "/stream") + request("GET", "/no-content") +
                                   request("GET", "/not-modified") + request("GET", "/hello", true)});
  EXPECT_EQ(count_of(text, "HTTP/1.1 "), 6u) << text;
  EXPECT_EQ(count_of(text, "Content-Length: 5\r\n"), 2u);
  EXPECT_EQ(count_of(text, "Content-Length: 11\r\n"), 1u);
  EXPECT_EQ(count_of(text, "Content-Length: 1234\r\n"), 1u);
  EXPECT_EQ(count_of(text, "Content-Length"), 4u);
  EXPECT_EQ(count_of(text, "hello"), 1u);
  EXPECT_EQ(count_of(text, "world"), 0u);
}

TEST_P(HttpServerTest, StreamedResponses) {
  const std::string text =
      answer({"GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /announced HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /empty-stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"});
  EXPECT_EQ(count_of(text, "\r\n\r\n5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"), 1u) << text;
  EXPECT_EQ(count_of(text, "\r\n\r\nhello world"), 1u) << text;
  EXPECT_TRUE(text.ends_with("\r\n\r\n0\r\n\r\n"));
}

TEST_P(HttpServerTest, Http10) {
  const std::string once = answer({"GET /hello HTTP/1.0\r\n\r\n"});
  EXPECT_EQ(count_of(once, "Connection: close"), 1u);
  EXPECT_TRUE(once.ends_with("\r\n\r\nhello"));
  const std::string twice =
      answer({"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n"});
  EXPECT_EQ(count_of(twice, "Connection: keep-alive"), 1u);
  EXPECT_EQ(count_of(twice, "hello"), 2u);
  const std::string streamed = answer({"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"});
  EXPECT_EQ(count_of(streamed, "Transfer-Encoding"), 0u);
  EXPECT_TRUE(streamed.ends_with("\r\n\r\nhello world"));
}

TEST_P(HttpServerTest, ProtocolErrors) {
  const std::pair<std::string, std::string> table[] = {
      {"garbage\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/3.0\r\n\r\n", "505"},
      {"GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", "414"},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(40'000, 'a') + "\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
      {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "400"},
  };
  with(
      [&](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
        for (const auto& [request, status] : table) {
          const std::string text = co_await raw_exchange(env, server.endpoint(), {request});
          EXPECT_TRUE(text.starts_with("HTTP/1.1 " + status)) << text;
          EXPECT_TRUE(text.ends_with("error " + status)) << text;
          EXPECT_EQ(count_of(text, "Connection: close"), 1u);
        }
        EXPECT_EQ(handler.handled, 0);
        EXPECT_EQ(server.stats().protocol_errors, std::size(table));
        // Garbage behind a good request, and a second head that does not end.
        const std::string later = co_await raw_exchange(env, server.endpoint(), {kHello + "garbage\r\n\r\n"});
        EXPECT_EQ(count_of(later, "hello"), 1u);
        EXPECT_TRUE(later.ends_with("error 400")) << later;
        const std::string slow = co_await raw_exchange(env, server.endpoint(), {kHello + "GET /a"});
        EXPECT_TRUE(slow.ends_with("error 408")) << slow;
      },
      quick_limits());
}

TEST_P(HttpServerTest, UnreadBodies) {
  // A short body is dropped and the connection stays; a long one is not waited for.
  const std::string text =
      answer({"PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "cde" + kHelloClose});
  EXPECT_TRUE(text.starts_with("HTTP/1.1 403 ")) << text;
  EXPECT_TRUE(text.ends_with("\r\n\r\nhello")) << text;
  const std::string closed =
      answer({"PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000000\r\n\r\nab"}, quick_limits());
  EXPECT_TRUE(closed.starts_with("HTTP/1.1 403 ")) << closed;
  EXPECT_EQ(count_of(closed, "Connection: close"), 1u);
}

TEST_P(HttpServerTest, HandlersThatFallShort) {
  EXPECT_EQ(answer({"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + kHello}), "");
  EXPECT_TRUE(answer({"GET /short HTTP/1.1\r\nHost: a\r\n\r\n" + kHello}).ends_with("\r\n\r\n12345"));
}

TEST_P(HttpServerTest, IdleConnectionsAreClosed) {
  EXPECT_EQ(answer({""}, quick_limits()), "");
  const std::string text = answer({kHello}, quick_limits());
  EXPECT_EQ(count_of(text, "HTTP/1.1 "), 1u);
  EXPECT_TRUE(text.ends_with("hello"));
}

TEST_P(HttpServerTest, SlowHead) {
  const std::string text = answer({"GET /hello HTTP/1.1\r\nHo"}, quick_limits());
  EXPECT_TRUE(text.starts_with("HTTP/1.1 408 ")) << text;
  // The connection may be reset while a client that cuts its bytes sends on, and the answer is lost.
  if (clients_cut()) return;
  // The time counts from the first byte: drops that keep coming do not help.
  std::vector<std::string> drops(2000, "a");
  drops.front() = "GET /a";
  EXPECT_TRUE(answer(drops, quick_limits()).starts_with("HTTP/1.1 408 "));
}

TEST_P(HttpServerTest, SlowBody) {
  const std::string head = "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
  EXPECT_TRUE(answer({head + "abc"}, quick_limits()).starts_with("HTTP/1.1 408 "));
  if (clients_cut()) return;  // as in SlowHead
  HttpLimits limits = quick_limits();
  limits.body_bytes_per_second_min = 5000;
  std::vector<std::string> drops(3000, "a");
  drops.front() = head;
  EXPECT_TRUE(answer(drops, limits).starts_with("HTTP/1.1 408 "));
}

TEST_P(HttpServerTest, ClientThatDoesNotRead) {
  with(
      [](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
        auto socket = co_await Socket::connect(env, server.endpoint());
        for (int i = 0; i < 8; ++i)
          EXPECT_TRUE(co_await send_text(*socket, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
        (void)co_await sleep_for(env, Duration::milliseconds(2500));
        EXPECT_EQ(server.stats().connections_active, 0u);
        EXPECT_FALSE(handler.last_send);
        EXPECT_TRUE(co_await socket->close());
      },
      [] {
        HttpLimits limits = quick_limits();
        limits.send_bytes_per_second_min = 100 * kMiB;
        return limits;
      }());
}

TEST_P(HttpServerTest, ClientThatVanishes) {
  with([](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    for (const std::string text :
         {"", "GET /hel", "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
          "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"}) {
      auto socket = co_await Socket::connect(env, server.endpoint());
      if (!text.empty()) EXPECT_TRUE(co_await send_text(*socket, text));
      (void)co_await sleep_for(env, Duration::milliseconds(5));
      EXPECT_TRUE(co_await socket->close());
    }
    for (int i = 0; i < 100 && server.stats().connections_active != 0; ++i) {
      (void)co_await sleep_for(env, Duration::milliseconds(20));
    }
    EXPECT_EQ(server.stats().connections_active, 0u);
    EXPECT_TRUE(handler.body_error && handler.body_error->is(HttpError::body_incomplete));
    // And the server serves on.
    EXPECT_TRUE((co_await raw_exchange(env, server.endpoint(), {kHelloClose})).ends_with("hello"));
  });
}

// Connections with requests in progress are not closed for others; a new client waits until one of them has
// ended.
TEST_P(HttpServerTest, ConnectionLimit) {
  HttpLimits limits;
  limits.connections = 2;
  with(
      [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
        auto first = co_await Socket::connect(env, server.endpoint());
        auto second = co_await Socket::connect(env, server.endpoint());
        for (Socket* each : {&*first, &*second})
          EXPECT_TRUE(co_await send_text(*each, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
        (void)co_await sleep_for(env, Duration::milliseconds(20));
        bool served = false;
        co_await when_all(
            [&]() -> Task<void> {
              const std::string text = co_await raw_exchange(env, server.endpoint(), {kHelloClose});
              EXPECT_TRUE(text.ends_with("hello"));
              served = true;
            },
            [&]() -> Task<void> {
              (void)co_await sleep_for(env, Duration::milliseconds(100));
              EXPECT_FALSE(served);
              EXPECT_EQ(server.stats().connections_active, 2u);
            });
        EXPECT_TRUE(served);
        EXPECT_TRUE(co_await first->close());
        EXPECT_TRUE(co_await second->close());
      },
      limits);
}

TEST_P(HttpServerTest, GracefulStop) {
  if (clients_cut()) GTEST_SKIP() << "the request would come after the stop";
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    auto idle = co_await Socket::connect(env, server.endpoint());
    (void)co_await sleep_for(env, Duration::milliseconds(20));
    co_await when_all(
        [&]() -> Task<void> {
          const std::string text = co_await raw_exchange(env, server.endpoint(),
                                                         {"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + kHello});
          EXPECT_TRUE(text.starts_with("HTTP/1.1 200 "));
          EXPECT_TRUE(text.ends_with("waited")) << text;
          EXPECT_EQ(count_of(text, "Connection: close"), 1u);
        },
        [&]() -> Task<void> {
          (void)co_await sleep_for(env, Duration::milliseconds(50));
          server.stop(Duration::seconds(10));
          EXPECT_EQ(co_await receive_all(*idle), "");
        });
    EXPECT_FALSE(co_await Socket::connect(env, server.endpoint()));
    EXPECT_TRUE(co_await idle->close());
  });
}

TEST_P(HttpServerTest, StopCutsWhatDoesNotEnd) {
  with([](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    auto socket = co_await Socket::connect(env, server.endpoint());
    EXPECT_TRUE(
        co_await send_text(*socket, "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"));
    (void)co_await sleep_for(env, Duration::milliseconds(20));
    server.stop(Duration::milliseconds(100));
    (void)co_await receive_all(*socket);
    EXPECT_TRUE(handler.body_error);
    EXPECT_TRUE(co_await socket->close());
  });
}

}  // namespace
}  // namespace fb
