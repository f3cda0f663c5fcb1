// SPDX-License-Identifier: Apache-2.0
// Figures of gets and lists where all pages are in memory.
#include <algorithm>

#include "io/sync.h"
#include "namespace_load.h"
#include "namespace_peers.h"

namespace fb::bench {
namespace {

constexpr uint32_t kPageEntries = 1000;

struct GetAll {
  PartitionFront* front;
  const std::vector<Key>* keys;
  size_t next = 0;
  uint64_t found = 0;
};
Task<void> get_all_client(Env* env, GetAll* load) {
  co_await yield(*env);  // so that all have come
  while (load->next < load->keys->size()) {
    const Key& key = (*load->keys)[load->next++];
    const auto got = co_await load->front->get({}, kBucket, Space::objects, key.view());
    load->found += got && got->record.size() == kValueBytes;
  }
}

// All of the keys, by so many clients.
Task<uint64_t> get_all(Store& store, const std::vector<Key>& keys, unsigned clients) {
  GetAll load{&store.front, &keys};
  Scope scope(store.env);
  for (unsigned i = 0; i < clients; ++i) scope.spawn(&get_all_client, &store.env, &load);
  co_await scope.join();
  co_return load.found;
}

Task<void> list_keys(const Settings& settings, Store& store) {
  std::vector<double> rates;
  std::vector<double> micros;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    std::string after(Key(mix(round)).view());
    uint64_t keys = 0;
    const double begun = cpu_now();
    const uint64_t most = std::min<uint64_t>(settings.keys, 1'000'000);
    while (keys < most) {
      const double page_begun = cpu_now();
      const auto page =
          co_await store.front.list({}, {.bucket = kBucket, .prefix = "datasets/", .start_after = after});
      micros.push_back((cpu_now() - page_begun) * 1e6);
      FB_ASSERT(page);
      keys += page->entries.size();
      after = page->truncated ? page->entries.back().key : "";
    }
    rates.push_back(static_cast<double>(keys) / (cpu_now() - begun));
  }
  print_figure("list: pages of 1000 with records", median(rates), "keys/s", {{"target", 2e6}});
  print_figure("list: page of 1000 keys, p50", percentile(micros, 0.5) / 1000, "ms", {{"limit", 1}});
  print_figure("list: page of 1000 keys, p99", percentile(micros, 0.99) / 1000, "ms", {{"limit", 1}});
}

Task<void> list_prefixes(const Settings& settings, Store& store) {
  std::vector<double> micros;
  for (unsigned i = 0; i < 20 * settings.rounds; ++i) {
    const std::string prefix = fmt::format("datasets/imagenet-{:02}/train/", i % kFolders);
    const double begun = cpu_now();
    const auto page = co_await store.front.list({}, {.bucket = kBucket, .prefix = prefix, .delimiter = "/"});
    micros.push_back((cpu_now() - begun) * 1e6);
    FB_ASSERT(page);
    FB_ASSERT(page->entries.size() == kPageEntries, page->entries.size());
  }
  print_figure("list: page of 1000 common prefixes, p50", percentile(micros, 0.5) / 1000, "ms",
               {{"limit", 2}});
}

}  // namespace

void measure_get(const Settings& settings) {
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    co_await warm(store);
    Lmdb lmdb(settings.lmdb(), false);
    Rocks rocks(settings.rocks());
    std::vector<double> ours, alone, lmdbs, rockses;
    for (unsigned round = 0; round <= settings.rounds; ++round) {
      double seconds[4] = {};
      const uint64_t batches = round == 0 ? 10 : 5;  // the first one only warms
      for (uint64_t batch = 0; batch < batches; ++batch) {
        const std::vector<Key> keys =
            random_keys((round * 100 + batch) * kGetBatch, kGetBatch, settings.keys);
        double begun = cpu_now();
        FB_ASSERT(co_await get_all(store, keys, kClients) == keys.size());
        seconds[0] += cpu_now() - begun;
        begun = cpu_now();
        FB_ASSERT(co_await get_all(store, keys, 1) == keys.size());
        seconds[3] += cpu_now() - begun;
        begun = cpu_now();
        (void)lmdb.get(keys);
        seconds[1] += cpu_now() - begun;
        begun = cpu_now();
        (void)rocks.get(keys);
        seconds[2] += cpu_now() - begun;
      }
      const auto gets = static_cast<double>(batches * kGetBatch);
      if (round == 0) continue;
      ours.push_back(gets / seconds[0]);
      lmdbs.push_back(gets / seconds[1]);
      rockses.push_back(gets / seconds[2]);
      alone.push_back(gets / seconds[3]);
    }
    print_figure("get: random, hot, 64 clients", median(ours), "gets/s",
                 {{"lmdb", median(lmdbs)}, {"rocksdb", median(rockses)}});
    print_figure("get: random, hot, one client", median(alone), "gets/s",
                 {{"lmdb", median(lmdbs)}, {"rocksdb", median(rockses)}});
  });
}

void measure_list(const Settings& settings) {
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    co_await warm(store);
    co_await list_keys(settings, store);
    co_await list_prefixes(settings, store);
  });
}

}  // namespace fb::bench
