// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "http/cut_stream.h"
#include "http/error.h"
#include "http/http_client.h"
#include "http/http_server.h"
#include "io/runtime.h"
#include "io/sim/simulation.h"

// For tests of src/http: a server with a handler of many manners, and clients, on one core of an environment.

namespace fb {

enum class TestEnv { uring, portable, sim };

inline std::string test_env_name(const testing::TestParamInfo<TestEnv>& info) {
  return info.param == TestEnv::uring ? "uring" : info.param == TestEnv::portable ? "portable" : "sim";
}

inline void run_in(TestEnv kind, const std::function<Task<void>(Env&)>& main) {
  if (kind == TestEnv::sim) {
    sim::Simulation simulation(1);
    sim::SimNode& node = simulation.add_node({.name = "node"});
    node.start(main);
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(60)));
    return;
  }
  const auto ran = run_cores(
      {.cores = 1, .backend = kind == TestEnv::uring ? IoBackend::uring : IoBackend::portable}, main);
  ASSERT_TRUE(ran) << ran.error().to_string();
}

inline std::string pattern_text(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 1000) % 26);
  return text;
}

// A handler keeps views of its request's head across every wait. This one looks at all of them again at the
// end: they must point to the same places, with the same bytes.
class HeadWitness {
 public:
  explicit HeadWitness(const HttpExchange& exchange) : exchange_(exchange), views_(views_of(exchange)) {
    for (const std::string_view view : views_) texts_.emplace_back(view);
  }
  ~HeadWitness() {
    const std::vector<std::string_view> now = views_of(exchange_);
    EXPECT_EQ(now.size(), views_.size());
    for (size_t i = 0; i < views_.size(); ++i) {
      EXPECT_EQ(now[i].data(), views_[i].data()) << i << " moved";
      EXPECT_TRUE(views_[i] == texts_[i]) << i << " changed: " << texts_[i];
    }
  }
  HeadWitness(const HeadWitness&) = delete;

 private:
  static std::vector<std::string_view> views_of(const HttpExchange& exchange) {
    const RequestHead& head = exchange.request();
    std::vector<std::string_view> views{head.method, head.target, head.path, head.query};
    for (const HeaderField& field : head.headers) {
      views.push_back(field.name);
      views.push_back(field.value);
    }
    return views;
  }

  const HttpExchange& exchange_;
  std::vector<std::string_view> views_;
  std::vector<std::string> texts_;
};

class TestHandler final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    const HeadWitness witness(exchange);
    const std::string_view path = exchange.request().path;
    ++handled;
    if (path == "/hello") {
      co_await respond_text(exchange, 200, "hello");
    } else if (path == "/echo") {
      co_await echo(exchange, false);
    } else if (path == "/await") {
      co_await echo(exchange, true);
    } else if (path == "/refuse") {
      co_await respond_text(exchange, 403, "refused");
    } else if (path == "/nothing") {
      co_return;
    } else if (path == "/short") {
      exchange.begin_response(200, 10);
      std::string text = "12345";
      iovec vector{text.data(), text.size()};
      (void)co_await exchange.send_body({&vector, 1});
    } else if (path == "/stream" || path == "/announced") {
      co_await stream(exchange, path == "/announced");
    } else if (path == "/empty-stream") {
      exchange.begin_response(200, std::nullopt);
      (void)co_await exchange.end_response();
    } else if (path == "/no-content") {
      (void)co_await exchange.respond(204, {});
    } else if (path == "/not-modified") {
      (void)co_await exchange.respond_without_body(304, 1234);
    } else if (path == "/large") {
      std::string text = pattern_text(4 * kMiB);
      iovec vector{text.data(), text.size()};
      last_send = co_await exchange.respond(200, {&vector, 1});
    } else if (path == "/wait") {
      (void)co_await sleep_for(exchange.env(), Duration::milliseconds(500));
      co_await respond_text(exchange, 200, "waited");
    } else {
      co_await respond_text(exchange, 404, "no such path");
    }
  }

  std::string protocol_error(int status, HeaderWriter& headers) override {
    headers.add("Content-Type", "text/plain");
    return "error " + std::to_string(status);
  }

  int handled = 0;
  std::optional<Error> body_error;
  Result<void> last_send;

 private:
  static Task<void> respond_text(HttpExchange& exchange, int status, std::string text) {
    exchange.headers().add("X-Test", "yes");
    iovec vector{text.data(), text.size()};
    (void)co_await exchange.respond(status, {&vector, 1});
  }

  // `await`: it waits for bytes before it has memory for them.
  Task<void> echo(HttpExchange& exchange, bool await) {
    std::string text;
    for (;;) {
      std::array<std::byte, 70'000> piece;
      Result<void> there;
      if (await && exchange.body_at_hand() == 0) there = co_await exchange.await_body();
      if (there) EXPECT_TRUE(!await || exchange.body_at_hand() != 0);
      auto count = co_await exchange.read_body(piece);
      if (!there) count = there.error();
      if (!count) {
        body_error = count.error();
        co_await respond_text(exchange, count.error().is(HttpError::timed_out) ? 408 : 400, "bad body");
        co_return;
      }
      text.append(reinterpret_cast<const char*>(piece.data()), *count);
      if (*count < piece.size()) break;
    }
    co_await respond_text(exchange, 200, std::move(text));
  }

  static Task<void> stream(HttpExchange& exchange, bool announce) {
    exchange.begin_response(200, announce ? std::optional<uint64_t>(11) : std::nullopt);
    for (std::string piece : {"hello", " ", "world"}) {
      iovec vector{piece.data(), piece.size()};
      if (!co_await exchange.send_body({&vector, 1})) co_return;
    }
    (void)co_await exchange.end_response();
  }
};

