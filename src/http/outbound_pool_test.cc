// SPDX-License-Identifier: Apache-2.0
#include "http/outbound_pool.h"

#include <gtest/gtest.h>

#include "http/error.h"
#include "http/http_server.h"
#include "http/retry.h"
#include "io/scope.h"
#include "io/sim/simulation.h"

namespace fb {
namespace {

// Says what it was asked for, and closes the connection where told.
class Echo final : public HttpHandler {
 public:
  std::vector<std::string> targets;
  std::vector<Endpoint> peers;
  int status = 200;

  Task<void> handle(HttpExchange& exchange) override {
    targets.emplace_back(std::string(exchange.request().method) + " " +
                         std::string(exchange.request().target));
    peers.push_back(exchange.peer());
    std::string body = "hello";
    iovec vector{body.data(), body.size()};
    (void)co_await exchange.respond(status, {&vector, 1});
  }
  std::string protocol_error(int status_in, HeaderWriter&) override {
    targets.push_back("refused");
    return std::to_string(status_in);
  }
};

Task<void> run_http(HttpServer* server) { co_await server->run(); }

class OutboundPoolTest : public ::testing::Test {
 protected:
  void run(const std::function<Task<void>(Env&, const Endpoint&)>& body,
           const HttpServerOptions& options = {}) {
    bool ended = false;
    node_.start([&](Env& env) -> Task<void> {
      auto listener = co_await Listener::open(env, node_.endpoint(80));
      EXPECT_TRUE(listener);
      HttpServer server(env, std::move(*listener), echo_, options);
      Scope serving(env);
      serving.spawn(&run_http, &server);
      co_await body(env, server.endpoint());
      server.stop(Duration::seconds(1));
      co_await serving.join();
      ended = true;
    });
    simulation_.run_until([&] { return !node_.running(); }, Duration::minutes(30));
    EXPECT_TRUE(ended);
  }

  static Task<Result<std::string>> ask(OutboundPool& pool, Env& env) {
    const IoLimits limits{.deadline = env.now() + Duration::seconds(10)};
    FB_CO_TRY(std::unique_ptr<OutboundConnection> connection, co_await pool.acquire(limits));
    const std::string target = pool.target("/path?query");
    const std::array headers = {HeaderField{"Host", pool.origin().authority}};
    Result<std::string> text = HttpError::malformed;
    if (co_await connection->http().send({.target = target, .headers = headers}, {}, limits)) {
      if (co_await connection->http().receive_head(limits))
        text = co_await connection->http().read_body_text(kKiB, limits);
    }
    co_await pool.release(std::move(connection));
    co_return text;
  }

  Echo echo_;
  TlsContext no_tls_;
  sim::Simulation simulation_{1};
  sim::SimNode& node_ = simulation_.add_node({.name = "machine"});
};

TEST_F(OutboundPoolTest, AConnectionServesManyRequestsAndOneThatIsOldIsNotUsed) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundPool pool(env, {.host = "h", .authority = "h", .addresses = {server}}, no_tls_,
                      {.idle_timeout = Duration::seconds(5)});
    for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await ask(pool, env)).value_or("none"), "hello");
    EXPECT_EQ(echo_.peers[0], echo_.peers[2]);
    EXPECT_EQ(pool.idle_count(), 1U);
    (void)co_await sleep_for(env, Duration::seconds(6));
    EXPECT_EQ((co_await ask(pool, env)).value_or("none"), "hello");
    EXPECT_NE(echo_.peers[2], echo_.peers[3]);
    co_await pool.close();
  });
  EXPECT_EQ(echo_.targets[0], "GET /path?query");
}

TEST_F(OutboundPoolTest, RequestsBeyondTheLimitWait) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundPool pool(env, {.host = "h", .authority = "h", .addresses = {server}}, no_tls_,
                      {.connections = 1});
    auto first = co_await pool.acquire({});
    EXPECT_TRUE(first);
    bool second = false;
    co_await when_all(
        [&]() -> Task<void> {
          auto connection = co_await pool.acquire({});
          EXPECT_TRUE(connection);
          second = true;
          co_await pool.discard(std::move(*connection));
        },
        [&]() -> Task<void> {
          (void)co_await sleep_for(env, Duration::seconds(1));
          EXPECT_FALSE(second);
          co_await pool.discard(std::move(*first));
        });
    EXPECT_TRUE(second);
    co_await pool.close();
  });
}

TEST_F(OutboundPoolTest, AddressesAreTriedInOrderAndFailuresExplained) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    Endpoint closed = server;
    closed.port = 81;
    OutboundPool good(env, {.host = "h", .authority = "h", .addresses = {closed, server}}, no_tls_);
    EXPECT_EQ((co_await ask(good, env)).value_or("none"), "hello");
    co_await good.close();
    OutboundPool bad(env, {.host = "h", .authority = "h", .addresses = {closed}}, no_tls_);
    EXPECT_FALSE(co_await ask(bad, env));
    EXPECT_NE(bad.problem().find("cannot connect to"), std::string::npos);
    co_await bad.close();
  });
}

TEST_F(OutboundPoolTest, PlainRequestsNameTheirHostToAProxy) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundPool pool(env, {.host = "h", .authority = "h:90", .addresses = {server}, .proxied = true},
                      no_tls_);
    EXPECT_EQ(pool.target("/path?query"), "http://h:90/path?query");
    (void)co_await ask(pool, env);
    co_await pool.close();
  });
  ASSERT_EQ(echo_.targets.size(), 1U);
}

TEST_F(OutboundPoolTest, PausesGrowToTheirBoundAndEndWithTheDeadline) {
  run([&](Env& env, const Endpoint&) -> Task<void> {
    const Instant start = env.now();
    Retry retry(env, start + Duration::seconds(60));
    int pauses = 0;
    Duration longest;
    for (Instant before = env.now(); co_await retry.wait(); before = env.now()) {
      longest = std::max(longest, env.now() - before);
      ++pauses;
    }
    EXPECT_LE(env.now() - start, Duration::seconds(60));
    EXPECT_LE(longest, Duration::milliseconds(5'001));
    EXPECT_GE(longest, Duration::milliseconds(2'500));
    EXPECT_GE(pauses, 15);
    EXPECT_LE(pauses, 40);
  });
}

}  // namespace
}  // namespace fb
