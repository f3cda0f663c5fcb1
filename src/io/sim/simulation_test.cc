// SPDX-License-Identifier: Apache-2.0
#include "io/sim/simulation.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "io/call_on.h"
#include "io/file.h"
#include "io/sync.h"

namespace fb::sim {
namespace {

constexpr Duration kMinute = Duration::minutes(1);
constexpr Duration kLong = Duration::minutes(10);

// Uses a little of everything until it is stopped: files, sleeps, messages between cores and the network.
Task<void> write_some(Env& env) {
  for (int i = 0;; ++i) {
    const std::string path = fmt::format("file-{}-{}", env.core(), i % 5);
    Result<File> file =
        co_await File::open(env, path, {.write = true, .create = true, .role = FileRole::data});
    if (!file) co_return;
    Buffer buffer = co_await env.buffers().allocate(8192);
    env.random_bytes(buffer.span());
    (void)co_await file->write_all(buffer.span(), env.random() % 3 * 4096);
    if (i % 3 == 0) (void)co_await file->sync();
    (void)co_await file->read_exactly(buffer.span(0, 4096), 0);
    (void)co_await file->close();
    if (i % 5 == 0) (void)co_await rename_file(env, path, path + "-renamed");
    if (i % 7 == 0) (void)co_await sync_directory(env, "/");
    (void)co_await sleep_for(env, Duration::microseconds(static_cast<int64_t>(env.random() % 500)));
    for (int point = 0; point < 5; ++point) env.point("written");
    const unsigned other = (env.core() + 1) % env.core_count();
    co_await call_on(env, other, [](Env& there) -> Task<void> { co_await yield(there); });
  }
}

Task<void> serve_connection(Env& env, Socket socket) {
  for (;;) {
    Result<PooledBytes> bytes = co_await socket.receive_pooled({.deadline = env.now() + kMinute});
    if (!bytes || bytes->bytes().empty()) break;
    iovec vector{bytes->bytes().data(), bytes->bytes().size()};
    if (!co_await socket.send_all({&vector, 1}, {})) break;
  }
  (void)co_await socket.close();
}

Task<void> serve(Env& env) {
  Result<Listener> listener = co_await Listener::open(env, Endpoint::ipv4(0, 0, 0, 0, 80));
  EXPECT_TRUE(listener.has_value());
  Semaphore places(env, 10);
  Scope scope(env);
  co_await when_all([&] { return write_some(env); },
                    [&]() -> Task<void> {
                      for (;;) {
                        Semaphore::Units units = co_await places.acquire();
                        Result<Socket> socket = co_await listener->accept({});
                        if (!socket) co_return;
                        scope.spawn(&serve_connection, std::ref(env), std::move(*socket));
                      }
                    });
  co_await scope.join();
  (void)co_await listener->close();
}

Task<void> ask(Env& env, Endpoint server) {
  for (;;) {
    Result<Socket> socket =
        co_await Socket::connect(env, server, {.deadline = env.now() + Duration::seconds(1)});
    if (!socket) {
      (void)co_await sleep_for(env, Duration::milliseconds(1));
      continue;
    }
    for (int i = 0; i < 5; ++i) {
      char text[100] = {};
      iovec vector{text, sizeof(text)};
      const IoLimits limits{.deadline = env.now() + Duration::seconds(1)};
      if (!co_await socket->send_all({&vector, 1}, limits)) break;
      size_t received = 0;
      while (received < sizeof(text)) {
        Result<size_t> count = co_await socket->receive(std::as_writable_bytes(std::span(text)), limits);
        if (!count || *count == 0) break;
        received += *count;
      }
      if (received < sizeof(text)) break;
    }
    (void)co_await socket->close();
  }
}

struct Outcome {
  uint64_t trace;
  uint64_t steps;
  uint64_t faults;
  bool operator==(const Outcome&) const = default;
};

Outcome run_world(uint64_t seed) {
  FaultPlan plan;
  plan.disk.rot_ppm = 1000;
  plan.disk.stall_ppm = 1000;
  plan.network.reset_ppm = 1000;
  plan.network.segment_dropped_ppm = 1000;
  Simulation simulation(seed, plan);
  simulation.set_switch_chance(seed % 2 == 0 ? 200'000 : 0);
  SimNode& server = simulation.add_node({.name = "server", .cores = 3});
  SimNode& client = simulation.add_node({.name = "client"});
  server.start(&serve);
  client.start([&](Env& env) { return ask(env, server.endpoint(80)); });
  for (int crash = 0; crash < 10; ++crash) {
    simulation.run_for(Duration::milliseconds(static_cast<int64_t>(simulation.random().between(1, 20))));
    server.crash(simulation.random().coin() ? CrashKind::kill : CrashKind::power_loss);
    simulation.run_for(Duration::milliseconds(1));
    server.start(&serve);
  }
  return {simulation.trace_hash(), simulation.steps(), simulation.faults().total()};
}

TEST(Simulation, SameSeedSameRun) {
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Outcome outcome = run_world(seed);
    EXPECT_EQ(run_world(seed), outcome) << "seed " << seed;
    EXPECT_GT(outcome.steps, 1000);
    EXPECT_GT(outcome.faults, 20);
    traces.insert(outcome.trace);
  }
  EXPECT_EQ(traces.size(), 10);
}

// Printed so that two processes can be compared; the environment variable marks the child process of the test
// below.
TEST(Simulation, SameSeedSameRunInAnotherProcess) {
  const std::string command = "/proc/self/exe";
  const auto run_child = [] {
    char path[4096] = {};
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    EXPECT_GT(length, 0);
    const std::string command_line =
        std::string(path) + " --gtest_also_run_disabled_tests --gtest_filter=Simulation.DISABLED_PrintTrace";
    std::string output;
    FILE* pipe = popen(command_line.c_str(), "r");
    if (pipe == nullptr) return output;
    char line[512];
    while (fgets(line, sizeof(line), pipe) != nullptr) {
      if (std::string_view(line).starts_with("trace ")) output += line;
    }
    EXPECT_EQ(pclose(pipe), 0);
    return output;
  };
  const Outcome here = run_world(42);
  EXPECT_EQ(run_child(), fmt::format("trace {:016x} {}\n", here.trace, here.steps));
}
TEST(Simulation, DISABLED_PrintTrace) {
  const Outcome outcome = run_world(42);
  fmt::print("trace {:016x} {}\n", outcome.trace, outcome.steps);
}

TEST(Simulation, TimePassesOnlyInTheSimulation) {
  Simulation simulation(1);
  SimNode& node = simulation.add_node({.name = "node"});
  Duration slept{};
  node.start([&](Env& env) -> Task<void> {
    const Instant before = env.now();
    (void)co_await sleep_for(env, Duration::minutes(600));
    slept = env.now() - before;
  });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(1000)));
  EXPECT_GE(slept, Duration::minutes(600));
  EXPECT_FALSE(node.crashed());
}

