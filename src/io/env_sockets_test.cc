// SPDX-License-Identifier: Apache-2.0
// Tests of what every environment promises about sockets.
#include <gtest/gtest.h>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/poison.h"
#include "io/call_on.h"
#include "io/env_test_bytes.h"
#include "io/env_test_suite.h"
#include "io/scope.h"
#include "io/stream.h"

namespace fb {
namespace {

Task<Result<void>> send_text(Stream& stream, std::string text, IoLimits limits = {}) {
  std::array<iovec, 1> vectors = {{{.iov_base = text.data(), .iov_len = text.size()}}};
  co_return co_await stream.send_all(vectors, limits);
}

// Both ends of a connection over loopback.
struct Pair {
  Listener listener;
  std::optional<Socket> client;
  std::optional<Socket> server;

  Task<Result<void>> open(Env& env) {
    FB_CO_TRY(listener, co_await Listener::open(env, Endpoint::loopback(0)));
    auto [connected, accepted] = co_await when_all([&] { return Socket::connect(env, listener.endpoint()); },
                                                   [&] { return listener.accept({}); });
    if (connected) client.emplace(std::move(*connected));
    if (accepted) server.emplace(std::move(*accepted));
    if (!connected) co_return connected.error();
    if (!accepted) co_return accepted.error();
    co_return Result<void>();
  }
  Task<void> close() {
    if (client) EXPECT_TRUE(co_await client->close());
    if (server) EXPECT_TRUE(co_await server->close());
    EXPECT_TRUE(co_await listener.close());
  }
};

TEST_P(EnvTest, ConnectsAndTalks) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    EXPECT_TRUE(pair.server->peer().is_loopback());
    EXPECT_TRUE(co_await send_text(*pair.client, "hello"));
    // `sim` splits even a few bytes.
    std::string heard;
    while (heard.size() < 5) {
      std::string buffer(100, '\0');
      const Result<size_t> count = co_await pair.server->receive(bytes_of(buffer), {});
      CO_ASSERT_OK(count);
      CO_ASSERT(*count > 0);
      heard.append(buffer, 0, *count);
    }
    EXPECT_EQ(heard, "hello");
    EXPECT_TRUE(co_await send_text(*pair.server, "welcome"));
    heard.clear();
    while (heard.size() < 7) {
      Result<PooledBytes> pooled = co_await pair.client->receive_pooled({});
      CO_ASSERT_OK(pooled);
      CO_ASSERT(!pooled->bytes().empty());
      heard += text_of(pooled->bytes());
    }
    EXPECT_EQ(heard, "welcome");
    co_await pair.close();
  });
}

Task<void> echo(Socket& socket) {
  for (;;) {
    Result<PooledBytes> received = co_await socket.receive_pooled({});
    CO_ASSERT_OK(received);
    const std::span<std::byte> bytes = received->bytes();
    if (bytes.empty()) co_return;
    std::array<iovec, 3> vectors = {
        {{.iov_base = bytes.data(), .iov_len = bytes.size() / 2},
         {.iov_base = nullptr, .iov_len = 0},
         {.iov_base = bytes.data() + bytes.size() / 2, .iov_len = bytes.size() - bytes.size() / 2}}};
    const Result<void> sent = co_await socket.send_all(vectors, {});
    CO_ASSERT_OK(sent);
  }
}

TEST_P(EnvTest, EchoesMebibytes) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    const std::string sent = pattern(5 * kMiB + 17, 5);
    std::string received;
    auto write = [&]() -> Task<void> { EXPECT_TRUE(co_await send_text(*pair.client, sent)); };
    auto read = [&]() -> Task<void> {
      std::string part(100'000, '\0');
      while (received.size() < sent.size()) {
        const Result<size_t> count = co_await pair.client->receive(bytes_of(part), {});
        CO_ASSERT_OK(count);
        CO_ASSERT(*count > 0);
        received.append(part, 0, *count);
      }
      EXPECT_TRUE(co_await pair.client->close());
    };
    co_await when_all(write, read, [&] { return echo(*pair.server); });
    EXPECT_TRUE(received == sent);
    co_await pair.close();
  });
}

TEST_P(EnvTest, EndOfStreamIsZeroBytes) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    EXPECT_TRUE(co_await send_text(*pair.client, "last"));
    EXPECT_TRUE(co_await pair.client->close());
    std::string buffer(100, '\0');
    EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 4U);
    EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 0U);
    const Result<PooledBytes> ended = co_await pair.server->receive_pooled({});
    CO_ASSERT_OK(ended);
    EXPECT_TRUE(ended->bytes().empty());
    co_await pair.close();
  });
}