// Short times, so that tests on a real clock are quick.
inline HttpLimits quick_limits() {
  HttpLimits limits;
  limits.idle_timeout = Duration::milliseconds(400);
  limits.head_timeout = Duration::milliseconds(400);
  limits.body_idle_timeout = Duration::milliseconds(400);
  limits.send_idle_timeout = Duration::milliseconds(400);
  limits.tls_handshake_timeout = Duration::milliseconds(400);
  limits.drain_timeout = Duration::milliseconds(400);
  limits.timeout_resolution = Duration::milliseconds(20);
  return limits;
}

// Runs `client` against a server, then stops the server.
inline void with_server(TestEnv kind, const HttpServerOptions& options,
                        const std::function<Task<void>(Env&, HttpServer&, TestHandler&)>& client) {
  run_in(kind, [&](Env& env) -> Task<void> {
    auto listener = co_await Listener::open(env, Endpoint::loopback(0));
    EXPECT_TRUE(listener);
    if (!listener) co_return;
    TestHandler handler;
    HttpServer server(env, std::move(*listener), handler, options);
    co_await when_all([&] { return server.run(); },
                      [&]() -> Task<void> {
                        co_await client(env, server, handler);
                        if (!server.stopping()) server.stop(Duration::seconds(1));
                      });
    EXPECT_EQ(server.stats().connections_active, 0u);
  });
}

inline Task<Result<void>> send_text(Stream& stream, std::string text) {
  iovec vector{text.data(), text.size()};
  co_return co_await stream.send_all({&vector, 1}, {});
}

// Everything until the server closes.
inline Task<std::string> receive_all(Stream& stream) {
  std::string all;
  for (;;) {
    std::array<std::byte, 4096> piece;
    const auto count = co_await stream.receive(piece, {});
    if (!count || *count == 0) co_return all;
    all.append(reinterpret_cast<const char*>(piece.data()), *count);
  }
}

// Sends the pieces with a pause between them, and receives until the server closes.
inline Task<std::string> raw_exchange(Env& env, Endpoint endpoint, std::vector<std::string> pieces) {
  auto socket = co_await Socket::connect(env, endpoint);
  EXPECT_TRUE(socket);
  if (!socket) co_return "";
  CutStream stream(*socket);
  bool first = true;
  for (const std::string& piece : pieces) {
    if (!first) (void)co_await sleep_for(env, Duration::milliseconds(2));
    first = false;
    // The server may have answered and closed already.
    if (!piece.empty() && !co_await send_text(stream, piece)) break;
  }
  std::string all = co_await receive_all(stream);
  EXPECT_TRUE(co_await stream.close());
  co_return all;
}

inline size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace fb