TEST(Simulation, NothingMoreCanHappen) {
  Simulation simulation(1);
  SimNode& node = simulation.add_node({.name = "node"});
  node.start([](Env& env) -> Task<void> {
    Notification never(env);
    co_await never.wait();
  });
  EXPECT_FALSE(simulation.run_until([] { return false; }, kMinute));
  EXPECT_TRUE(node.running());
  node.crash(CrashKind::kill);
  EXPECT_FALSE(node.running());
}

TEST(Simulation, SignalsAreDelivered) {
  Simulation simulation(1);
  SimNode& node = simulation.add_node({.name = "node"});
  int seen = 0;
  node.start([&](Env& env) -> Task<void> {
    Result<size_t> signal =
        co_await CountAwaiter(env, {}, [](IoRequest& request) { request.kind = IoKind::wait_signal; });
    if (signal) seen = static_cast<int>(*signal);
  });
  simulation.run_for(Duration::seconds(1));
  node.signal(SIGTERM);
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  EXPECT_EQ(seen, SIGTERM);
}

TEST(Simulation, OrderDependsOnTheSeed) {
  std::set<std::string> orders;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Simulation simulation(seed);
    SimNode& node = simulation.add_node({.name = "node"});
    std::string order;
    node.start([&](Env& env) -> Task<void> {
      const auto child = [&](char name) -> Task<void> {
        co_await yield(env);
        order += name;
      };
      co_await when_all([&] { return child('a'); }, [&] { return child('b'); }, [&] { return child('c'); });
    });
    simulation.run_for(kMinute);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6);
}

