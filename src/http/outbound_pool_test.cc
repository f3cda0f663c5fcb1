// SPDX-License-Identifier: Apache-2.0
#include "http/outbound_pool.h"

#include <gtest/gtest.h>

#include "http/error.h"
#include "http/http_server.h"
#include "http/retry.h"
#include "io/error.h"
#include "io/scope.h"
#include "io/sim/simulation.h"

namespace fb {
namespace {

// Answers with the request it got, and closes the connection if told to.
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
    if (text) {
      co_await pool.release(std::move(connection));
    } else {
      co_await pool.discard(std::move(connection));
    }
    co_return text;
  }

  static OutboundOrigin origin_of(std::string peer) {
    return {.host = "h", .authority = "h", .peer_host = std::move(peer), .peer_port = 80};
  }

  Echo echo_;
  TlsContext no_tls_;
  sim::Simulation simulation_{1};
  sim::SimNode& node_ = simulation_.add_node({.name = "machine"});
};

TEST_F(OutboundPoolTest, AConnectionServesManyRequestsAndOneThatIsOldIsNotUsed) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundPool pool(env, origin_of(server.host_text()), no_tls_, {.idle_timeout = Duration::seconds(5)});
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
    OutboundPool pool(env, origin_of(server.host_text()), no_tls_, {.connections = 1});
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

TEST_F(OutboundPoolTest, FailuresAreExplained) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundOrigin closed = origin_of(server.host_text());
    closed.peer_port = 81;
    OutboundPool nobody(env, closed, no_tls_);
    EXPECT_FALSE(co_await ask(nobody, env));
    EXPECT_NE(nobody.problem().find("cannot connect to"), std::string::npos);
    co_await nobody.close();
    OutboundPool nameless(env, origin_of("nowhere"), no_tls_);
    EXPECT_FALSE(co_await ask(nameless, env));
    EXPECT_NE(nameless.problem().find("nowhere cannot be found"), std::string::npos) << nameless.problem();
    co_await nameless.close();
  });
}

TEST_F(OutboundPoolTest, PlainRequestsNameTheirHostToAProxy) {
  run([&](Env& env, const Endpoint& server) -> Task<void> {
    OutboundPool pool(env,
                      {.host = "h",
                       .authority = "h:90",
                       .peer_host = server.host_text(),
                       .peer_port = server.port,
                       .proxied = true},
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

// ---- names

// Servers on machines of their own, and a client that asks them by the name "cloud".
class OutboundNamesTest : public OutboundPoolTest {
 protected:
  struct Machine {
    sim::SimNode* node;
    Echo echo;
    size_t requests() const { return echo.targets.size(); }
    Endpoint address() const { return node->endpoint(0); }
  };

  void run(const std::function<Task<void>(Env&, OutboundPool&)>& body) {
    bool ended = false;
    for (Machine* machine : {&first_, &second_}) {
      machine->node->start([machine, &ended](Env& env) -> Task<void> {
        auto listener = co_await Listener::open(env, machine->node->endpoint(80));
        EXPECT_TRUE(listener);
        HttpServer server(env, std::move(*listener), machine->echo, {});
        Scope serving(env);
        serving.spawn(&run_http, &server);
        while (!ended) (void)co_await sleep_for(env, Duration::milliseconds(100));
        server.stop(Duration::seconds(1));
        co_await serving.join();
      });
    }
    node_.start([&](Env& env) -> Task<void> {
      OutboundPool pool(env, origin_of("cloud"), no_tls_);
      co_await body(env, pool);
      co_await pool.close();
      ended = true;
    });
    simulation_.run_until([&] { return !first_.node->running() && !second_.node->running(); },
                          Duration::minutes(60));
    EXPECT_TRUE(ended);
  }
  // Asks every second.
  static Task<void> ask_for(OutboundPool& pool, Env& env, Duration time, size_t failures_max = 0) {
    size_t failures = 0;
    for (const Instant end = env.now() + time; env.now() < end;) {
      failures += !co_await ask(pool, env);
      (void)co_await sleep_for(env, Duration::seconds(1));
    }
    EXPECT_LE(failures, failures_max);
  }
  void set_addresses(std::vector<Endpoint> addresses) {
    simulation_.network().set_name("cloud", std::move(addresses));
  }

  Machine first_{.node = &simulation_.add_node({.name = "first"}), .echo = {}};
  Machine second_{.node = &simulation_.add_node({.name = "second"}), .echo = {}};
  // With its link cut, nobody answers there, and nobody refuses.
  sim::SimNode& dark_ = simulation_.add_node({.name = "dark"});
};

TEST_F(OutboundNamesTest, ANameThatChangesItsAddressIsFollowed) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    set_addresses({first_.address()});
    co_await ask_for(pool, env, Duration::seconds(10));
    EXPECT_EQ(second_.requests(), 0U);
    set_addresses({second_.address()});
    // The old address still answers: the pool leaves it when both its connection and the known addresses are
    // old.
    const Duration at_most = OutboundLimits().age_max + HostAddressesLimits().fresh + Duration::seconds(15);
    co_await ask_for(pool, env, at_most);
    const size_t before = first_.requests();
    const size_t after = second_.requests();
    co_await ask_for(pool, env, Duration::seconds(20));
    EXPECT_EQ(first_.requests(), before);
    EXPECT_GE(second_.requests(), after + 18);
  });
}

TEST_F(OutboundNamesTest, AnAddressThatDiesIsLeftAtOnceForTheNewOne) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    set_addresses({first_.address()});
    co_await ask_for(pool, env, Duration::seconds(3));
    set_addresses({second_.address()});
    first_.node->crash(sim::CrashKind::kill);
    // The connection that was kept fails; the next one looks the name up again.
    co_await ask_for(pool, env, Duration::seconds(5), 1);
    EXPECT_GE(second_.requests(), 3U);
  });
}

