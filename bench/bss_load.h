// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bss/blob/store.h"
#include "fio.h"
#include "io/runtime.h"
#include "io/scope.h"
#include "namespace_workload.h"

// What the figures of the blob engine's benchmark share: settings, fio beside it, and load on one store.

namespace fb::bench {

constexpr unsigned kSmallWidth = 64;
constexpr unsigned kLargeWidth = 8;
constexpr uint32_t kSmallBytes = 4 * kKiB;
constexpr uint32_t kLargeBytes = kMiB;
constexpr size_t kHotBlobs = 8192;

struct Settings {
  std::string directory = "bss_bench.data";
  std::set<std::string> figures;
  double seconds = 5;
  unsigned rounds = 5;
  int cpu = 0;
  uint64_t fill_mib = 1024;  // what gets read from
  uint64_t file_mib = 1024;  // fio's
  uint64_t capacity_gib = 8;
  uint64_t warm_gib = UINT64_MAX;  // as much as there may be
  double steady_seconds = 600;
  uint64_t start_blobs = 10'000'000;

  uint64_t capacity_bytes() const { return capacity_gib * kGiB; }

  // The long ones only where they are named.
  bool wants(const std::string& figure, bool quick = true) const {
    return (quick && figures.empty()) || figures.contains(figure);
  }
};

[[noreturn]] inline void give_up(std::string_view why) {
  fmt::print(stderr, "{}\n", why);
  std::exit(1);
}

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline FioRate fio(const Settings& settings, const std::string& job) {
  const bool writes = job.find("write") != std::string::npos;
  const std::string command = fmt::format(
      "taskset -c {} fio --minimal --terse-version=3 --name=peer --filename={}/peer.dat --size={}m "
      "--direct=1 "
      "--ioengine=io_uring {}",
      settings.cpu, settings.directory, settings.file_mib, job);
  const auto rate = run_fio(command, writes);
  if (!rate) give_up(rate.error());
  return *rate;
}
inline std::string timed(const Settings& settings, std::string_view job) {
  return fmt::format("{} --time_based --runtime={}", job, settings.seconds);
}
inline void write_peer_file(const Settings& settings) {
  const std::string path = settings.directory + "/peer.dat";
  std::error_code error;
  if (std::filesystem::file_size(path, error) == settings.file_mib * kMiB) return;
  (void)fio(settings, "--rw=write --bs=1m --iodepth=4 --end_fsync=1");
}

// One store on this core, and operations on it for so long.
class Load {
 public:
  Load(Env& env, bss::BlobFront& front) : env_(env), front_(front) {}

  struct Rate {
    double per_second = 0;
    double cpu_micros = 0;  // of one operation
  };
  using Worker = Task<void> (*)(Load& self, unsigned number, uint32_t bytes);

  Task<Rate> run(Worker worker, unsigned width, uint32_t bytes, double seconds,
                 uint64_t count_max = UINT64_MAX) {
    done_ = 0;
    count_max_ = count_max;
    const double begun = wall_now();
    const double cpu = cpu_seconds();
    end_ = begun + seconds;
    Scope scope(env_);
    for (unsigned i = 0; i < width; ++i) scope.spawn(worker, std::ref(*this), i, bytes);
    co_await scope.join();
    const auto done = static_cast<double>(done_);
    co_return Rate{.per_second = done / (wall_now() - begun),
                   .cpu_micros = (cpu_seconds() - cpu) * 1e6 / done};
  }

  static Task<void> put(Load& self, unsigned number, uint32_t bytes) {
    const Buffer buffer = co_await self.env_.buffers().allocate(bytes);
    for (uint32_t at = 0; at < bytes; at += 8) {
      const uint64_t word = mix(uint64_t{number} << 32 | at);
      std::memcpy(buffer.data() + at, &word, sizeof(word));
    }
    while (self.goes_on()) {
      const BlobKey key{.id = self.front_.new_blob()};
      std::memcpy(buffer.data(), &key.id.number, sizeof(key.id.number));
      const BlobWrite write{
          .id = key.id, .buffer = buffer, .length = bytes, .checksum = blob_checksum(buffer.span(0, bytes))};
      if (const auto put = co_await self.front_.put({}, write); !put)
        give_up("put: " + put.error().to_string());
      self.keys.push_back(key);
    }
  }
  static Task<void> get(Load& self, unsigned number, uint32_t bytes) {
    uint64_t random = number;
    while (self.goes_on()) {
      random = mix(random + 1);
      const BlobKey key = self.keys[random % self.keys.size()];
      if (const auto got = co_await self.front_.get({}, key, 0, bytes); !got)
        give_up("get: " + got.error().to_string());
    }
  }
  static Task<void> get_hot(Load& self, unsigned, uint32_t bytes) {
    uint64_t random = 1;
    BlobData data;
    while (self.goes_on()) {
      for (int i = 0; i < 1000; ++i) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        if (!self.front_.get_cached(self.keys[(random >> 33) % self.keys.size()], 0, bytes, &data))
          give_up("a hot blob is not in the cache");
      }
      self.done_ += 999;
    }
    co_return;
  }
  Task<void> read_all(uint32_t bytes) {
    for (const BlobKey& key : keys) {
      if (const auto got = co_await front_.get({}, key, 0, bytes); !got)
        give_up("get: " + got.error().to_string());
    }
  }
  Task<void> erase_all() {
    std::vector<BlobExtent> extents;
    for (const BlobKey& key : keys) extents.push_back({.id = key.id, .block_count = 1});
    keys.clear();
    if (!extents.empty() && !co_await front_.erase({}, extents)) give_up("erase failed");
  }

  Env& env() const { return env_; }

  std::vector<BlobKey> keys;

 private:
  bool goes_on() {
    if (done_ >= count_max_ || wall_now() >= end_) return false;
    ++done_;
    return true;
  }
  Env& env_;
  bss::BlobFront& front_;
  uint64_t done_ = 0;
  uint64_t count_max_ = UINT64_MAX;
  double end_ = 0;
};

inline void with_store(const Settings& settings, Durability durability, size_t cache_bytes,
                       const std::function<Task<void>(Load&, bss::BlobFront&)>& body) {
  const std::string directory = settings.directory + "/blobs";
  std::filesystem::remove_all(directory);
  const bss::BlobStoreOptions options{.directory = directory,
                                      .durability = durability,
                                      .incarnation = {1},
                                      .capacity_bytes = settings.capacity_bytes(),
                                      .cache_bytes = cache_bytes};
  const auto ran = run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
    auto store = co_await bss::BlobStore::open(env, options);
    if (!store) give_up("the store was not made: " + store.error().to_string());
    bss::BlobFront front(env, **store);
    if (!co_await front.open()) give_up("the store was not opened");
    Load load(env, front);
    co_await body(load, front);
    if (!co_await front.close()) give_up("the store was not closed");
  });
  if (!ran) give_up("no environment: " + ran.error().to_string());
  std::filesystem::remove_all(directory);
}

// Figures in files of their own.
void measure_steady(const Settings& settings, bool skewed);
void measure_start(const Settings& settings);
void measure_space(const Settings& settings);
void measure_two_cores(const Settings& settings);

}  // namespace fb::bench
