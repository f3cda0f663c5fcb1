// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_network.h"

#include <gtest/gtest.h>

#include <optional>

#include "io/sim/simulation.h"
#include "io/stream.h"
#include "io/sync.h"

namespace fb::sim {
namespace {

constexpr uint16_t kPort = 80;
constexpr Duration kLong = Duration::minutes(10);

Task<Result<void>> send_bytes(Socket& socket, size_t count, IoLimits limits = {}) {
  std::vector<std::byte> data(count);
  for (size_t i = 0; i < count; ++i) data[i] = static_cast<std::byte>(i * 7 + i / 251);
  iovec vector{data.data(), data.size()};
  co_return co_await socket.send_all({&vector, 1}, limits);
}

// Receives to the end of the stream; checks the bytes that send_bytes sent.
Task<Result<size_t>> receive_bytes(Socket& socket, IoLimits limits = {}) {
  size_t total = 0;
  std::vector<std::byte> piece(5000);
  for (;;) {
    FB_CO_TRY(const size_t count, co_await socket.receive(piece, limits));
    if (count == 0) co_return total;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(piece[i], static_cast<std::byte>((total + i) * 7 + (total + i) / 251));
    }
    total += count;
  }
}

struct Pair {
  explicit Pair(uint64_t seed, const NetworkFaults& faults = {})
      : simulation(seed, {.network = faults}),
        server(simulation.add_node({.name = "server"})),
        client(simulation.add_node({.name = "client"})) {}

  void serve(std::function<Task<void>(Env&, Socket&)> each) {
    server.start([each](Env& env) -> Task<void> {
      Result<Listener> listener = co_await Listener::open(env, Endpoint::ipv4(0, 0, 0, 0, kPort));
      EXPECT_TRUE(listener.has_value());
      Result<Socket> socket = co_await listener->accept({});
      EXPECT_TRUE(socket.has_value());
      co_await each(env, *socket);
      (void)co_await socket->close();
      (void)co_await listener->close();
    });
  }
  void connect(std::function<Task<void>(Env&, Socket&)> each) {
    client.start([this, each](Env& env) -> Task<void> {
      (void)co_await sleep_for(env, Duration::milliseconds(1));
      Result<Socket> socket = co_await Socket::connect(env, server.endpoint(kPort));
      if (!socket) {
        connect_error = socket.error();
        co_return;
      }
      co_await each(env, *socket);
      (void)co_await socket->close();
    });
  }
  bool finish() {
    return simulation.run_until([&] { return !server.running() && !client.running(); }, kLong);
  }