TEST_P(EnvTest, SendingToAPeerThatLeftFails) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    // Closing with unread data resets the connection.
    EXPECT_TRUE(co_await send_text(*pair.server, "unread"));
    EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
    EXPECT_TRUE(co_await pair.client->close());
    Result<void> sent;
    for (int attempt = 0; attempt < 100 && sent; ++attempt) {
      sent = co_await send_text(*pair.server, pattern(10'000, 2));
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
    }
    CO_ASSERT(!sent.has_value());
    EXPECT_TRUE(sent.error().is(IoError::connection_lost)) << sent.error().to_string();
    co_await pair.close();
  });
}

TEST_P(EnvTest, ShutdownEndsAReceiveInFlight) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    auto receive = [&]() -> Task<void> {
      std::string buffer(10, '\0');
      EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 0U);
    };
    auto stop = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(2)));
      EXPECT_TRUE(co_await pair.server->shutdown());
    };
    co_await when_all(receive, stop);
    co_await pair.close();
  });
}

TEST_P(EnvTest, ReceiveEndsAtItsDeadline) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    for (int round = 0; round < 3; ++round) {
      const Instant deadline = env.now() + Duration::milliseconds(10);
      const Result<PooledBytes> pooled = co_await pair.server->receive_pooled({.deadline = deadline});
      CO_ASSERT(!pooled.has_value());
      EXPECT_TRUE(pooled.error().is(IoError::timed_out));
      EXPECT_GE(env.now(), deadline);
      std::string buffer(10, '\0');
      const Result<size_t> plain = co_await pair.server->receive(
          bytes_of(buffer), {.deadline = env.now() + Duration::milliseconds(5)});
      CO_ASSERT(!plain.has_value());
      EXPECT_TRUE(plain.error().is(IoError::timed_out));
    }
    // Nothing is lost: the next receive sees everything.
    EXPECT_TRUE(co_await send_text(*pair.client, "after"));
    const Result<PooledBytes> after =
        co_await pair.server->receive_pooled({.deadline = env.now() + Duration::seconds(60)});
    CO_ASSERT_OK(after);
    EXPECT_EQ(text_of(after->bytes()), "after");
    EXPECT_EQ(env.timers().size(), 0U);
    co_await pair.close();
  });
}

TEST_P(EnvTest, SendEndsAtItsDeadlineWhereNobodyReads) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    const std::string large = pattern(64 * kMiB, 3);
    const Result<void> sent =
        co_await send_text(*pair.server, large, {.deadline = env.now() + Duration::milliseconds(300)});
    CO_ASSERT(!sent.has_value());
    EXPECT_TRUE(sent.error().is(IoError::timed_out));
    co_await pair.close();
  });
}

TEST_P(EnvTest, CancelsWhatIsInFlight) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    CancelSource source;
    auto receive = [&]() -> Task<void> {
      std::string buffer(10, '\0');
      const Result<size_t> received = co_await pair.server->receive(bytes_of(buffer), {.cancel = &source});
      EXPECT_TRUE(!received.has_value() && received.error().is(IoError::cancelled));
    };
    auto receive_pooled = [&]() -> Task<void> {
      const Result<PooledBytes> received = co_await pair.client->receive_pooled({.cancel = &source});
      EXPECT_TRUE(!received.has_value() && received.error().is(IoError::cancelled));
    };
    auto accept = [&]() -> Task<void> {
      const Result<Socket> accepted = co_await pair.listener.accept({.cancel = &source});
      EXPECT_TRUE(!accepted.has_value() && accepted.error().is(IoError::cancelled));
    };
    auto cancel = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(2)));
      source.cancel();
    };
    co_await when_all(receive, receive_pooled, accept, cancel);
    co_await pair.close();
  });
}

TEST_P(EnvTest, ConnectingToNobodyIsRefused) {
  run([](Env& env) -> Task<void> {
    Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(listener);
    const Endpoint endpoint = listener->endpoint();
    EXPECT_NE(endpoint.port, 0);
    EXPECT_TRUE(co_await listener->close());
    const Result<Socket> socket = co_await Socket::connect(env, endpoint);
    CO_ASSERT(!socket.has_value());
    EXPECT_TRUE(socket.error().is(IoError::refused)) << socket.error().to_string();
  });
}

