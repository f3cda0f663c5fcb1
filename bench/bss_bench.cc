// SPDX-License-Identifier: Apache-2.0
// The blob engine alone, on one core and a real file system, beside fio on the same one in the same run.
//
//     fb_bss_bench [--directory=PATH] [--figures=a,b] [--seconds=S] [--rounds=R] [--cpu=N] [--fill=MIB]
//     [--file=MIB] [--warm=GIB] [--capacity=GIB] [--steady=S] [--blobs=N]
//
// Figures: put put_plp put_1m get get_1m hot cores space start, all of them in about ten minutes; and by name
// only: steady skewed (overwrites of a store 80 % full, --steady seconds, ten minutes each). Ours and fio
// take turns, pinned to the same core; one line a figure with the medians, the ratio, and how far the rounds
// lay apart. fio writes into a file that was written whole before; so are our segments (--warm: by default
// all that there may be; 0: puts go into new ones, beside the zeros that are written ahead of them), and what
// is put is erased between rounds. Checksums are made of every payload, as the server makes them. CPU time is
// the process's (getrusage), kernel workers included, while a round of ours runs.
#include "arguments.h"
#include "bss_load.h"

namespace fb::bench {
namespace {

// Writes so much and erases it again, so that segments have been used.
Task<void> warm(const Settings& settings, Load& load) {
  for (uint64_t i = 0; i < std::min(settings.warm_gib, settings.capacity_gib); ++i) {
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

bool take_argument(Settings& settings, std::string_view name, const std::string& value) {
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
  } else if (name == "--capacity") {
    settings.capacity_gib = std::max<uint64_t>(1, std::stoull(value));
  } else if (name == "--steady") {
    settings.steady_seconds = std::stod(value);
  } else if (name == "--blobs") {
    settings.start_blobs = std::stoull(value);
  } else if (name == "--file") {
    settings.file_mib = std::stoull(value);
  } else if (name == "--figures") {
    settings.figures.merge(split_names(value));
  } else {
    return false;
  }
  return true;
}

void run(const Settings& settings) {
  std::filesystem::create_directories(settings.directory);
  if (!pin_to(settings.cpu)) give_up("--cpu: not one of this process");
  const auto beside_fio = {"put", "put_plp", "put_1m", "get", "get_1m"};
  if (std::ranges::any_of(beside_fio, [&](const char* figure) { return settings.wants(figure); }))
    write_peer_file(settings);
  if (settings.wants("put")) measure_put(settings, Durability::strict);
  if (settings.wants("put_plp")) measure_put(settings, Durability::plp);
  if (settings.wants("put_1m")) measure_large(settings, true);
  if (settings.wants("get")) measure_get(settings);
  if (settings.wants("get_1m")) measure_large(settings, false);
  if (settings.wants("hot")) measure_hot(settings);
  if (settings.wants("cores")) measure_two_cores(settings);
  if (settings.wants("space")) measure_space(settings);
  if (settings.wants("start")) measure_start(settings);
  if (settings.wants("steady", false)) measure_steady(settings, false);
  if (settings.wants("skewed", false)) measure_steady(settings, true);
}

}  // namespace
}  // namespace fb::bench

int main(int argc, char** argv) {
  fb::bench::Settings settings;
  const auto take = [&](std::string_view name, const std::string& value) {
    return fb::bench::take_argument(settings, name, value);
  };
  if (!fb::bench::take_arguments(argc, argv, take)) return 2;
  fb::bench::run(settings);
}
