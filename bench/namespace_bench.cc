// SPDX-License-Identifier: Apache-2.0
// The namespace engine on real files, on one core, beside LMDB and RocksDB with the same keys and values.
//
//     fb_namespace_bench [--keys=N] [--directory=PATH] [--figures=a,b] [--seconds=S] [--rounds=R] [--cpu=N]
//
// Figures, in this order: fill insert get list space rename restart replay cold cores. Each runs in a process
// of its own on the stores that `fill` made in the directory (made anew where they hold another number of
// keys; the directory must be on a disk). One line a figure: name, ours, each peer with the ratio.
//
// Keys and values: namespace_workload.h. Peers' settings: namespace_peers.h. Rates are medians of rounds in
// which the engines take turns; `get` and `list` by CPU time of the process, all else by the wall clock.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bss/metadata_store.h"
#include "client/blob_client.h"
#include "io/call_on.h"
#include "io/runtime.h"
#include "io/scope.h"
#include "io/sync.h"
#include "namespace_peers.h"
#include "namespace_workload.h"
#include "nss/partition_front.h"

namespace fb::bench {
namespace {

constexpr BucketId kBucket{7};
constexpr unsigned kClients = 64;
constexpr uint64_t kFillBatch = 64;      // puts of one apply_each while filling
constexpr uint64_t kGetBatch = 100'000;  // keys of one timed run of gets
constexpr uint32_t kPageEntries = 1000;
// Of gets beside renames: one stall of the machine makes the p99 of a round, so there are many short ones.
constexpr unsigned kPaceRounds = 15;
constexpr double kPaceSeconds = 0.5;

struct Settings {
  uint64_t keys = 10'000'000;
  std::string directory = "namespace_bench.data";
  std::set<std::string> figures;
  double seconds = 3;
  unsigned rounds = 5;
  int cpu = -1;  // the last one of the mask
  uint64_t memory_bytes = 0;
  uint64_t replay_bytes = kGiB;
  uint64_t journal_bytes_max = kGiB;

