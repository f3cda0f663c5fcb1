// SPDX-License-Identifier: Apache-2.0
// Figures of starts: after an orderly end, and after a kill.
#include <signal.h>
#include <unistd.h>

#include "namespace_load.h"

namespace fb::bench {

void measure_restart(const Settings& settings) {
  std::vector<double> opens;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
      const double begun = wall_now();
      FB_ASSERT(co_await store.front.get({}, kBucket, Space::objects, Key(round).view()));
      opens.push_back((store.open_seconds + wall_now() - begun) * 1000);
    });
  }
  print_figure("restart: clean, to the first get", median(opens), "ms", {{"limit", 500}});
}

// A process that is killed when a start would replay so much, then a start.
void measure_replay(const Settings& settings) {
  Settings::Options options = settings.options();
  options.stores.journal_bytes_max = 3 * settings.replay_bytes;
  in_child(
      [&] {
        with_store(options, 1, [&](Store& store) -> Task<void> {
          PutLoad load{.next = fresh_numbers()};
          while (store.partition.statistics().journal_bytes < settings.replay_bytes)
            (void)co_await put_for(store, load, 4 * kClients, 0.2);
          kill(getpid(), SIGKILL);
        });
      },
      true);
  const double cpu = cpu_now();
  with_store(options, 1, [&](Store& store) -> Task<void> {
    const double begun = wall_now();
    const uint64_t journal_bytes = store.partition.statistics().journal_bytes;
    FB_ASSERT(co_await store.front.get({}, kBucket, Space::objects, Key(0).view()));
    print_figure(
        "replay: after a kill, to the first get", store.open_seconds + wall_now() - begun, "s",
        {{"limit", 5}},
        fmt::format("{} records, {} MiB of journal, {:.2f} s of CPU",
                    store.partition.statistics().replayed_records, journal_bytes / kMiB, cpu_now() - cpu));
    const uint64_t pages = store.partition.statistics().redo_pages;
    while (store.partition.statistics().redo_pages != 0)
      (void)co_await sleep_for(store.env, Duration::milliseconds(1));
    print_figure("replay: until all pages have their changes", store.open_seconds + wall_now() - begun, "s",
                 {{"limit", 5}},
                 fmt::format("{} pages in the background, {:.2f} s of CPU", pages, cpu_now() - cpu));
  });
}

}  // namespace fb::bench
