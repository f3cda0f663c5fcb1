// SPDX-License-Identifier: Apache-2.0
// The blob engine alone, on one core and a real file system, beside fio on the same one in the same run.
//
//     fb_bss_bench [--directory=PATH] [--figures=a,b] [--seconds=S] [--rounds=R] [--cpu=N] [--fill=MIB]
//     [--file=MIB] [--warm=GIB]
//
// Figures: put put_plp put_1m get get_1m hot. Ours and fio take turns, pinned to the same core; one line a
// figure with the medians, the ratio, and how far the rounds lay apart. fio writes into a file that was
// written whole before; so are our segments (--warm: by default all that there may be; 0: puts go into new
// ones, beside the zeros that are written ahead of them), and what is put is erased between rounds. Checksums
// are made of every payload, as the server makes them. CPU time is the process's (getrusage), kernel workers
// included, while a round of ours runs.
#include <sched.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bss/store.h"
#include "io/runtime.h"
#include "io/scope.h"
#include "namespace_workload.h"

namespace fb::bench {
namespace {

constexpr unsigned kSmallWidth = 64;
constexpr unsigned kLargeWidth = 8;
constexpr uint32_t kSmallBytes = 4 * kKiB;
constexpr uint32_t kLargeBytes = kMiB;
constexpr uint64_t kCapacityBytes = 8 * kGiB;
constexpr size_t kHotBlobs = 8192;

struct Settings {
  std::string directory = "bss_bench.data";
  std::set<std::string> figures;
  double seconds = 5;
  unsigned rounds = 5;
  int cpu = 0;
  uint64_t fill_mib = 1024;  // what gets read from
  uint64_t file_mib = 1024;  // fio's
  uint64_t warm_gib = kCapacityBytes / kGiB;