  bool wants(const std::string& figure) const { return figures.empty() || figures.contains(figure); }
  std::string ours() const { return directory + "/ours"; }
  std::string lmdb() const { return directory + "/lmdb"; }
  std::string rocks() const { return directory + "/rocksdb"; }
  struct Options {
    Partition::Options engine;
    bss::MetadataStore::Options stores;
  };
  Options options() const {
    return {.engine = {.memory_bytes = memory_bytes != 0 ? memory_bytes : keys * 600 + 512 * kMiB},
            .stores = {.directory = ours(), .store_id = {1}, .journal_bytes_max = journal_bytes_max}};
  }
};

// The benchmark's records name no blobs.
class NoBlobs final : public BlobClient {
 public:
  BlobId new_blob() override { return {}; }
  Task<Result<void>> put(const CallContext&, const BlobWrite&) override { co_return BlobError::full; }
  Task<Result<BlobData>> get(const CallContext&, BlobKey, uint32_t, uint32_t) override {
    co_return BlobError::not_found;
  }
  Task<Result<void>> erase(const CallContext&, std::span<const BlobExtent>) override {
    co_return Result<void>();
  }
  Task<Result<BlobPage>> enumerate(const CallContext&, uint16_t, uint64_t) override { co_return BlobPage(); }
  uint16_t shard_count() const override { return 1; }
  Task<Result<BlobSpace>> space(const CallContext&) override { co_return BlobSpace(); }
};

// The store as one figure uses it.
struct Store {
  Env& env;
  Partition& partition;
  PartitionFront& front;
  double open_seconds = 0;
};
using Body = std::function<Task<void>(Store&)>;

void with_store(const Settings::Options& options, unsigned cores, const Body& body) {
  NoBlobs blobs;
  unsigned others_done = 0;
  const Result<void> ran = run_cores(
      {.cores = cores, .pin = true, .on_notice = [](Env&, std::string_view) {}}, [&](Env& env) -> Task<void> {
        if (env.core() != 0) {
          while (!std::atomic_ref(others_done).load())
            (void)co_await sleep_for(env, Duration::milliseconds(20));
          co_return;
        }
        const double begun = wall_now();
        auto stores = co_await bss::MetadataStore::open(env, options.stores);
        FB_ASSERT(stores);
        auto partition = co_await Partition::open(env, options.engine, (*stores)->clients());
        FB_ASSERT(partition);
        auto front = co_await PartitionFront::open(env, **partition);
        Store store{env, **partition, *front, wall_now() - begun};
        front->use_blobs(blobs);
        (*partition)->start_background(blobs);
        co_await body(store);
        co_await front->close();
        FB_ASSERT(co_await (*partition)->close());
        FB_ASSERT(co_await (*stores)->close());
        std::atomic_ref(others_done).store(1);
      });
  FB_ASSERT(ran);
}

// --- load ---

struct PutLoad {
  PartitionFront* front = nullptr;
  uint64_t next = 0;
  double until = 0;
  std::vector<float>* micros = nullptr;
  uint64_t done = 0;
};

Task<void> put_client(PutLoad* load) {
  Value values;
  while (wall_now() < load->until) {
    const uint64_t number = load->next++;
    const Key key(number);
    const double begun = wall_now();
    const auto put =
        co_await load->front->apply({}, kBucket, {.key = key.view(), .record = values.of(number)});
    FB_ASSERT(put);
    if (load->micros != nullptr) load->micros->push_back(static_cast<float>((wall_now() - begun) * 1e6));
    ++load->done;
  }
}

Task<double> put_for(Store& store, PutLoad& load, unsigned clients, double seconds) {
  load.front = &store.front;
  load.done = 0;
  const double begun = wall_now();
  load.until = begun + seconds;
  Scope scope(store.env);
  for (unsigned i = 0; i < clients; ++i) scope.spawn(&put_client, &load);
  co_await scope.join();
  co_return static_cast<double>(load.done) / (wall_now() - begun);
}

Task<void> put_many(PartitionFront& front, const std::vector<std::string>& names) {
  Value values;
  std::vector<Mutation> mutations;
  for (size_t i = 0; i < names.size(); ++i) {
    mutations.push_back({.key = names[i], .record = values.of(0)});
    if (mutations.size() < kFillBatch && i + 1 < names.size()) continue;
    for (const auto& put : co_await front.apply_each({}, kBucket, mutations)) FB_ASSERT(put);
    mutations.clear();
  }
}

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

uint64_t device_bytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "write_bytes:") return value;
  }
  return 0;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  file >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Numbers that no earlier run put.
uint64_t fresh_numbers() { return static_cast<uint64_t>(time(nullptr)) << 28; }

// --- fill ---

