// SPDX-License-Identifier: Apache-2.0
// What the loop itself costs, per operation: awaiting a Task, arming and stopping a timer, a turn of the
// loop, a call to another core and back, a durable 4 KiB write, and an echo over loopback. Run pinned:
// taskset -c 0,1 fb_io_loop_bench.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstdlib>

#include "io/call_on.h"
#include "io/file.h"
#include "io/runtime.h"
#include "io/stream.h"
#include "io/sync.h"

namespace fb {
namespace {

// Runs `body` inside an environment; it loops over the state itself, on core 0.
void run_inside(unsigned cores, IoBackend backend, const std::function<Task<void>(Env&)>& body) {
  const Result<void> ran =
      run_cores({.cores = cores, .pin = cores > 1, .backend = backend}, [&](Env& env) -> Task<void> {
        if (env.core() == 0) co_await body(env);
      });
  FB_ASSERT(ran.has_value());
}

IoBackend backend_of(const benchmark::State& state) {
  return state.range(0) == 0 ? IoBackend::uring : IoBackend::portable;
}

[[gnu::noinline]] Task<uint64_t> add_one(uint64_t value) { co_return value + 1; }

void await_task(benchmark::State& state) {
  run_inside(1, IoBackend::automatic, [&](Env&) -> Task<void> {
    uint64_t value = 0;
    for (auto _ : state) value = co_await add_one(value);
    benchmark::DoNotOptimize(value);
  });
}
BENCHMARK(await_task);

void await_two_side_by_side(benchmark::State& state) {
  run_inside(1, IoBackend::automatic, [&](Env&) -> Task<void> {
    for (auto _ : state) {
      auto values = co_await when_all([] { return add_one(1); }, [] { return add_one(2); });
      benchmark::DoNotOptimize(values);
    }
  });
}
BENCHMARK(await_two_side_by_side);

void timer_arm_and_stop(benchmark::State& state) {
  TimerQueue queue;
  Timer timer([](Timer&) {});
  std::vector<std::unique_ptr<Timer>> others;
  for (int64_t index = 0; index < state.range(0); ++index) {
    others.push_back(std::make_unique<Timer>([](Timer&) {}));
    queue.arm(*others.back(), {index});
  }
  int64_t deadline = state.range(0);
  for (auto _ : state) {
    queue.arm(timer, {++deadline});
    queue.stop(timer);
  }
  for (const auto& other : others) queue.stop(*other);
}
BENCHMARK(timer_arm_and_stop)->Arg(1)->Arg(100)->Arg(10'000);

// Four resumptions make a turn, which looks at mailbox, timers, log, clock and completion queue.
void resume_through_the_loop(benchmark::State& state) {
  run_inside(1, backend_of(state), [&](Env& env) -> Task<void> {
    for (auto _ : state) co_await yield(env);
  });
}
BENCHMARK(resume_through_the_loop)->Arg(0)->Arg(1);

void call_to_another_core_and_back(benchmark::State& state) {
  run_inside(2, backend_of(state), [&](Env& env) -> Task<void> {
    for (auto _ : state) {
      benchmark::DoNotOptimize(
          co_await call_on(env, 1, [](Env& there) -> Task<unsigned> { co_return there.core(); }));
    }
  });
}
BENCHMARK(call_to_another_core_and_back)->Arg(0)->Arg(1)->UseRealTime();

Task<void> call_repeatedly(Env& env, uint64_t& left) {
  while (left > 0) {
    --left;
    co_await call_on(env, 1, [](Env&) -> Task<void> { co_return; });
  }
}

void calls_to_another_core_64_at_once(benchmark::State& state) {
  run_inside(2, backend_of(state), [&](Env& env) -> Task<void> {
    for (auto _ : state) {
      uint64_t left = 6400;
      Scope scope(env);
      for (int task = 0; task < 64; ++task) scope.spawn(&call_repeatedly, std::ref(env), std::ref(left));
      co_await scope.join();
    }
    state.SetItemsProcessed(state.iterations() * 6400);
  });
}
BENCHMARK(calls_to_another_core_64_at_once)->Arg(0)->Arg(1)->UseRealTime();

void durable_write_4k(benchmark::State& state) {
  constexpr uint64_t kPages = 256;
  run_inside(1, backend_of(state), [&](Env& env) -> Task<void> {
    const std::string path = "fb_io_loop_bench.tmp";
    Result<File> file = co_await File::open(env, path, {.write = true, .create = true, .direct = true});
    FB_ASSERT(file.has_value());
    Buffer buffer = co_await env.buffers().allocate(kPages * kBufferSizeMin);
    std::memset(buffer.data(), 1, buffer.capacity());
    FB_ASSERT((co_await file->write_all_durable(buffer.span(), 0)).has_value());
    uint64_t page = 0;
    for (auto _ : state) {
      page = (page * 5 + 1) % kPages;
      FB_ASSERT(
          (co_await file->write_durable(buffer.span(0, kBufferSizeMin), page * kBufferSizeMin)).has_value());
    }
    buffer.reset();
    FB_ASSERT((co_await file->close()).has_value());
    FB_ASSERT((co_await remove_file(env, path)).has_value());
  });
}
BENCHMARK(durable_write_4k)->Arg(0)->Arg(1)->UseRealTime();

Task<void> echo(Socket socket) {
  for (;;) {
    Result<PooledBytes> received = co_await socket.receive_pooled({});
    if (!received || received->bytes().empty()) break;
    std::array<iovec, 1> vectors = {
        {{.iov_base = received->bytes().data(), .iov_len = received->bytes().size()}}};
    if (!co_await socket.send_all(vectors, {})) break;
  }
  FB_ASSERT((co_await socket.close()).has_value());
}

Task<void> talk(Socket& socket, uint64_t& left) {
  std::array<std::byte, 100> buffer{};
  while (left > 0) {
    --left;
    std::array<iovec, 1> vectors = {{{.iov_base = buffer.data(), .iov_len = buffer.size()}}};
    FB_ASSERT((co_await socket.send_all(vectors, {})).has_value());
    FB_ASSERT((co_await socket.receive(buffer, {})).value_or(0) > 0);
  }
}

// Both ends on one core: four socket operations a round.
void echo_64_connections(benchmark::State& state) {
  constexpr int kConnections = 64;
  constexpr uint64_t kRounds = 6400;
  run_inside(1, backend_of(state), [&](Env& env) -> Task<void> {
    Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
    FB_ASSERT(listener.has_value());
    Scope servers(env);
    std::vector<Socket> clients;
    for (int index = 0; index < kConnections; ++index) {
      auto [client, server] = co_await when_all([&] { return Socket::connect(env, listener->endpoint()); },
                                                [&] { return listener->accept({}); });
      FB_ASSERT(client.has_value() && server.has_value());
      clients.push_back(std::move(*client));
      servers.spawn(&echo, std::move(*server));
    }
    const uint64_t enters_before = env.stats().io_enters;
    for (auto _ : state) {
      uint64_t left = kRounds;
      Scope scope(env);
      for (Socket& client : clients) scope.spawn(&talk, std::ref(client), std::ref(left));
      co_await scope.join();
    }
    const auto rounds = static_cast<double>(state.iterations()) * kRounds;
    state.counters["enters_per_round"] = static_cast<double>(env.stats().io_enters - enters_before) / rounds;
    state.SetItemsProcessed(static_cast<int64_t>(rounds));
    for (Socket& client : clients) FB_ASSERT((co_await client.close()).has_value());
    co_await servers.join();
    FB_ASSERT((co_await listener->close()).has_value());
  });
}
BENCHMARK(echo_64_connections)->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace fb

BENCHMARK_MAIN();
