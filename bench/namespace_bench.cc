// SPDX-License-Identifier: Apache-2.0
// The namespace engine on real files, on one core, beside LMDB and RocksDB with the same keys and values.
//
//     fb_namespace_bench [--keys=N] [--directory=PATH] [--figures=a,b] [--seconds=S] [--rounds=R] [--cpu=N]
//         [--memory=MIB] [--replay=MIB] [--journal=MIB]
//
// Figures, in this order: fill insert get list space rename restart replay cold cores. Each runs in a process
// of its own on the stores that `fill` made in the directory (made anew where they hold another number of
// keys; the directory must be on a disk). One line a figure: name, ours, each peer with the ratio.
//
// Keys and values: namespace_workload.h. Peers' settings: namespace_peers.h. Rates are medians of rounds in
// which the engines take turns; `get` and `list` by CPU time of the process, all else by the wall clock.
#include <sched.h>

#include <filesystem>
#include <string>

#include "arguments.h"
#include "namespace_load.h"

namespace fb::bench {
namespace {

bool take_argument(Settings& settings, std::string_view name, const std::string& value) {
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
    settings.figures.merge(split_names(value));
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
  if (fill_mark(settings.ours()).keys != settings.keys || settings.figures.contains("fill")) {
    in_child([&] {
      FB_ASSERT(pin_to(settings.cpu), settings.cpu);
      fill_ours(settings);
    });
  }
  in_child([&] { fill_peers(settings); });
  for (const Figure& figure : figures) {
    if (!settings.wants(figure.name)) continue;
    in_child([&] {
      if (figure.one_core) FB_ASSERT(pin_to(settings.cpu), settings.cpu);
      figure.measure(settings);
    });
  }
}

}  // namespace
}  // namespace fb::bench

int main(int argc, char** argv) {
  fb::bench::Settings settings;
  const auto take = [&](std::string_view name, const std::string& value) {
    return fb::bench::take_argument(settings, name, value);
  };
  if (!fb::bench::take_arguments(argc, argv, take)) return 2;
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (int cpu = 0; settings.cpu < 0 && cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set) && (cpu + 1 == CPU_SETSIZE || CPU_COUNT(&set) == 1 || cpu > 0))
      settings.cpu = cpu;
  }
  fb::bench::run(settings);
}