// Crashes at every resumption of a busy process: every await is a place to die at, and nothing leaks.
TEST(Simulation, CrashAtEveryAwait) {
  for (uint64_t n = 1; n <= 300; ++n) {
    Simulation simulation(7);
    SimNode& server = simulation.add_node({.name = "server", .cores = 2});
    SimNode& client = simulation.add_node({.name = "client"});
    client.start([&](Env& env) { return ask(env, server.endpoint(80)); });
    server.start(&serve);
    server.crash_at(SimNode::CrashPoint::resume, n, n % 2 == 0 ? CrashKind::kill : CrashKind::power_loss);
    ASSERT_TRUE(simulation.run_until([&] { return !server.running(); }, kMinute)) << n;
    EXPECT_TRUE(server.crashed());
  }
}

// A counter kept as two files' worth of steps: at every crash point the file holds the old or the new number.
Task<void> count_up(Env& env, uint64_t& acknowledged) {
  for (uint64_t number = 1; number <= 5; ++number) {
    const std::string text = fmt::format("{}", number);
    if (!co_await replace_small_file(env, "/counter", text, 0644, FileRole::other)) co_return;
    acknowledged = number;
  }
}

TEST(Simulation, CrashAtEveryChangeKeepsWhatWasAcknowledged) {
  for (const CrashKind kind : {CrashKind::kill, CrashKind::power_loss}) {
    for (const SimNode::CrashPoint point : {SimNode::CrashPoint::io_before, SimNode::CrashPoint::io_after}) {
      bool crashed = true;
      for (uint64_t n = 1; crashed; ++n) {
        Simulation simulation(n);
        SimNode& node = simulation.add_node({.name = "node"});
        uint64_t acknowledged = 0;
        node.start([&](Env& env) { return count_up(env, acknowledged); });
        node.crash_at(point, n, kind);
        ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
        crashed = node.crashed();
        std::string text;
        node.start([&](Env& env) -> Task<void> {
          Result<std::string> read = co_await read_small_file(env, "/counter", 100);
          if (read) text = *read;
        });
        ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
        const uint64_t found = text.empty() ? 0 : std::stoull(text);
        EXPECT_GE(found, acknowledged) << n;
        EXPECT_LE(found, acknowledged + 1) << n;
        if (!crashed) EXPECT_GT(n, 15);
      }
    }
  }
}

TEST(Simulation, LeftOutRenameFlushIsFound) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Simulation simulation(seed);
    SimNode& node = simulation.add_node({.name = "node", .disk = {.omit = OmitFlush::rename}});
    uint64_t acknowledged = 0;
    node.start([&](Env& env) { return count_up(env, acknowledged); });
    ASSERT_TRUE(simulation.run_until([&] { return acknowledged == 3; }, kMinute));
    node.crash(CrashKind::power_loss);
    std::string text;
    node.start([&](Env& env) -> Task<void> {
      Result<std::string> read = co_await read_small_file(env, "/counter", 100);
      if (read) text = *read;
    });
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
    lost += text.empty() || std::stoull(text) < 3;
  }
  EXPECT_GT(lost, 5);
}

TEST(Simulation, CrashAtAPoint) {
  Simulation simulation(1);
  SimNode& node = simulation.add_node({.name = "node"});
  int reached = 0;
  int after = 0;
  node.start([&](Env& env) -> Task<void> {
    for (;;) {
      ++reached;
      env.point("here");
      co_await yield(env);
      ++after;
    }
  });
  node.crash_at(SimNode::CrashPoint::point, 3, CrashKind::kill);
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  EXPECT_EQ(reached, 3);
  EXPECT_EQ(after, 2);
}

