// SPDX-License-Identifier: Apache-2.0
// Figures of a working set larger than memory.
#include <algorithm>

#include "fio.h"
#include "namespace_load.h"

namespace fb::bench {
namespace {

double fio_reads(const Settings& settings) {
  const std::string command = fmt::format(
      "taskset -c {} fio --name=reads --filename={}/pages/pages --readonly --rw=randread --bs=16k --direct=1 "
      "--ioengine=io_uring --iodepth=64 --time_based --runtime={:.0f} --minimal --terse-version=3 "
      "2>/dev/null",
      settings.cpu, settings.ours(), std::max(2.0, settings.seconds));
  return run_fio(command, false).value_or(FioRate()).iops;
}

}  // namespace

void measure_cold(const Settings& settings) {
  Settings::Options options = settings.options();
  options.engine.memory_bytes = fill_mark(settings.ours()).bytes / 10;
  with_store(options, 1, [&](Store& store) -> Task<void> {
    std::vector<double> rates, fios;
    std::vector<float> micros;
    uint64_t gets = 0;
    const uint64_t loads = store.partition.statistics().page_loads;
    for (unsigned round = 0; round <= settings.rounds; ++round) {
      const std::vector<Key> keys = random_keys(round * 10'000'000, 1'000'000, settings.keys);
      const double begun = wall_now();
      GetLoad load{&store.front, &store.env, &keys, begun + settings.seconds};
      Scope scope(store.env);
      for (unsigned i = 0; i < kClients; ++i) scope.spawn(&get_client, &load);
      co_await scope.join();
      const auto done = static_cast<double>(load.micros.size());
      const double rate = done / (wall_now() - begun);
      const double fio = fio_reads(settings);
      gets += load.micros.size();
      if (round == 0) continue;  // fills the memory
      rates.push_back(rate);
      fios.push_back(fio);
      micros.insert(micros.end(), load.micros.begin(), load.micros.end());
    }
    const Partition::Statistics statistics = store.partition.statistics();
    print_figure("cold: gets, 64 in flight, memory a tenth", median(rates), "gets/s",
                 {{"fio, 16 KiB, depth 64", median(fios)}},
                 fmt::format("{:.2f} page reads a get, p50 {:.2f} ms, p99 {:.2f} ms",
                             static_cast<double>(statistics.page_loads - loads) / static_cast<double>(gets),
                             percentile(micros, 0.5) / 1000, percentile(micros, 0.99) / 1000));
  });
}

}  // namespace fb::bench
