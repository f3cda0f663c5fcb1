// SPDX-License-Identifier: Apache-2.0
// Figures of the blob engine on two cores: what one reads of the other's shards.
#include <sched.h>

#include <atomic>
#include <memory>

#include "bss_load.h"
#include "io/call_on.h"

namespace fb::bench {
namespace {

constexpr Duration kEndPoll = Duration::milliseconds(20);

// One store on two cores; `body` runs on the first.
void with_two_cores(
    const Settings& settings, size_t cache_bytes,
    const std::function<Task<void>(Env&, std::array<std::unique_ptr<bss::BlobFront>, 2>&)>& body) {
  const std::string directory = settings.directory + "/blobs";
  std::filesystem::remove_all(directory);
  const bss::BlobStoreOptions options{.directory = directory,
                                      .incarnation = {1},
                                      .capacity_bytes = settings.capacity_bytes(),
                                      .cache_bytes = cache_bytes};
  std::unique_ptr<bss::BlobStore> store;
  std::array<std::unique_ptr<bss::BlobFront>, 2> fronts;
  std::atomic<bool> ended = false;
  const auto ran = run_cores({.cores = 2, .pin = true}, [&](Env& env) -> Task<void> {
    if (env.core() != 0) {
      while (!ended) (void)co_await sleep_for(env, kEndPoll);
      co_return;
    }
    auto opened = co_await bss::BlobStore::open(env, options);
    if (!opened) give_up("the store was not made: " + opened.error().to_string());
    store = std::move(*opened);
    for (unsigned core = 0; core < 2; ++core) {
      co_await call_on(env, core, [&](Env& there) -> Task<void> {
        fronts[core] = std::make_unique<bss::BlobFront>(there, *store);
        if (!co_await fronts[core]->open()) give_up("the store was not opened");
      });
    }
    co_await body(env, fronts);
    for (unsigned core = 0; core < 2; ++core) {
      co_await call_on(env, core, [&](Env&) -> Task<void> {
        if (!co_await fronts[core]->close()) give_up("the store was not closed");
      });
    }
    for (unsigned core = 0; core < 2; ++core) {
      co_await call_on(env, core, [&](Env&) -> Task<void> {
        fronts[core].reset();
        co_return;
      });
    }
    ended = true;
  });
  if (!ran) give_up("no environment: " + ran.error().to_string());
  std::filesystem::remove_all(directory);
}

void measure_others(const Settings& settings, bool cached) {
  std::vector<double> rates;
  std::vector<double> cpu;
  with_two_cores(settings, cached ? 256 * kMiB : 0, [&](Env& env, auto& fronts) -> Task<void> {
    Load load(env, *fronts[0]);
    const uint64_t count = cached ? kHotBlobs : settings.fill_mib * kMiB / kSmallBytes;
    co_await call_on(env, 1, [&](Env& there) -> Task<void> {
      Load filling(there, *fronts[1]);
      (void)co_await filling.run(&Load::put, kSmallWidth, kSmallBytes, 3600, count);
      load.keys = std::move(filling.keys);
    });
    if (cached) co_await load.read_all(kSmallBytes);
    for (unsigned round = 0; round < settings.rounds; ++round) {
      const auto rate = co_await load.run(&Load::get, kSmallWidth, kSmallBytes, settings.seconds);
      rates.push_back(rate.per_second);
      cpu.push_back(rate.cpu_micros);
    }
  });
  const std::string name =
      fmt::format("get 4 KiB of the other core's, {}, 64 in flight", cached ? "from the cache" : "cold");
  const auto [low, high] = std::ranges::minmax(cpu);
  print_figure(name, median(rates), "gets/s", {}, fmt::format("{} rounds", rates.size()));
  print_figure(name + ": CPU time of both cores", median(cpu), "us/operation", {},
               fmt::format("{:.2f} to {:.2f}", low, high));
}

}  // namespace

void measure_two_cores(const Settings& settings) {
  cpu_set_t one;
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &all);
  if (sched_getaffinity(0, sizeof(one), &one) != 0) give_up("no affinity");
  if (sched_setaffinity(0, sizeof(all), &all) != 0) give_up("no other core");
  measure_others(settings, false);
  measure_others(settings, true);
  if (sched_setaffinity(0, sizeof(one), &one) != 0) give_up("no affinity");
}

}  // namespace fb::bench