  Simulation simulation;
  SimNode& server;
  SimNode& client;
  std::optional<Error> connect_error;
};

TEST(SimNetwork, BytesArriveInOrderHoweverTheyAreSplit) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Pair pair(seed, {.segment_dropped_ppm = 50'000});
    Result<size_t> received = 0;
    pair.serve([&](Env&, Socket& socket) -> Task<void> { received = co_await receive_bytes(socket); });
    pair.connect([](Env&, Socket& socket) -> Task<void> {
      EXPECT_TRUE((co_await send_bytes(socket, 1'000'000)).has_value());
    });
    ASSERT_TRUE(pair.finish());
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(*received, 1'000'000);
    EXPECT_GT(pair.simulation.faults()[Fault::segment_dropped], 0);
    pair.simulation.run_for(Duration::seconds(1));
    EXPECT_EQ(pair.simulation.network().connection_count(), 0);
  }
}

TEST(SimNetwork, SenderWaitsForASlowReader) {
  Pair pair(1);
  bool sent = false;
  bool read = false;
  pair.serve([&](Env& env, Socket& socket) -> Task<void> {
    (void)co_await sleep_for(env, Duration::seconds(10));
    EXPECT_FALSE(sent);
    read = (co_await receive_bytes(socket)).has_value();
  });
  pair.connect([&](Env&, Socket& socket) -> Task<void> {
    EXPECT_TRUE((co_await send_bytes(socket, 2 * SimNetwork::kWindowBytes)).has_value());
    sent = true;
  });
  ASSERT_TRUE(pair.finish());
  EXPECT_TRUE(read);
}

TEST(SimNetwork, NobodyListens) {
  Pair pair(1);
  pair.connect([](Env&, Socket&) -> Task<void> { co_return; });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(pair.connect_error.has_value());
  EXPECT_TRUE(pair.connect_error->is(IoError::refused));
}

TEST(SimNetwork, ConnectionsAreRefusedByChance) {
  Pair pair(1, {.connect_refused_ppm = 1'000'000});
  pair.serve([](Env&, Socket&) -> Task<void> { co_return; });
  pair.connect([](Env&, Socket&) -> Task<void> { co_return; });
  ASSERT_TRUE(pair.simulation.run_until([&] { return !pair.client.running(); }, kLong));
  ASSERT_TRUE(pair.connect_error.has_value());
  EXPECT_TRUE(pair.connect_error->is(IoError::refused));
  EXPECT_EQ(pair.simulation.faults()[Fault::connect_refused], 1);
}

TEST(SimNetwork, ResetReachesBothSides) {
  Pair pair(1, {.reset_ppm = 1'000'000});
  std::optional<Error> at_server;
  std::optional<Error> at_client;
  pair.serve([&](Env&, Socket& socket) -> Task<void> {
    Result<size_t> received = co_await receive_bytes(socket);
    if (!received) at_server = received.error();
  });
  pair.connect([&](Env&, Socket& socket) -> Task<void> {
    (void)co_await send_bytes(socket, 100);
    std::vector<std::byte> answer(10);
    Result<size_t> received = co_await socket.receive(answer, {});
    if (!received) at_client = received.error();
  });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(at_server.has_value());
  ASSERT_TRUE(at_client.has_value());
  EXPECT_TRUE(at_server->is(IoError::connection_lost));
  EXPECT_TRUE(at_client->is(IoError::connection_lost));
  EXPECT_GE(pair.simulation.faults()[Fault::connection_reset], 1);
}

TEST(SimNetwork, HalfOpenConnectionNeedsADeadline) {
  Pair pair(1, {.half_open_ppm = 1'000'000});
  std::optional<Error> at_server;
  pair.serve([&](Env& env, Socket& socket) -> Task<void> {
    Result<size_t> received = co_await receive_bytes(socket, {.deadline = env.now() + Duration::seconds(30)});
    if (!received) at_server = received.error();
  });
  std::optional<Error> at_client;
  pair.connect([&](Env&, Socket& socket) -> Task<void> {
    Result<void> sent = co_await send_bytes(socket, 2 * SimNetwork::kWindowBytes);
    if (!sent) at_client = sent.error();
  });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(at_server.has_value());
  EXPECT_TRUE(at_server->is(IoError::timed_out));
  ASSERT_TRUE(at_client.has_value());
  EXPECT_EQ(at_client->os_errno(), ETIMEDOUT);
  EXPECT_EQ(pair.simulation.faults()[Fault::half_open], 1);
}

TEST(SimNetwork, PartitionDelaysAndHeals) {
  Pair pair(1);
  Result<size_t> received = 0;
  pair.serve([&](Env&, Socket& socket) -> Task<void> { received = co_await receive_bytes(socket); });
  pair.connect([&](Env& env, Socket& socket) -> Task<void> {
    pair.simulation.network().set_partition(pair.server, pair.client, true);
    EXPECT_TRUE((co_await send_bytes(socket, 1000)).has_value());
    (void)co_await sleep_for(env, Duration::seconds(20));
    EXPECT_EQ(*received, 0);
    pair.simulation.network().set_partition(pair.client, pair.server, false);
  });
  ASSERT_TRUE(pair.finish());
  EXPECT_EQ(*received, 1000);
  EXPECT_EQ(pair.simulation.faults()[Fault::partition], 1);
}

TEST(SimNetwork, PartitionThatLastsBreaksTheConnection) {
  Pair pair(1);
  std::optional<Error> error;
  pair.serve([&](Env& env, Socket& socket) -> Task<void> {
    (void)co_await receive_bytes(socket, {.deadline = env.now() + Duration::minutes(3)});
  });
  pair.connect([&](Env&, Socket& socket) -> Task<void> {
    pair.simulation.network().set_partition(pair.server, pair.client, true);
    EXPECT_TRUE((co_await send_bytes(socket, 1000)).has_value());
    std::vector<std::byte> answer(10);
    Result<size_t> received = co_await socket.receive(answer, {});
    if (!received) error = received.error();
  });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->os_errno(), ETIMEDOUT);
}