uint64_t marked(const std::string& path) {
  std::ifstream file(path + ".keys");
  uint64_t keys = 0;
  file >> keys;
  return keys;
}
void mark(const std::string& path, uint64_t keys, uint64_t bytes) {
  std::ofstream(path + ".keys") << keys << " " << bytes << "\n";
}
double marked_bytes(const std::string& path) {
  std::ifstream file(path + ".keys");
  uint64_t keys = 0;
  uint64_t bytes = 0;
  file >> keys >> bytes;
  return static_cast<double>(bytes);
}
void start_over(const std::string& path) {
  std::filesystem::remove(path + ".keys");
  std::filesystem::remove(path + ".renames");
  std::filesystem::remove_all(path);
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
  if (marked(settings.lmdb()) != settings.keys) {
    start_over(settings.lmdb());
    Lmdb lmdb(settings.lmdb(), false);
    (void)lmdb.put(0, settings.keys, 10'000, 1e9);
    mark(settings.lmdb(), settings.keys, static_cast<uint64_t>(lmdb.bytes()));
  }
  if (marked(settings.rocks()) != settings.keys) {
    start_over(settings.rocks());
    Rocks rocks(settings.rocks());
    rocks.put_unlogged(0, settings.keys);
    rocks.settle();
    mark(settings.rocks(), settings.keys, static_cast<uint64_t>(rocks.bytes()));
  }
}

// Brings every page into memory.
Task<void> warm(Store& store) {
  std::string after;
  for (;;) {
    const auto page = co_await store.front.list(
        {}, {.bucket = kBucket, .start_after = after, .entries_max = 10'000, .with_records = false});
    FB_ASSERT(page);
    if (!page->truncated) break;
    after = page->entries.back().key;
  }
}

// --- durable inserts ---

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

// --- reads, hot ---

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

void measure_list(const Settings& settings) {
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    co_await warm(store);
    co_await list_keys(settings, store);
    co_await list_prefixes(settings, store);
  });
}

void measure_space(const Settings& settings) {
  const auto keys = static_cast<double>(settings.keys);
  print_figure("space: in pages, after random inserts", marked_bytes(settings.ours()) / keys, "bytes/key",
               {{"lmdb", marked_bytes(settings.lmdb()) / keys},
                {"rocksdb, compacted", marked_bytes(settings.rocks()) / keys}});
}

// --- renames ---

struct RenameKind {
  std::string name;
  std::vector<std::string> directories;  // each moves behind `moved/` and back
};

std::vector<RenameKind> rename_kinds(const Settings& settings) {
  std::vector<RenameKind> kinds{{"1 object", {}}, {"1,000 objects", {}}};
  for (unsigned i = 0; i < 200; ++i) kinds[0].directories.push_back(fmt::format("one/{:04}/", i));
  for (unsigned i = 0; i < 50; ++i) kinds[1].directories.push_back(fmt::format("thousand/{:04}/", i));
  kinds.push_back({fmt::format("{} objects", settings.keys / kFolders), {}});
  for (unsigned i = 0; i < kFolders; ++i)
    kinds[2].directories.push_back(fmt::format("datasets/imagenet-{:02}/", i));
  kinds.push_back({fmt::format("{} objects", settings.keys), {"datasets/"}});
  return kinds;
}

void make_rename_directories(const Settings& settings) {
  const std::string done = settings.ours() + ".renames";
  if (std::filesystem::exists(done)) return;
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    const auto kinds = rename_kinds(settings);
    std::vector<std::string> names;
    for (const std::string& folder : kinds[0].directories) names.push_back(folder + "object");
    for (const std::string& folder : kinds[1].directories) {
      for (unsigned i = 0; i < 1000; ++i) names.push_back(fmt::format("{}{:016x}.jpg", folder, mix(i)));
    }
    co_await put_many(store.front, names);
  });
  std::ofstream(done) << "made\n";
}

struct RenameTimes {
  std::vector<double> renames, writes;  // ms
};

Task<void> rename_pass(Store& store, const RenameKind& kind, RenameTimes& times) {
  Value values;
  for (const bool back : {false, true}) {
    for (const std::string& directory : kind.directories) {
      const std::string moved = "moved/" + directory;
      double begun = wall_now();
      const auto renamed = co_await store.front.rename({}, {.bucket = kBucket,
                                                            .source = back ? moved : directory,
                                                            .destination = back ? directory : moved,
                                                            .prefix = true});
      FB_ASSERT(renamed);
      times.renames.push_back((wall_now() - begun) * 1000);
      begun = wall_now();
      FB_ASSERT(co_await store.front.apply({}, kBucket, {.key = "write", .record = values.of(1)}));
      times.writes.push_back((wall_now() - begun) * 1000);
    }
  }
}

void print_renames(std::string_view when, std::string_view what, RenameTimes& times) {
  const double write = percentile(times.writes, 0.5);
  print_figure(fmt::format("rename: {}, {}, p50", what, when), percentile(times.renames, 0.5), "ms",
               {{"one durable write p50", write}},
               fmt::format("p99 {:.3g} ms, write p99 {:.3g} ms, {} renames", percentile(times.renames, 0.99),
                           percentile(times.writes, 0.99), times.renames.size()));
}

