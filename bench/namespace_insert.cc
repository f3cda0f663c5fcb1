// SPDX-License-Identifier: Apache-2.0
// Figures of durable inserts.
#include <algorithm>

#include "namespace_load.h"
#include "namespace_peers.h"

namespace fb::bench {
namespace {

// The longest time that the core went without looking at its timers, by the thread's CPU time: what other
// processes take from the core does not count.
struct Ticker {
  bool stop = false;
  double longest = 0;
  static Task<void> run(Env* env, Ticker* self) {
    while (!self->stop) {
      const double before = cpu_now(CLOCK_THREAD_CPUTIME_ID);
      (void)co_await sleep_for(*env, Duration::microseconds(200));
      self->longest = std::max(self->longest, cpu_now(CLOCK_THREAD_CPUTIME_ID) - before);
    }
  }
};

struct InsertRounds {
  std::vector<double> ours, lmdb, rocks;
  std::vector<float> micros;
  uint64_t puts = 0;
  uint64_t device = 0;
  double longest_turn = 0;
};

Task<void> insert_rounds(const Settings& settings, Store& store, InsertRounds& rounds) {
  Lmdb lmdb(settings.lmdb(), true);
  Rocks rocks(settings.rocks());
  PutLoad load{.next = fresh_numbers(), .micros = &rounds.micros};
  for (unsigned round = 0; round < settings.rounds; ++round) {
    const uint64_t before = device_bytes();
    Ticker ticker;
    Scope scope(store.env);
    scope.spawn(&Ticker::run, &store.env, &ticker);
    rounds.ours.push_back(co_await put_for(store, load, kClients, settings.seconds));
    ticker.stop = true;
    co_await scope.join();
    rounds.longest_turn = std::max(rounds.longest_turn, ticker.longest);
    rounds.puts += load.done;
    rounds.device += device_bytes() - before;
    const double begun = wall_now();
    const uint64_t put = lmdb.put(load.next, UINT64_MAX, 1, settings.seconds);
    rounds.lmdb.push_back(static_cast<double>(put) / (wall_now() - begun));
    const double again = wall_now();
    const uint64_t synced = rocks.put_synced(load.next, kClients, settings.seconds);
    rounds.rocks.push_back(static_cast<double>(synced) / (wall_now() - again));
    load.next += put + synced + 1'000'000;
  }
}

}  // namespace

void measure_insert(const Settings& settings) {
  InsertRounds rounds;
  uint64_t checkpoints = 0;
  uint64_t pages = 0;
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    co_await warm(store);
    co_await insert_rounds(settings, store, rounds);
    checkpoints = store.partition.statistics().checkpoints;
    pages = store.partition.statistics().pages_written;
  });
  const auto [least, most] = std::ranges::minmax_element(rounds.ours);
  print_figure("insert: durable, 64 clients", median(rounds.ours), "puts/s",
               {{"lmdb, synced", median(rounds.lmdb)}, {"rocksdb, synced, 64 threads", median(rounds.rocks)}},
               fmt::format("rounds {:.0f} to {:.0f}; {} checkpoints, {} pages written", *least, *most,
                           checkpoints, pages));
  print_figure("insert: written to the device",
               static_cast<double>(rounds.device) / static_cast<double>(rounds.puts), "bytes/key");
  print_figure("insert: latency p50", percentile(rounds.micros, 0.5) / 1000, "ms");
  print_figure("insert: latency p99.9", percentile(rounds.micros, 0.999) / 1000, "ms", {{"limit", 20}});
  print_figure("insert: longest", percentile(rounds.micros, 1) / 1000, "ms", {{"limit", 20}});
  print_figure("insert: longest turn of the loop, CPU", rounds.longest_turn * 1000, "ms");
}

}  // namespace fb::bench