// A client waits for an answer of a server that dies.
TEST(SimNetwork, CrashOfThePeer) {
  for (const CrashKind kind : {CrashKind::kill, CrashKind::power_loss}) {
    Pair pair(1);
    bool waiting = false;
    pair.serve([&](Env& env, Socket&) -> Task<void> {
      waiting = true;
      Notification never(env);
      co_await never.wait();
    });
    std::optional<Error> error;
    Duration waited{};
    pair.connect([&](Env& env, Socket& socket) -> Task<void> {
      EXPECT_TRUE((co_await send_bytes(socket, 1000)).has_value());
      std::vector<std::byte> answer(10);
      const Instant start = env.now();
      Result<size_t> received = co_await socket.receive(answer, {.deadline = start + Duration::seconds(60)});
      waited = env.now() - start;
      if (!received) error = received.error();
    });
    ASSERT_TRUE(pair.simulation.run_until([&] { return waiting; }, kLong));
    pair.simulation.run_for(Duration::milliseconds(10));
    pair.server.crash(kind);
    ASSERT_TRUE(pair.finish());
    ASSERT_TRUE(error.has_value());
    if (kind == CrashKind::kill) {
      EXPECT_TRUE(error->is(IoError::connection_lost));
      EXPECT_LT(waited, Duration::seconds(1));
    } else {
      EXPECT_TRUE(error->is(IoError::timed_out));
    }
  }
}

TEST(SimNetwork, RestartedMachineResetsOldConnections) {
  Pair pair(1);
  pair.serve([&](Env& env, Socket&) -> Task<void> {
    Notification never(env);
    co_await never.wait();
  });
  std::optional<Error> error;
  pair.connect([&](Env& env, Socket& socket) -> Task<void> {
    (void)co_await sleep_for(env, Duration::seconds(5));
    (void)co_await send_bytes(socket, 1000);
    std::vector<std::byte> answer(10);
    Result<size_t> received = co_await socket.receive(answer, {});
    if (!received) error = received.error();
  });
  pair.simulation.run_for(Duration::seconds(1));
  pair.server.crash(CrashKind::power_loss);
  pair.server.start([](Env& env) -> Task<void> { (void)co_await sleep_for(env, Duration::seconds(10)); });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(error.has_value());
  EXPECT_TRUE(error->is(IoError::connection_lost));
}

TEST(SimNetwork, EveryCoreMayListenOnOnePort) {
  Simulation simulation(5);
  SimNode& server = simulation.add_node({.name = "server", .cores = 4});
  SimNode& client = simulation.add_node({.name = "client"});
  std::array<int, 4> accepted{};
  server.start([&](Env& env) -> Task<void> {
    Result<Listener> listener = co_await Listener::open(env, Endpoint::ipv4(0, 0, 0, 0, kPort));
    EXPECT_TRUE(listener.has_value());
    for (;;) {
      Result<Socket> socket = co_await listener->accept({});
      EXPECT_TRUE(socket.has_value());
      ++accepted[env.core()];
      (void)co_await socket->close();
    }
  });
  client.start([&](Env& env) -> Task<void> {
    (void)co_await sleep_for(env, Duration::milliseconds(1));
    for (int i = 0; i < 100; ++i) {
      Result<Socket> socket = co_await Socket::connect(env, server.endpoint(kPort));
      EXPECT_TRUE(socket.has_value());
      (void)co_await socket->close();
    }
  });
  ASSERT_TRUE(simulation.run_until([&] { return !client.running(); }, kLong));
  simulation.run_for(Duration::seconds(1));
  EXPECT_EQ(accepted[0] + accepted[1] + accepted[2] + accepted[3], 100);
  for (const int count : accepted) EXPECT_GT(count, 5);
}

TEST(SimNetwork, DeadlineEndsAWait) {
  Pair pair(1);
  pair.serve([](Env& env, Socket&) -> Task<void> { (void)co_await sleep_for(env, Duration::seconds(10)); });
  std::optional<Error> error;
  pair.connect([&](Env& env, Socket& socket) -> Task<void> {
    Result<PooledBytes> bytes =
        co_await socket.receive_pooled({.deadline = env.now() + Duration::seconds(1)});
    if (!bytes) error = bytes.error();
  });
  ASSERT_TRUE(pair.finish());
  ASSERT_TRUE(error.has_value());
  EXPECT_TRUE(error->is(IoError::timed_out));
}

}  // namespace
}  // namespace fb::sim
