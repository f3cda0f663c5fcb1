// SPDX-License-Identifier: Apache-2.0
// Filling the stores that all figures use, and the space that they take then.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "namespace_load.h"
#include "namespace_peers.h"

namespace fb::bench {
namespace {

struct FillLoad {
  PartitionFront* front;
  uint64_t next;
  uint64_t end;
};
Task<void> fill_client(FillLoad* load) {
  std::vector<Value> values(kFillBatch);
  std::vector<Key> keys;
  std::vector<Mutation> mutations;
  while (load->next < load->end) {
    const uint64_t first = load->next;
    const uint64_t count = std::min(kFillBatch, load->end - first);
    load->next += count;
    keys.clear();
    mutations.clear();
    for (uint64_t i = first; i < first + count; ++i) keys.emplace_back(i);
    for (uint64_t i = 0; i < count; ++i)
      mutations.push_back({.key = keys[i].view(), .record = values[i].of(first + i)});
    for (const auto& put : co_await load->front->apply_each({}, kBucket, mutations)) FB_ASSERT(put);
  }
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  file >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void mark(const std::string& path, uint64_t keys, uint64_t bytes) {
  std::ofstream(path + ".keys") << keys << " " << bytes << "\n";
}

void start_over(const std::string& path) {
  std::filesystem::remove(path + ".keys");
  std::filesystem::remove(path + ".renames");
  std::filesystem::remove_all(path);
}

}  // namespace

FillMark fill_mark(const std::string& path) {
  std::ifstream file(path + ".keys");
  FillMark mark;
  file >> mark.keys >> mark.bytes;
  return mark;
}

void fill_ours(const Settings& settings) {
  start_over(settings.ours());
  uint64_t bytes = 0;
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    FB_ASSERT(co_await store.front.create_tree({}, kBucket));
    const uint64_t before = device_bytes();
    const double begun = wall_now();
    FillLoad load{&store.front, 0, settings.keys};
    {
      Scope scope(store.env);
      for (unsigned i = 0; i < kClients; ++i) scope.spawn(&fill_client, &load);
      co_await scope.join();
    }
    const auto keys = static_cast<double>(settings.keys);
    print_figure("fill: durable, 64 clients, 64 puts a call", keys / (wall_now() - begun), "keys/s");
    FB_ASSERT(co_await store.partition.take_checkpoint(true));
    bytes = store.partition.statistics().pages * store.partition.page_bytes();
    print_figure("fill: written to the device", static_cast<double>(device_bytes() - before) / keys,
                 "bytes/key");
    print_figure("fill: memory of the process", resident_bytes() / keys, "bytes/key");
    const Partition::Statistics statistics = store.partition.statistics();
    print_figure("fill: pages written", static_cast<double>(statistics.pages_written), "pages", {},
                 fmt::format("{} pages, {} checkpoints", statistics.pages, statistics.checkpoints));
  });
  mark(settings.ours(), settings.keys, bytes);
}

void fill_peers(const Settings& settings) {
  if (fill_mark(settings.lmdb()).keys != settings.keys) {
    start_over(settings.lmdb());
    Lmdb lmdb(settings.lmdb(), false);
    (void)lmdb.put(0, settings.keys, 10'000, 1e9);
    mark(settings.lmdb(), settings.keys, static_cast<uint64_t>(lmdb.bytes()));
  }
  if (fill_mark(settings.rocks()).keys != settings.keys) {
    start_over(settings.rocks());
    Rocks rocks(settings.rocks());
    rocks.put_unlogged(0, settings.keys);
    rocks.settle();
    mark(settings.rocks(), settings.keys, static_cast<uint64_t>(rocks.bytes()));
  }
}

void measure_space(const Settings& settings) {
  const auto bytes_per_key = [&](const std::string& path) {
    return static_cast<double>(fill_mark(path).bytes) / static_cast<double>(settings.keys);
  };
  print_figure(
      "space: in pages, after random inserts", bytes_per_key(settings.ours()), "bytes/key",
      {{"lmdb", bytes_per_key(settings.lmdb())}, {"rocksdb, compacted", bytes_per_key(settings.rocks())}});
}

}  // namespace fb::bench