struct GetLoad {
  PartitionFront* front;
  Env* env;
  const std::vector<Key>* keys;
  double until;
  size_t next = 0;
  std::vector<float> micros;
};
Task<void> get_client(GetLoad* load) {
  while (wall_now() < load->until) {
    const Key& key = (*load->keys)[load->next++ % load->keys->size()];
    const double begun = wall_now();
    FB_ASSERT(co_await load->front->get({}, kBucket, Space::objects, key.view()));
    load->micros.push_back(static_cast<float>((wall_now() - begun) * 1e6));
    co_await yield(*load->env);
  }
}

// Renames of ten directories there and back, `pause` after each; or single puts at the same pace.
struct Changer {
  enum class Kind : uint8_t { nothing, puts, renames };
  Kind kind;
  Duration pause;
  double until;
};
Task<void> change_things(Store* store, const RenameKind* kind, Changer changer) {
  Value values;
  for (size_t i = 0; changer.kind != Changer::Kind::nothing; ++i) {
    const std::string& directory = kind->directories[i / 2 % kind->directories.size()];
    const std::string moved = "moved/" + directory;
    if (i % 2 == 0 && wall_now() >= changer.until) break;
    if (changer.kind == Changer::Kind::puts) {
      FB_ASSERT(co_await store->front.apply({}, kBucket, {.key = directory, .record = values.of(i)}));
    } else {
      FB_ASSERT(co_await store->front.rename({}, {.bucket = kBucket,
                                                  .source = i % 2 == 1 ? moved : directory,
                                                  .destination = i % 2 == 1 ? directory : moved,
                                                  .prefix = true}));
    }
    (void)co_await sleep_for(store->env, changer.pause);
  }
}

Task<double> get_p99(const Settings& settings, Store& store, const RenameKind& kind, Changer changer) {
  const std::vector<Key> keys = random_keys(1, kGetBatch, settings.keys);
  GetLoad load{&store.front, &store.env, &keys, wall_now() + kPaceSeconds};
  changer.until = load.until;
  Scope scope(store.env);
  scope.spawn(&change_things, &store, &kind, changer);
  for (unsigned i = 0; i < 8; ++i) scope.spawn(&get_client, &load);
  co_await scope.join();
  co_return percentile(load.micros, 0.99);
}

Task<void> gets_during_renames(const Settings& settings, Store& store) {
  const auto kinds = rename_kinds(settings);
  for (const auto& [pause, name] : {std::pair(Duration::milliseconds(100), "10 renames/s"),
                                    std::pair(Duration::milliseconds(10), "up to 100 renames/s"),
                                    std::pair(Duration::microseconds(1), "one after the other")}) {
    std::vector<double> with, without, puts;
    for (unsigned round = 0; round < std::max(settings.rounds, kPaceRounds); ++round) {
      for (const auto kind : {Changer::Kind::nothing, Changer::Kind::puts, Changer::Kind::renames}) {
        const double p99 = co_await get_p99(settings, store, kinds[1], {kind, pause, 0});
        (kind == Changer::Kind::nothing ? without : kind == Changer::Kind::puts ? puts : with).push_back(p99);
      }
    }
    print_figure(
        fmt::format("rename: p99 of gets, {}", name), median(with), "us",
        {{"without", median(without)}, {"with puts instead", median(puts)}},
        fmt::format("quartiles {:.3g} to {:.3g} us, without {:.3g} to {:.3g}", percentile(with, 0.25),
                    percentile(with, 0.75), percentile(without, 0.25), percentile(without, 0.75)));
  }
}

void measure_rename(const Settings& settings) {
  make_rename_directories(settings);
  const auto kinds = rename_kinds(settings);
  // Each kind in an engine just started, then again.
  for (const RenameKind& kind : kinds) {
    with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
      RenameTimes cold;
      co_await rename_pass(store, kind, cold);
      print_renames("after a restart", kind.name, cold);
      RenameTimes warmed;
      while (warmed.renames.size() < 400) co_await rename_pass(store, kind, warmed);
      print_renames("warm", kind.name, warmed);
    });
  }
  with_store(settings.options(), 1, [&](Store& store) -> Task<void> {
    co_await warm(store);
    co_await gets_during_renames(settings, store);
  });
}

// --- starts ---

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