  bool wants(const std::string& figure) const { return figures.empty() || figures.contains(figure); }
};

[[noreturn]] void give_up(std::string_view why) {
  fmt::print(stderr, "{}\n", why);
  std::exit(1);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Operations, or MiB, a second. Fields of fio's terse format, version 3.
struct FioRate {
  double iops = 0;
  double mib = 0;
};
FioRate fio(const Settings& settings, const std::string& job) {
  const bool writes = job.find("write") != std::string::npos;
  const std::string command = fmt::format(
      "taskset -c {} fio --minimal --terse-version=3 --name=peer --filename={}/peer.dat --size={}m "
      "--direct=1 "
      "--ioengine=io_uring {}",
      settings.cpu, settings.directory, settings.file_mib, job);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) give_up("fio does not start");
  std::string line;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) line.push_back(static_cast<char>(c));
  if (pclose(pipe) != 0) give_up(fmt::format("fio failed: {}\n{}", command, line));
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ';') {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  const size_t first = writes ? 46 : 5;
  if (fields.size() < first + 3) give_up("fio says nothing that is understood: " + line);
  return {.iops = std::stod(fields[first + 2]), .mib = std::stod(fields[first + 1]) / 1024};
}
std::string timed(const Settings& settings, std::string_view job) {
  return fmt::format("{} --time_based --runtime={}", job, settings.seconds);
}
void write_peer_file(const Settings& settings) {
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

void with_store(const Settings& settings, Durability durability, size_t cache_bytes,
                const std::function<Task<void>(Load&, bss::BlobFront&)>& body) {
  const std::string directory = settings.directory + "/blobs";
  std::filesystem::remove_all(directory);
  const bss::BlobStoreOptions options{.directory = directory,
                                      .durability = durability,
                                      .incarnation = {1},
                                      .capacity_bytes = kCapacityBytes,
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

// Writes so much and erases it again, so that segments have been used.
Task<void> warm(const Settings& settings, Load& load) {
  for (uint64_t i = 0; i < settings.warm_gib; ++i) {
    (void)co_await load.run(&Load::put, kLargeWidth, kLargeBytes, 3600, kGiB / kLargeBytes);
    co_await load.erase_all();
  }
}

struct Rounds {
  std::vector<double> ours, cpu;
  std::vector<double> peer;
  std::vector<double> other;  // a second peer
};

double spread_percent(const std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  return 100 * (high - low) / median(values);
}

void show(const std::string& name, std::string_view unit, const Rounds& rounds, std::string_view peer,
          std::string_view target, std::string_view other = {}) {
  std::string note = fmt::format("target {}; {} rounds, spread {:.0f} %", target, rounds.ours.size(),
                                 spread_percent(rounds.ours));
  if (!rounds.peer.empty()) note += fmt::format(" and {:.0f} %", spread_percent(rounds.peer));
  print_figure(name, median(rounds.ours), unit,
               {{peer, rounds.peer.empty() ? 0 : median(rounds.peer)},
                {other, rounds.other.empty() ? 0 : median(rounds.other)}},
               note);
  print_figure(name + ": CPU time", median(rounds.cpu), "us/operation");
}

void measure_put(const Settings& settings, Durability durability) {
  const bool plp = durability == Durability::plp;
  Rounds rounds;
  std::vector<double> batches;  // puts in one
  with_store(settings, durability, 0, [&](Load& load, bss::BlobFront& front) -> Task<void> {
    co_await warm(settings, load);
    for (unsigned round = 0; round < settings.rounds; ++round) {
      const bss::BlobStats before = front.stats();
      const auto rate = co_await load.run(&Load::put, kSmallWidth, kSmallBytes, settings.seconds);
      rounds.ours.push_back(rate.per_second);
      rounds.cpu.push_back(rate.cpu_micros);
      batches.push_back(static_cast<double>(front.stats().puts - before.puts) /
                        static_cast<double>(front.stats().batches - before.batches));
      co_await load.erase_all();
      const std::string job = plp ? "--rw=randwrite --bs=4k --iodepth=64 --overwrite=1"
                                  : "--rw=randwrite --bs=4k --iodepth=32 --sync=dsync --overwrite=1";
      rounds.peer.push_back(fio(settings, timed(settings, job)).iops);
      // As many operations of 4 KiB as its bandwidth has room for.
      if (plp)
        rounds.other.push_back(
            fio(settings, timed(settings, "--rw=write --bs=256k --iodepth=8 --overwrite=1")).mib * 256);
    }
  });
  const std::string name = fmt::format("put 4 KiB, {}, 64 in flight", to_string(durability));
  if (plp) {
    show(name, "puts/s", rounds, "fio randwrite depth 64", "1.5, or 0.9 of the other",
         "fio write 256 KiB as 4 KiB");
  } else {
    show(name, "puts/s", rounds, "fio randwrite dsync depth 32", "2");
  }
  print_figure(name + ": puts a batch", median(batches), "puts");
}

void measure_large(const Settings& settings, bool puts) {
  Rounds rounds;
  with_store(settings, Durability::strict, 0, [&](Load& load, bss::BlobFront&) -> Task<void> {
    if (puts) {
      co_await warm(settings, load);
    } else {
      (void)co_await load.run(&Load::put, kLargeWidth, kLargeBytes, 3600, settings.fill_mib);
    }
    for (unsigned round = 0; round < settings.rounds; ++round) {
      const auto rate =
          co_await load.run(puts ? &Load::put : &Load::get, kLargeWidth, kLargeBytes, settings.seconds);
      rounds.ours.push_back(rate.per_second);
      rounds.cpu.push_back(rate.cpu_micros);
      if (puts) co_await load.erase_all();
      const std::string_view job = puts ? "--rw=write --bs=1m --iodepth=8 --sync=dsync --overwrite=1"
                                        : "--rw=read --bs=1m --iodepth=8";
      rounds.peer.push_back(fio(settings, timed(settings, job)).mib);
    }
  });
  show(puts ? "put 1 MiB, strict, 8 in flight" : "get 1 MiB, cold, 8 in flight", "MiB/s", rounds,
       puts ? "fio write dsync depth 8" : "fio read depth 8", "0.9");
}

void measure_get(const Settings& settings) {
  Rounds rounds;
  with_store(settings, Durability::strict, 0, [&](Load& load, bss::BlobFront&) -> Task<void> {
    (void)co_await load.run(&Load::put, kSmallWidth, kSmallBytes, 3600,
                            settings.fill_mib * kMiB / kSmallBytes);
    for (unsigned round = 0; round < settings.rounds; ++round) {
      const auto rate = co_await load.run(&Load::get, kSmallWidth, kSmallBytes, settings.seconds);
      rounds.ours.push_back(rate.per_second);
      rounds.cpu.push_back(rate.cpu_micros);
      rounds.peer.push_back(fio(settings, timed(settings, "--rw=randread --bs=4k --iodepth=64")).iops);
    }
  });
  show("get 4 KiB, cold, 64 in flight", "gets/s", rounds, "fio randread depth 64", "0.95");
}

void measure_hot(const Settings& settings) {
  Rounds rounds;
  with_store(settings, Durability::strict, 256 * kMiB, [&](Load& load, bss::BlobFront&) -> Task<void> {
    (void)co_await load.run(&Load::put, kSmallWidth, kSmallBytes, 3600, kHotBlobs);
    co_await load.read_all(kSmallBytes);
    for (unsigned round = 0; round < settings.rounds; ++round) {
      const auto rate = co_await load.run(&Load::get_hot, 1, kSmallBytes, settings.seconds);
      rounds.ours.push_back(rate.per_second);
      rounds.cpu.push_back(rate.cpu_micros);
    }
  });
  show("get 4 KiB, from the cache", "gets/s", rounds, "", "1.5 million");
}

bool take_argument(Settings& settings, std::string_view argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = argument.substr(0, equals);
  const std::string value(argument.substr(equals + 1));
  if (name == "--directory") {
    settings.directory = value;
  } else if (name == "--seconds") {
    settings.seconds = std::stod(value);
  } else if (name == "--rounds") {
    settings.rounds = std::max(1U, static_cast<unsigned>(std::stoul(value)));
  } else if (name == "--cpu") {
    settings.cpu = std::stoi(value);
  } else if (name == "--fill") {
    settings.fill_mib = std::stoull(value);
  } else if (name == "--warm") {
    settings.warm_gib = std::stoull(value);
  } else if (name == "--file") {
    settings.file_mib = std::stoull(value);
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
  std::filesystem::create_directories(settings.directory);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(settings.cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) give_up("--cpu: not one of this process");
  if (!settings.figures.empty() && settings.figures == std::set<std::string>{"hot"})
    return measure_hot(settings);
  write_peer_file(settings);
  if (settings.wants("put")) measure_put(settings, Durability::strict);
  if (settings.wants("put_plp")) measure_put(settings, Durability::plp);
  if (settings.wants("put_1m")) measure_large(settings, true);
  if (settings.wants("get")) measure_get(settings);
  if (settings.wants("get_1m")) measure_large(settings, false);
  if (settings.wants("hot")) measure_hot(settings);
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
  fb::bench::run(settings);
}
