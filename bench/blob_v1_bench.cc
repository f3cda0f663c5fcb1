// SPDX-License-Identifier: Apache-2.0
// The blob engine alone on one core: durable 4 KiB puts with 64 in flight, cached and cold gets. Names the
// directory with FB_BENCH_DIR (default: the working directory); prints operations a second.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "bss/blob/store.h"
#include "io/runtime.h"
#include "io/scope.h"

namespace fb::bss {
namespace {

constexpr int kWidth = 64;
constexpr uint32_t kBytes = 4096;

struct Bench {
  Env& env;
  BlobFront& front;
  std::vector<BlobKey>& keys;
  bool failed = false;

  static Task<void> put_some(Bench& self, int count) {
    Buffer buffer = co_await self.env.buffers().allocate(kBytes);
    std::memset(buffer.data(), 7, kBytes);
    const uint64_t checksum = blob_checksum(buffer.span(0, kBytes));
    for (int i = 0; i < count; ++i) {
      const BlobKey key{.id = self.front.new_blob()};
      const BlobWrite write{.id = key.id, .buffer = buffer, .length = kBytes, .checksum = checksum};
      if (!co_await self.front.put({}, write)) self.failed = true;
      self.keys.push_back(key);
    }
  }
  static Task<void> get_some(Bench& self, size_t from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const BlobKey key = self.keys[(from + i * 7919) % self.keys.size()];
      BlobData data;
      if (self.front.get_cached(key, 0, kBytes, &data)) continue;
      if (!co_await self.front.get({}, key, 0, kBytes)) self.failed = true;
    }
  }
};

enum class Kind { put, get_cached, get_cold };

// Sets the time of one iteration: `count` operations after a warm-up of as many.
void run(benchmark::State& state, Kind kind) {
  const int count = static_cast<int>(state.range(0));
  const char* base = std::getenv("FB_BENCH_DIR");
  const std::string directory = std::string(base == nullptr ? "." : base) + "/blob_bench";
  std::filesystem::remove_all(directory);
  BlobStoreOptions options{.directory = directory, .incarnation = {1}};
  if (kind != Kind::get_cached) options.cache_bytes = 0;
  const Result<void> ran = run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
    auto store = co_await BlobStore::open(env, options);
    if (!store) co_return state.SkipWithError("no store");
    BlobFront front(env, **store);
    if (!co_await front.open()) co_return state.SkipWithError("not opened");
    std::vector<BlobKey> keys;
    keys.reserve(static_cast<size_t>(count) * 8);
    Bench bench{.env = env, .front = front, .keys = keys};
    const auto all = [&](bool puts) -> Task<void> {
      Scope scope(env);
      for (int i = 0; i < kWidth; ++i) {
        if (puts) {
          scope.spawn(&Bench::put_some, std::ref(bench), count / kWidth);
        } else {
          scope.spawn(&Bench::get_some, std::ref(bench), static_cast<size_t>(i) * 131,
                      static_cast<size_t>(count / kWidth));
        }
      }
      co_await scope.join();
    };
    co_await all(true);
    if (kind == Kind::get_cached) co_await all(false);
    for (auto _ : state) {
      const auto begun = std::chrono::steady_clock::now();
      const uint64_t busy = env.stats().busy_ns;
      co_await all(kind == Kind::put);
      state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
      state.counters["busy_ns_per_op"] = static_cast<double>(env.stats().busy_ns - busy) / count;
    }
    state.SetItemsProcessed(state.iterations() * (count / kWidth) * kWidth);
    state.counters["ops_per_batch"] =
        static_cast<double>(front.stats().puts) / static_cast<double>(front.stats().batches);
    if (bench.failed) state.SkipWithError("an operation failed");
    if (!co_await front.close()) state.SkipWithError("not closed");
  });
  if (!ran) state.SkipWithError("no environment");
  std::filesystem::remove_all(directory);
}

void BM_DurablePut4KiB(benchmark::State& state) { run(state, Kind::put); }
void BM_CachedGet4KiB(benchmark::State& state) { run(state, Kind::get_cached); }
void BM_ColdGet4KiB(benchmark::State& state) { run(state, Kind::get_cold); }
BENCHMARK(BM_DurablePut4KiB)->Arg(64'000)->Iterations(3)->UseManualTime();
BENCHMARK(BM_CachedGet4KiB)->Arg(12'800)->Iterations(5)->UseManualTime();
BENCHMARK(BM_ColdGet4KiB)->Arg(64'000)->Iterations(3)->UseManualTime();

}  // namespace
}  // namespace fb::bss

BENCHMARK_MAIN();