void in_child(const std::function<void()>& run, bool may_be_killed = false) {
  std::fflush(stdout);
  const pid_t child = fork();
  FB_ASSERT(child >= 0);
  if (child == 0) {
    run();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  FB_ASSERT(waitpid(child, &status, 0) == child);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && may_be_killed;
  FB_ASSERT(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0), status);
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

// --- a working set larger than memory ---

double fio_reads(const Settings& settings, int cpu) {
  const std::string command = fmt::format(
      "taskset -c {} fio --name=reads --filename={}/pages/pages --readonly --rw=randread --bs=16k --direct=1 "
      "--ioengine=io_uring --iodepth=64 --time_based --runtime={:.0f} --minimal 2>/dev/null",
      cpu, settings.ours(), std::max(2.0, settings.seconds));
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return 0;
  std::string line;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) line += static_cast<char>(c);
  pclose(pipe);
  size_t at = 0;
  for (int field = 0; field < 7 && at != std::string::npos; ++field) at = line.find(';', at + 1);
  return at == std::string::npos ? 0 : std::atof(line.c_str() + at + 1);
}

void measure_cold(const Settings& settings) {
  Settings::Options options = settings.options();
  options.engine.memory_bytes = static_cast<uint64_t>(marked_bytes(settings.ours()) / 10);
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
      const double fio = fio_reads(settings, settings.cpu);
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

// --- two cores ---

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

// --- main ---

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  FB_ASSERT(sched_setaffinity(0, sizeof(set), &set) == 0, cpu);
}

bool take_argument(Settings& settings, std::string_view argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = argument.substr(0, equals);
  const std::string value(argument.substr(equals + 1));
  if (name == "--keys") {
    settings.keys = std::stoull(value);
  } else if (name == "--directory") {
    settings.directory = value;
  } else if (name == "--seconds") {
    settings.seconds = std::stod(value);
  } else if (name == "--rounds") {
    settings.rounds = static_cast<unsigned>(std::stoul(value));
  } else if (name == "--cpu") {
    settings.cpu = std::stoi(value);
  } else if (name == "--memory") {
    settings.memory_bytes = std::stoull(value) * kMiB;
  } else if (name == "--replay") {
    settings.replay_bytes = std::stoull(value) * kMiB;
  } else if (name == "--journal") {
    settings.journal_bytes_max = std::stoull(value) * kMiB;
  } else if (name == "--figures") {
    for (size_t at = 0; at <= value.size();) {
      const size_t end = std::min(value.find(',', at), value.size());
      settings.figures.insert(value.substr(at, end - at));
      at = end + 1;
    }
  } else {
    return false;
  }
  return true;
}

void run(const Settings& settings) {
  struct Figure {
    std::string name;
    void (*measure)(const Settings&);
    bool one_core = true;
  };
  const Figure figures[] = {
      {"insert", measure_insert}, {"get", measure_get},       {"list", measure_list},
      {"space", measure_space},   {"rename", measure_rename}, {"restart", measure_restart},
      {"replay", measure_replay}, {"cold", measure_cold},     {"cores", measure_cores, false},
  };
  std::filesystem::create_directories(settings.directory);
  if (marked(settings.ours()) != settings.keys || settings.figures.contains("fill")) {
    in_child([&] {
      pin_to(settings.cpu);
      fill_ours(settings);
    });
  }
  in_child([&] { fill_peers(settings); });
  for (const Figure& figure : figures) {
    if (!settings.wants(figure.name)) continue;
    in_child([&] {
      if (figure.one_core) pin_to(settings.cpu);
      figure.measure(settings);
    });
  }
}

}  // namespace
}  // namespace fb::bench

int main(int argc, char** argv) {
  fb::bench::Settings settings;
  for (int i = 1; i < argc; ++i) {
    if (fb::bench::take_argument(settings, argv[i])) continue;
    fmt::print(stderr, "not understood: {}\n", argv[i]);
    return 2;
  }
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (int cpu = 0; settings.cpu < 0 && cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set) && (cpu + 1 == CPU_SETSIZE || CPU_COUNT(&set) == 1 || cpu > 0))
      settings.cpu = cpu;
  }
  fb::bench::run(settings);
}
