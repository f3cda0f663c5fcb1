// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bss/metadata_store.h"
#include "client/blob_client.h"
#include "io/scope.h"
#include "namespace_workload.h"
#include "nss/partition_front.h"

// What the figures of the namespace's benchmark share: settings, the store as one of them uses it, and load.

namespace fb::bench {

constexpr BucketId kBucket{7};
constexpr unsigned kClients = 64;
constexpr uint64_t kFillBatch = 64;      // puts of one apply_each while filling
constexpr uint64_t kGetBatch = 100'000;  // keys of one timed run of gets

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
void with_store(const Settings::Options& options, unsigned cores, const Body& body);
// Brings every page into memory.
Task<void> warm(Store& store);

struct PutLoad {
  PartitionFront* front = nullptr;
  uint64_t next = 0;
  double until = 0;
  std::vector<float>* micros = nullptr;
  uint64_t done = 0;
};
// How many a second.
Task<double> put_for(Store& store, PutLoad& load, unsigned clients, double seconds);

// Gets for a while, of these keys in turn.
struct GetLoad {
  PartitionFront* front;
  Env* env;
  const std::vector<Key>* keys;
  double until;
  size_t next = 0;
  std::vector<float> micros;
};
Task<void> get_client(GetLoad* load);

// By this process, to the disk.
uint64_t device_bytes();
// Numbers that no earlier run put.
uint64_t fresh_numbers();
void in_child(const std::function<void()>& run, bool may_be_killed = false);

// Of a store that was filled; beside it.
struct FillMark {
  uint64_t keys = 0;
  uint64_t bytes = 0;
};
FillMark fill_mark(const std::string& path);
void fill_ours(const Settings& settings);
void fill_peers(const Settings& settings);

// Figures in files of their own.
void measure_insert(const Settings& settings);
void measure_get(const Settings& settings);
void measure_list(const Settings& settings);
void measure_space(const Settings& settings);
void measure_rename(const Settings& settings);
void measure_restart(const Settings& settings);
void measure_replay(const Settings& settings);
void measure_cold(const Settings& settings);
void measure_cores(const Settings& settings);

}  // namespace fb::bench