TEST(Simulation, KilledProcessLeavesLocksAndWritesBehind) {
  Simulation simulation(3);
  SimNode& node = simulation.add_node({.name = "node"});
  bool locked = false;
  const auto lock = [&](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, "lock", {.write = true, .create = true});
    EXPECT_TRUE(file.has_value());
    EXPECT_TRUE((co_await file->lock()).has_value());
    Result<File> again = co_await File::open(env, "lock", {.write = true});
    Result<void> second = co_await again->lock();
    EXPECT_TRUE(!second && second.error().is(IoError::in_use));
    EXPECT_TRUE((co_await file->write_all(std::as_bytes(std::span("text", 4)), 0)).has_value());
    locked = true;
    Notification never(env);
    co_await never.wait();
  };
  for (int round = 0; round < 3; ++round) {
    locked = false;
    node.start(lock);
    EXPECT_TRUE(simulation.run_until([&] { return locked; }, kMinute));
    node.crash(CrashKind::kill);
    EXPECT_EQ(node.disk().find("lock")->size(), 4);
  }
}

// Frames that wait for every kind of thing, declared in the worst order for their destruction.
Task<void> hold_and_wait(Env& env, Semaphore& semaphore, CancelToken cancel) {
  Semaphore::Units units = co_await semaphore.acquire();
  Buffer buffer = co_await env.buffers().allocate(kMiB);
  (void)co_await sleep_for(env, kMinute, cancel);
}

TEST(Simulation, TearDownLeavesNothingBehind) {
  for (uint64_t n = 1; n <= 40; ++n) {
    Simulation simulation(n);
    SimNode& node = simulation.add_node({.name = "node", .cores = 2, .buffers = {.limit_bytes = 2 * kMiB}});
    node.start([](Env& env) -> Task<void> {
      Scope scope(env);
      Semaphore semaphore(env, 4);
      CancelSource cancel;
      for (int i = 0; i < 8; ++i) {
        scope.spawn(&hold_and_wait, std::ref(env), std::ref(semaphore), &cancel);
      }
      (void)co_await call_on(env, 1 - env.core(),
                             [](Env& there) { return sleep_for(there, Duration::milliseconds(1)); });
      cancel.cancel();
      co_await scope.join();
    });
    node.crash_at(SimNode::CrashPoint::resume, n, CrashKind::kill);
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kLong));
  }
}

TEST(Simulation, StallsAreCountedAndTakeTime) {
  FaultPlan plan;
  plan.disk.stall_ppm = 1'000'000;
  Simulation simulation(1, plan);
  SimNode& node = simulation.add_node({.name = "node"});
  node.start([](Env& env) -> Task<void> { (void)co_await make_directory(env, "d"); });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  EXPECT_EQ(simulation.faults()[Fault::stall], 1);
  EXPECT_GT(simulation.now(), Instant{} + Duration::milliseconds(1));
}

TEST(Simulation, DirectIoMustBeAligned) {
  Simulation simulation(1);
  SimNode& node = simulation.add_node({.name = "node"});
  node.start([](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, "f", {.write = true, .create = true, .direct = true});
    EXPECT_TRUE(file->direct());
    Buffer buffer = co_await env.buffers().allocate(8192);
    EXPECT_TRUE((co_await file->write_all(buffer.span(0, 4096), 4096)).has_value());
#if defined(NDEBUG) && !defined(FB_SANITIZE)
    EXPECT_FALSE((co_await file->write(buffer.span(512, 4096), 0)).has_value());
    EXPECT_FALSE((co_await file->write(buffer.span(0, 512), 0)).has_value());
    EXPECT_FALSE((co_await file->write(buffer.span(0, 4096), 512)).has_value());
#endif
    (void)co_await file->close();
  });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
}

}  // namespace
}  // namespace fb::sim
