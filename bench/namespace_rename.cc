// SPDX-License-Identifier: Apache-2.0
// Figures of renames, and of gets beside them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "io/sync.h"
#include "namespace_load.h"

namespace fb::bench {
namespace {

// Of gets beside renames: one stall of the machine makes the p99 of a round, so there are many short ones.
constexpr unsigned kPaceRounds = 15;
constexpr double kPaceSeconds = 0.5;

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

}  // namespace

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

}  // namespace fb::bench