TEST_P(EnvTest, PooledBuffersRunOutAndComeBack) {
  if (!fixture_->abilities().real) GTEST_SKIP() << "sockets of the kernel only";
  run([](Env& env) -> Task<void> {
    // More than the environment's pool: the last receive has to wait until one is given back.
    constexpr size_t kHeldMax = 4000;
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    std::vector<PooledBytes> held;
    while (held.size() < kHeldMax) {
      EXPECT_TRUE(co_await send_text(*pair.client, std::to_string(held.size())));
      Result<PooledBytes> received =
          co_await pair.server->receive_pooled({.deadline = env.now() + Duration::milliseconds(200)});
      if (!received) {
        EXPECT_TRUE(received.error().is(IoError::timed_out));
        break;
      }
      EXPECT_EQ(text_of(received->bytes()), std::to_string(held.size()));
      held.push_back(std::move(*received));
    }
    EXPECT_GT(held.size(), 100U);
    CO_ASSERT(held.size() < kHeldMax);
    // The receive waits while no buffer is left, and takes the waiting bytes when one comes back.
    const std::string expected = std::to_string(held.size());
    auto receive = [&]() -> Task<void> {
      Result<PooledBytes> received = co_await pair.server->receive_pooled({});
      CO_ASSERT_OK(received);
      EXPECT_EQ(text_of(received->bytes()), expected);
    };
    auto give_back = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
      held.erase(held.begin());
    };
    co_await when_all(receive, give_back);
    held.clear();
    for (int round = 0; round < 100; ++round) {
      EXPECT_TRUE(co_await send_text(*pair.client, "again"));
      const Result<PooledBytes> received = co_await pair.server->receive_pooled({});
      CO_ASSERT_OK(received);
      EXPECT_EQ(text_of(received->bytes()), "again");
    }
    co_await pair.close();
  });
}

// AddressSanitizer reports code that still reads received bytes after they were given back, in the buffers of
// every environment.
TEST_P(EnvTest, PooledBytesGivenBackArePoisoned) {
  if (!kPoisoning) GTEST_SKIP() << "needs AddressSanitizer";
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    for (int round = 0; round < 3; ++round) {
      EXPECT_TRUE(co_await send_text(*pair.client, "some bytes"));
      Result<PooledBytes> received = co_await pair.server->receive_pooled({});
      CO_ASSERT_OK(received);
      const std::byte* const data = received->bytes().data();
      EXPECT_FALSE(is_poisoned(data));
      received->reset();
      EXPECT_TRUE(is_poisoned(data));
    }
    co_await pair.close();
  });
}

Task<void> serve_echo(Socket socket) {
  co_await echo(socket);
  EXPECT_TRUE(co_await socket.close());
}

Task<void> talk(Env& env, Endpoint endpoint, unsigned number, size_t& good) {
  Result<Socket> socket = co_await Socket::connect(env, endpoint);
  CO_ASSERT_OK(socket);
  for (unsigned round = 0; round < 20; ++round) {
    const std::string sent = pattern(1 + (number * 37 + round * 911) % 3000, number);
    EXPECT_TRUE(co_await send_text(*socket, sent));
    std::string received(sent.size(), '\0');
    for (size_t at = 0; at < sent.size();) {
      const Result<size_t> count = co_await socket->receive(bytes_of(received).subspan(at), {});
      CO_ASSERT_OK(count);
      CO_ASSERT(*count > 0);
      at += *count;
    }
    if (received == sent) ++good;
  }
  EXPECT_TRUE(co_await socket->close());
}

TEST_P(EnvTest, ManyConnections) {
  run([](Env& env) -> Task<void> {
    constexpr unsigned kConnections = 100;
    Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(listener);
    Scope scope(env);
    size_t good = 0;
    for (unsigned number = 0; number < kConnections; ++number) {
      scope.spawn(&talk, std::ref(env), listener->endpoint(), number, std::ref(good));
    }
    for (unsigned number = 0; number < kConnections; ++number) {
      Result<Socket> socket = co_await listener->accept({});
      CO_ASSERT_OK(socket);
      scope.spawn(&serve_echo, std::move(*socket));
    }
    co_await scope.join();
    EXPECT_EQ(good, size_t{kConnections} * 20);
    EXPECT_TRUE(co_await listener->close());
  });
}

TEST_P(EnvTest, CoresShareAPortButOthersDoNot) {
  if (!fixture_->abilities().real) GTEST_SKIP() << "sockets of the kernel only";
  run_cores_of(2, [&](Env& env) -> Task<void> {
    if (env.core() != 0) co_return;
    Result<Listener> first = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(first);
    const Endpoint endpoint = first->endpoint();
    co_await call_on(env, 1, [&](Env& there) -> Task<void> {
      Result<Listener> second = co_await Listener::open(there, endpoint);
      CO_ASSERT_OK(second);
      EXPECT_TRUE(co_await second->close());
    });
    // Another run stands for another process: it knows nothing of ours.
    const std::unique_ptr<EnvFixture> other = GetParam().make();
    other->run(1, {.limit_bytes = kMiB}, [&](Env& elsewhere) -> Task<void> {
      const Result<Listener> refused = co_await Listener::open(elsewhere, endpoint);
      EXPECT_TRUE(!refused.has_value() && refused.error().is(IoError::in_use));
      co_return;
    });
    EXPECT_TRUE(co_await first->close());
    Result<Listener> again = co_await Listener::open(env, endpoint);
    CO_ASSERT_OK(again);
    EXPECT_TRUE(co_await again->close());
  });
}

}  // namespace
}  // namespace fb