TEST_F(OutboundNamesTest, OneDeadAddressOfTwoCostsLittle) {
  for (const bool silent : {true, false}) {
    run([&](Env& env, OutboundPool& pool) -> Task<void> {
      set_addresses({silent ? dark_.endpoint(0) : Endpoint::ipv4(10, 9, 9, 9, 0), second_.address()});
      if (silent) simulation_.network().set_partition(node_, dark_, true);
      std::vector<Duration> times;
      for (int i = 0; i < 20; ++i) {
        const Instant asked = env.now();
        auto connection = co_await pool.acquire({.deadline = asked + Duration::seconds(10)});
        EXPECT_TRUE(connection) << pool.problem();
        if (!connection) co_return;
        times.push_back(env.now() - asked);
        co_await pool.discard(std::move(*connection));
      }
      // The first connect that meets the dead address waits for two seconds; the address then comes last for
      // half a minute.
      EXPECT_LE(std::ranges::count_if(times, [](Duration time) { return time > Duration::milliseconds(50); }),
                1);
      EXPECT_LT(std::ranges::max(times), Duration::milliseconds(2'100));
    });
  }
}

TEST_F(OutboundNamesTest, AllAddressesGetTheirShare) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    set_addresses({first_.address(), second_.address()});
    for (int i = 0; i < 20; ++i) {
      auto connection = co_await pool.acquire({});
      EXPECT_TRUE(connection);
      if (!connection) co_return;
      const std::array headers = {HeaderField{"Host", "h"}};
      EXPECT_TRUE(co_await (*connection)->http().send({.headers = headers}, {}, {}));
      EXPECT_TRUE(co_await (*connection)->http().receive_head({}));
      co_await pool.discard(std::move(*connection));
    }
    (void)env;
    EXPECT_EQ(first_.requests(), 10U);
    EXPECT_EQ(second_.requests(), 10U);
  });
}

TEST_F(OutboundNamesTest, WhileLookUpsFailTheKnownAddressesAreUsed) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    set_addresses({first_.address()});
    co_await ask_for(pool, env, Duration::seconds(3));
    simulation_.network().faults().lookup_failed_ppm = 1'000'000;
    set_addresses({second_.address()});
    const size_t before = first_.requests();
    co_await ask_for(pool, env, Duration::minutes(12));
    EXPECT_GE(first_.requests(), before + 700);
    EXPECT_EQ(second_.requests(), 0U);
    // Look-ups are tried all the time, and not too often.
    const uint64_t failed = simulation_.faults()[sim::Fault::lookup_failed];
    EXPECT_GE(failed, 2U);
    EXPECT_LE(failed, 80U);
    simulation_.network().faults().lookup_failed_ppm = 0;
    co_await ask_for(pool, env, Duration::minutes(6));
    EXPECT_GE(second_.requests(), 10U);
  });
}

TEST_F(OutboundNamesTest, ANameThatCannotBeLookedUpAtFirstIsFoundLater) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    co_await ask_for(pool, env, Duration::seconds(20), 100);
    EXPECT_EQ(first_.requests(), 0U);
    EXPECT_NE(pool.problem().find("cannot be found"), std::string::npos) << pool.problem();
    set_addresses({first_.address()});
    co_await ask_for(pool, env, Duration::seconds(20), 11);
    EXPECT_GE(first_.requests(), 8U);
  });
}

TEST_F(OutboundNamesTest, ALookUpSlowerThanItsDeadlineHoldsUpNothingThatIsKnown) {
  run([&](Env& env, OutboundPool& pool) -> Task<void> {
    set_addresses({first_.address()});
    co_await ask_for(pool, env, Duration::seconds(3));
    simulation_.network().timing().lookup_min = Duration::seconds(60);
    simulation_.network().timing().lookup_max = Duration::seconds(90);
    for (int i = 0; i < 100; ++i) {
      const Instant asked = env.now();
      auto connection = co_await pool.acquire({.deadline = asked + Duration::seconds(10)});
      EXPECT_TRUE(connection) << pool.problem();
      if (!connection) co_return;
      EXPECT_LT(env.now() - asked, Duration::milliseconds(50));
      co_await pool.discard(std::move(*connection));
      (void)co_await sleep_for(env, Duration::seconds(1));
    }
    // No request came for long: that is worth a short wait, not a failure.
    (void)co_await sleep_for(env, Duration::minutes(10));
    const Instant asked = env.now();
    EXPECT_TRUE(co_await ask(pool, env));
    EXPECT_LT(env.now() - asked, Duration::milliseconds(2'100));
    OutboundPool other(env, origin_of("cloud"), no_tls_);
    const auto none = co_await other.acquire({.deadline = env.now() + Duration::seconds(2)});
    EXPECT_TRUE(!none && none.error().is(IoError::timed_out));
    co_await other.close();
  });
}

}  // namespace
}  // namespace fb
