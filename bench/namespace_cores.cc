// SPDX-License-Identifier: Apache-2.0
// Figures of two cores.
#include <algorithm>
#include <memory>

#include "io/call_on.h"
#include "io/runtime.h"
#include "io/sync.h"
#include "namespace_load.h"

namespace fb::bench {
namespace {

// What the clients of one core do: gets, and a put in every `put_share`th place.
struct Mix {
  uint64_t keys = 0;
  unsigned put_share = 0;
  unsigned clients = 0;  // of each core
  double seconds = 0;
};

// On its core, for a while; how many a second.
Task<double> mixed_load(Env& env, PartitionFront& front, uint64_t seed, const Mix& mix_of) {
  struct Load {
    Env* env;
    PartitionFront* front;
    const Mix* mix_of;
    uint64_t next;
    double until;
    uint64_t done;
    static Task<void> client(Load* load) {
      Value values;
      for (unsigned i = 1; wall_now() < load->until; ++i, ++load->done) {
        const uint64_t number = mix(load->next++) % load->mix_of->keys;
        const Key key(number);
        if (load->mix_of->put_share != 0 && i % load->mix_of->put_share == 0) {
          FB_ASSERT(co_await load->front->apply({}, kBucket, {.key = key.view(), .record = values.of(i)}));
        } else {
          FB_ASSERT(co_await load->front->get({}, kBucket, Space::objects, key.view()));
        }
        if (i % 16 == 0) co_await yield(*load->env);
      }
    }
  };
  const double begun = wall_now();
  Load load{&env, &front, &mix_of, seed, begun + mix_of.seconds, 0};
  Scope scope(env);
  for (unsigned i = 0; i < mix_of.clients; ++i) scope.spawn(&Load::client, &load);
  co_await scope.join();
  co_return static_cast<double>(load.done) / (wall_now() - begun);
}

// One core, then both, in turns. The CPU time an operation takes on both beside that on one tells what of the
// ratio is the processor's: all of it, where operations do not wait for a disk.
Task<void> compare_cores(const Settings& settings, Store& store, PartitionFront& other, std::string_view name,
                         unsigned put_share, unsigned clients) {
  const Mix mix_of{settings.keys, put_share, clients, settings.seconds};
  std::vector<double> ones, twos, ratios, ones_cpu, twos_cpu, frames;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    const uint64_t seed = round * 1'000'000'000ull;
    double cpu = cpu_now();
    ones.push_back(co_await mixed_load(store.env, store.front, seed, mix_of));
    ones_cpu.push_back((cpu_now() - cpu) * 1e6 / (ones.back() * settings.seconds));
    cpu = cpu_now();
    const uint64_t frames_before = store.partition.journal_buffer().statistics().frames;
    const auto [here, there] = co_await when_all(
        [&] { return mixed_load(store.env, store.front, seed + 1, mix_of); },
        [&]() -> Task<double> {
          co_return co_await call_on(
              store.env, 1, [&](Env& env) { return mixed_load(env, other, seed + 500'000'000, mix_of); });
        });
    twos.push_back(here + there);
    twos_cpu.push_back((cpu_now() - cpu) * 1e6 / (twos.back() * settings.seconds));
    frames.push_back(
        static_cast<double>(store.partition.journal_buffer().statistics().frames - frames_before) /
        settings.seconds);
    ratios.push_back(twos.back() / ones.back());
  }
  const auto [least, most] = std::ranges::minmax_element(ratios);
  print_figure(fmt::format("cores: 2, {}, {} clients a core", name, clients), median(twos), "/s",
               {{"1 core", median(ones)}},
               fmt::format("ratios {:.2f} to {:.2f}; CPU {:.2f} us an operation, on one core {:.2f}; {:.0f} "
                           "frames/s",
                           *least, *most, median(twos_cpu), median(ones_cpu), median(frames)));
}

}  // namespace

void measure_cores(const Settings& settings) {
  if (available_cpus() < 2) return;
  with_store(settings.options(), 2, [&](Store& store) -> Task<void> {
    co_await warm(store);
    std::unique_ptr<PartitionFront> other;
    NoBlobs blobs;
    co_await call_on(store.env, 1, [&](Env& env) -> Task<void> {
      other = co_await PartitionFront::open(env, store.partition);
      other->use_blobs(blobs);
    });
    co_await compare_cores(settings, store, *other, "reads", 0, kClients);
    co_await compare_cores(settings, store, *other, "1 put in 10", 10, kClients);
    co_await compare_cores(settings, store, *other, "1 put in 10", 10, 4 * kClients);
    co_await call_on(store.env, 1, [&](Env&) -> Task<void> {
      co_await other->close();
      other.reset();
    });
  });
}

}  // namespace fb::bench
