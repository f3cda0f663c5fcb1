// SPDX-License-Identifier: Apache-2.0
// Tests of the memory that clients may hold, and of the cuts of slow holders: docs/admission.md.
#include "http/admission.h"

#include "http/error.h"
#include "http/http_test_env.h"
#include "io/scope.h"

namespace fb {
namespace {

class AdmissionTest : public testing::TestWithParam<TestEnv> {
 protected:
  void with(const std::function<Task<void>(Env&, HttpServer&, TestHandler&)>& client,
            const HttpLimits& limits = {}) {
    with_server(GetParam(), {.limits = limits}, client);
  }
};

INSTANTIATE_TEST_SUITE_P(All, AdmissionTest, testing::Values(TestEnv::uring, TestEnv::portable, TestEnv::sim),
                         test_env_name);

const std::string kHello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kHelloClose = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

Task<void> close_all(std::vector<Socket>& sockets) {
  for (Socket& each : sockets) EXPECT_TRUE(co_await each.close());
}

TEST_P(AdmissionTest, QuietConnectionsGiveWayToNewOnes) {
  HttpLimits limits;
  limits.connections = 64;
  with(
      [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
        std::vector<Socket> quiet;
        for (int i = 0; i < 200; ++i) {
          auto socket = co_await Socket::connect(env, server.endpoint());
          EXPECT_TRUE(socket);
          quiet.push_back(std::move(*socket));
          const std::string text = co_await raw_exchange(env, server.endpoint(), {kHelloClose});
          EXPECT_TRUE(text.ends_with("hello")) << i;
          EXPECT_LE(server.stats().connections_active, 64u);
        }
        EXPECT_GE(server.stats().connections_shed, 100u);
        co_await close_all(quiet);
      },
      limits);
}

TEST_P(AdmissionTest, OfQuietConnectionsTheLongestQuietGoFirst) {
  HttpLimits limits;
  limits.connections = 8;
  with(
      [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
        auto kept = co_await Socket::connect(env, server.endpoint());
        HttpClient client(*kept);
        constexpr HeaderField kHost{"Host", "test"};
        std::vector<Socket> quiet;
        for (int i = 0; i < 40; ++i) {
          EXPECT_TRUE(co_await client.send({.target = "/hello", .headers = {&kHost, 1}}, {}, {})) << i;
          const auto head = co_await client.receive_head({});
          EXPECT_TRUE(head) << i;
          if (!head) break;
          EXPECT_EQ(co_await client.read_body_text(100, {}), "hello");
          auto socket = co_await Socket::connect(env, server.endpoint());
          quiet.push_back(std::move(*socket));
          (void)co_await sleep_for(env, Duration::milliseconds(2));
        }
        co_await close_all(quiet);
        EXPECT_TRUE(co_await kept->close());
      },
      limits);
}

TEST_P(AdmissionTest, TooManyRequestsAreRefusedAndSayWhen) {
  HttpLimits limits;
  limits.requests = 4;
  with(
      [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
        std::vector<Socket> waiting;
        for (int i = 0; i < 4; ++i) {
          auto socket = co_await Socket::connect(env, server.endpoint());
          EXPECT_TRUE(co_await send_text(*socket, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
          waiting.push_back(std::move(*socket));
        }
        (void)co_await sleep_for(env, Duration::milliseconds(30));
        const std::string text = co_await raw_exchange(env, server.endpoint(), {kHello});
        EXPECT_TRUE(text.starts_with("HTTP/1.1 503 ")) << text;
        EXPECT_EQ(server.stats().requests_refused, 1u);
        co_await close_all(waiting);
      },
      limits);
}

// A slow body that holds the place of a request is cut when the places are used up.
TEST(Admission, SlowRequestsGiveWayToNewOnes) {
  HttpLimits limits;
  limits.requests = 16;
  with_server(TestEnv::sim, {.limits = limits}, [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    std::vector<Socket> slow;
    const auto begin_slow = [&]() -> Task<void> {
      auto socket = co_await Socket::connect(env, server.endpoint());
      EXPECT_TRUE(
          co_await send_text(*socket, "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"));
      slow.push_back(std::move(*socket));
    };
    for (int i = 0; i < 32; ++i) co_await begin_slow();
    (void)co_await sleep_for(env, Duration::seconds(5));
    EXPECT_EQ(server.admission().requests(), 32u);
    // Requests that arrived whole need none of the places for requests whose client is waited for.
    for (int i = 0; i < 8; ++i) {
      const std::string text = co_await raw_exchange(env, server.endpoint(), {kHelloClose});
      EXPECT_TRUE(text.ends_with("hello")) << i << text;
    }
    EXPECT_EQ(server.stats().bodies_cut, 0u);
    co_await begin_slow();
    (void)co_await sleep_for(env, Duration::milliseconds(100));
    EXPECT_EQ(server.stats().requests_refused, 0u);
    EXPECT_GE(server.stats().bodies_cut, 1u);
    co_await close_all(slow);
  });
}

// Unfinished heads have a budget: the largest go first, and small ones stay.
TEST(Admission, TheLargestUnfinishedHeadsGiveWay) {
  with_server(TestEnv::sim, {}, [](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    std::vector<Socket> heads;
    const std::string small = "GET /hello HTTP/1.1\r\nHost: a\r\nB: ";
    const std::string large =
        "GET /" + std::string(15'000, 'a') + " HTTP/1.1\r\nHost: a\r\nB: " + std::string(12'000, 'b');
    for (int i = 0; i < 800; ++i) {
      auto socket = co_await Socket::connect(env, server.endpoint());
      (void)co_await send_text(*socket, i == 0 ? small : large);  // may be closed before it has sent all
      heads.push_back(std::move(*socket));
    }
    (void)co_await sleep_for(env, Duration::seconds(1));
    EXPECT_GE(server.stats().connections_shed, 200u);
    EXPECT_LE(server.admission().head_bytes(), 16 * kMiB);
    EXPECT_GE(server.admission().head_bytes(), 8 * kMiB);
    EXPECT_TRUE(co_await send_text(heads[0], "c\r\nConnection: close\r\n\r\n"));
    EXPECT_TRUE((co_await receive_all(heads[0])).ends_with("hello"));
    co_await close_all(heads);
    (void)co_await sleep_for(env, Duration::seconds(1));
    EXPECT_EQ(server.admission().head_bytes(), 0u);
  });
}

// Many clients that read no answer, refused or not, leave the environment's receive buffers to others.
TEST_P(AdmissionTest, AnswersThatNobodyReadHoldFewReceiveBuffers) {
  with([](Env& env, HttpServer& server, TestHandler&) -> Task<void> {
    std::vector<Socket> unread;
    const std::string wrong = "GET / HTTP/1.1\r\nHost: a\r\nbad line\r\n\r\n";
    for (int i = 0; i < 300; ++i) {
      auto socket = co_await Socket::connect(env, server.endpoint());
      EXPECT_TRUE(co_await send_text(*socket, i % 2 == 0 ? "GET /large HTTP/1.1\r\nHost: a\r\n\r\n" : wrong));
      unread.push_back(std::move(*socket));
    }
    (void)co_await sleep_for(env, Duration::milliseconds(100));
    EXPECT_LE(env.stats().receive_buffers, 130u);
    EXPECT_TRUE((co_await raw_exchange(env, server.endpoint(), {kHelloClose})).ends_with("hello"));
    co_await close_all(unread);
  });
}

// A handler that takes a block of memory before it reads, as the API's does.
class HoldingHandler final : public HttpHandler {
 public:
  explicit HoldingHandler(size_t bytes) : bytes_(bytes) {}
  Task<void> handle(HttpExchange& exchange) override {
    const bool put = exchange.request().method == "PUT";
    const BufferUse use = put ? BufferUse::body : BufferUse::answer;
    const Buffer buffer = co_await exchange.env().buffers().allocate(bytes_, use);
    std::string text = "done";
    if (put) {
      exchange.hold_for_body(bytes_, BufferUse::body);
      const auto count = co_await exchange.read_body(buffer.span(0, 1000));
      if (!count) text = "cut";
      if (!count) ++cut;
    } else {
      iovec body{buffer.data(), bytes_};
      if (!co_await exchange.respond(200, {&body, 1})) ++cut;
      co_return;
    }
    iovec body{text.data(), text.size()};
    (void)co_await exchange.respond(200, {&body, 1});
  }
  std::string protocol_error(int, HeaderWriter&) override { return "error"; }
  int cut = 0;

 private:
  size_t bytes_;
};

// The holders send `attack` and hold all memory there is; then a quick PUT must still be served soon.
void expect_room_beside(const std::string& attack) {
  constexpr size_t kHeld = kBufferSizeMax;
  constexpr size_t kHolders = 60;
  run_in(TestEnv::sim, [&](Env& env) -> Task<void> {
    auto listener = co_await Listener::open(env, Endpoint::loopback(0));
    HoldingHandler handler(kHeld);
    HttpServer server(env, std::move(*listener), handler, {});
    EXPECT_GT(kHolders * kHeld, env.buffers().limit_bytes());
    co_await when_all(
        [&] { return server.run(); },
        [&]() -> Task<void> {
          std::vector<Socket> holders;
          for (size_t i = 0; i < kHolders; ++i) {
            auto socket = co_await Socket::connect(env, server.endpoint());
            EXPECT_TRUE(co_await send_text(*socket, attack));
            holders.push_back(std::move(*socket));
          }
          (void)co_await sleep_for(env, Duration::milliseconds(1500));
          for (int i = 0; i < 20; ++i) {
            const Instant began = env.now();
            const std::string put =
                "PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
            const std::string text = co_await raw_exchange(env, server.endpoint(), {put});
            EXPECT_TRUE(text.ends_with("done")) << text;
            EXPECT_LT((env.now() - began).milliseconds(), 2000) << i;
          }
          EXPECT_GT(handler.cut, 0);
          co_await close_all(holders);
          server.stop(Duration::seconds(1));
        });
    EXPECT_EQ(server.admission().held_bytes(), 0u);
  });
}

TEST(Admission, BodiesThatDripGiveTheirMemoryUp) {
  expect_room_beside("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
}

TEST(Admission, ReadersThatDoNotReadGiveTheirMemoryUp) {
  expect_room_beside("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
}

// With plenty of memory a slow client may take its time.
TEST(Admission, SlowClientsAreLeftAloneWhileThereIsRoom) {
  run_in(TestEnv::sim, [](Env& env) -> Task<void> {
    auto listener = co_await Listener::open(env, Endpoint::loopback(0));
    HoldingHandler handler(64 * kKiB);
    HttpServer server(env, std::move(*listener), handler, {});
    co_await when_all(
        [&] { return server.run(); },
        [&]() -> Task<void> {
          auto socket = co_await Socket::connect(env, server.endpoint());
          EXPECT_TRUE(co_await send_text(
              *socket, "PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"));
          for (int i = 0; i < 10; ++i) {
            (void)co_await sleep_for(env, Duration::seconds(2));
            EXPECT_TRUE(co_await send_text(*socket, std::string(100, 'x')));
          }
          EXPECT_TRUE((co_await receive_all(*socket)).ends_with("done"));
          EXPECT_TRUE(co_await socket->close());
          server.stop(Duration::seconds(1));
        });
    EXPECT_EQ(handler.cut, 0);
    EXPECT_EQ(server.stats().bodies_cut, 0u);
  });
}

}  // namespace
}  // namespace fb
