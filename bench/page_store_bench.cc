// SPDX-License-Identifier: Apache-2.0
// The page store alone on one core: new pages and rewrites in batches, random reads with 64 in flight, and a
// start from a clean table. Names the directory with FB_BENCH_DIR (default: the working directory) and the
// number of pages of 16 KiB with FB_BENCH_PAGES (default: 100,000).
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bss/page/page_file.h"
#include "io/runtime.h"
#include "io/scope.h"

namespace fb {
namespace {

constexpr size_t kBatch = 64;
constexpr unsigned kReaders = 64;
constexpr unsigned kWriters = 4;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
uint64_t page_total() {
  static const uint64_t kTotal = number_from("FB_BENCH_PAGES", 100'000);
  return kTotal;
}
uint32_t page_bytes() { return static_cast<uint32_t>(number_from("FB_BENCH_PAGE_BYTES", 16 * kKiB)); }

std::string directory() {
  const char* base = std::getenv("FB_BENCH_DIR");
  return std::string(base == nullptr ? "." : base) + "/page_bench";
}

struct Bench {
  Env& env;
  PageFile& store;
  uint64_t epoch = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  uint64_t position = 1;
  uint64_t next = 0;
  bool failed = false;

  // Batches until `count` pages are written: every id once, or ids spread over all.
  static Task<void> write_some(Bench* self, uint64_t count, bool spread) {
    std::vector<PageClient::Write> writes(kBatch);
    for (auto& write : writes) {
      write.page.buffer = co_await self->env.buffers().allocate(page_bytes());
      std::memset(write.page.buffer.data(), 7, page_bytes());
      write.page.length = self->store.page_length_max();
    }
    while (self->next < count) {
      for (auto& write : writes) {
        const uint64_t number = self->next++;
        write.id = {1 + (spread ? number * 7'919 : number) % page_total()};
        write.page.version = {self->epoch, self->position++};
      }
      if (!co_await self->store.write_pages({}, 1, writes)) self->failed = true;
    }
  }
  static Task<void> read_some(Bench* self, uint64_t count) {
    while (self->next < count) {
      const uint64_t number = self->next++ * 0x9e3779b97f4a7c15ull >> 20;
      if (!co_await self->store.read_page({}, {1 + number % page_total()})) self->failed = true;
    }
  }
  Task<double> write(uint64_t count, bool spread) {
    next = 0;
    const auto begun = std::chrono::steady_clock::now();
    Scope scope(env);
    for (unsigned i = 0; i < kWriters; ++i) scope.spawn(&Bench::write_some, this, count, spread);
    co_await scope.join();
    co_return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  }
  Task<double> read(uint64_t count) {
    next = 0;
    const auto begun = std::chrono::steady_clock::now();
    Scope scope(env);
    for (unsigned i = 0; i < kReaders; ++i) scope.spawn(&Bench::read_some, this, count);
    co_await scope.join();
    co_return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  }
};

enum class Kind { write_new, rewrite, read, open };

using Body = std::function<Task<void>(Env&, PageFile&, double)>;

// Opens the store and gives how long that took.
void with_store(benchmark::State& state, const Body& body) {
  const Result<void> ran = run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
    const auto begun = std::chrono::steady_clock::now();
    auto store =
        co_await PageFile::open(env, {.directory = directory(), .store_id = {1}, .slot_bytes = page_bytes()});
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (!store) co_return state.SkipWithError("no store");
    co_await body(env, **store, took);
    if (!co_await (*store)->close()) state.SkipWithError("not closed");
  });
  if (!ran) state.SkipWithError("no environment");
}

void fill(benchmark::State& state) {
  with_store(state, [&](Env& env, PageFile& store, double) -> Task<void> {
    Bench bench{.env = env, .store = store};
    if (store.page_count() < page_total()) (void)co_await bench.write(page_total(), false);
  });
}

void run(benchmark::State& state, Kind kind) {
  if (kind == Kind::write_new) std::filesystem::remove_all(directory());
  if (kind != Kind::write_new) fill(state);
  const auto count = static_cast<uint64_t>(state.range(0));
  if (kind == Kind::open) {
    for (auto _ : state) {
      with_store(state, [&](Env& env, PageFile& store, double took) -> Task<void> {
        state.SetIterationTime(took);
        state.counters["busy_ms"] = static_cast<double>(env.stats().busy_ns) / 1e6;
        state.counters["pages"] = static_cast<double>(store.page_count());
        state.counters["bytes_per_page"] =
            static_cast<double>(store.memory_bytes()) / static_cast<double>(store.page_count());
        co_return;
      });
    }
    return;
  }
  with_store(state, [&](Env& env, PageFile& store, double) -> Task<void> {
    Bench bench{.env = env, .store = store};
    for (auto _ : state) {
      const uint64_t busy = env.stats().busy_ns;
      const uint64_t written = env.stats().file_write_bytes;
      state.SetIterationTime(kind == Kind::read ? co_await bench.read(count)
                                                : co_await bench.write(count, kind == Kind::rewrite));
      state.counters["busy_ns_per_page"] =
          static_cast<double>(env.stats().busy_ns - busy) / static_cast<double>(count);
      state.counters["bytes_written_per_page"] =
          static_cast<double>(env.stats().file_write_bytes - written) / static_cast<double>(count);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(count));
    if (bench.failed) state.SkipWithError("an operation failed");
  });
}

void BM_NewPages(benchmark::State& state) { run(state, Kind::write_new); }
void BM_RewritePages(benchmark::State& state) { run(state, Kind::rewrite); }
void BM_RandomReads(benchmark::State& state) { run(state, Kind::read); }
void BM_CleanStart(benchmark::State& state) { run(state, Kind::open); }
BENCHMARK(BM_NewPages)->Arg(64'000)->Iterations(1)->UseManualTime();
BENCHMARK(BM_RewritePages)->Arg(64'000)->Iterations(3)->UseManualTime();
BENCHMARK(BM_RandomReads)->Arg(64'000)->Iterations(3)->UseManualTime();
BENCHMARK(BM_CleanStart)->Arg(0)->Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fb

BENCHMARK_MAIN();
