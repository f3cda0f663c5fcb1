// SPDX-License-Identifier: Apache-2.0
#include "bss/device/device.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "bss/aligned_bytes.h"
#include "bss/device/device_test_world.h"
#include "bss/test_world.h"
#include "io/scope.h"
#include "io/sim/thinning.h"
#include "io/sync.h"

namespace fb::bss {
namespace {

using sim::CrashKind;
using CrashPoint = sim::SimNode::CrashPoint;

std::string path_of(std::string_view name) {
  return fmt::format("{}/{}", Device::mount_path_of(kTestDevice), name);
}

AlignedBytes bytes_of(uint64_t seed, size_t size) {
  AlignedBytes bytes;
  bytes.resize(size);
  std::mt19937_64 random(seed);
  for (size_t at = 0; at + 8 <= size; at += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, 8);
  }
  return bytes;
}

// One process with the device mounted.
void with_device(World& world, const std::function<Task<void>(Env&, Device&)>& body,
                 uint64_t size_bytes = kDeviceBytesMin) {
  world.run([&](Env& env) -> Task<void> {
    auto device = co_await open_or_make_device(env, size_bytes);
    CO_CHECK_OK(device);
    co_await body(env, **device);
    EXPECT_TRUE((*device)->verify());
    CO_CHECK_OK(co_await (*device)->close());
  });
}

Task<Result<void>> write_file(Env& env, const std::string& path, uint64_t seed, size_t size) {
  FB_CO_TRY(File file, co_await File::open(
                           env, path, {.write = true, .create = true, .truncate = true, .direct = true}));
  Result<void> done = co_await file.write_all(bytes_of(seed, size).span(), 0);
  if (done) done = co_await file.sync();
  FB_CO_CHECK(co_await file.close());
  co_return done;
}

Task<bool> file_is(Env& env, const std::string& path, uint64_t seed, size_t size) {
  auto opened = co_await File::open(env, path, {.direct = true});
  if (!opened) co_return false;
  File file = std::move(*opened);
  AlignedBytes found;
  found.resize(size);
  const auto stat = co_await file.stat();
  const Result<void> read = co_await file.read_exactly(found.span(), 0);
  (void)co_await file.close();
  const AlignedBytes expected = bytes_of(seed, size);
  co_return stat && stat->size_bytes == size&& read&& found.text() == expected.text();
}

TEST(Device, FilesAreAsInAFileSystemAndOutliveProcesses) {
  World world;
  with_device(world, [](Env& env, Device& device) -> Task<void> {
    const uint64_t extent = device.superblock().extent_bytes;
    EXPECT_TRUE((co_await File::open(env, path_of("none"), {})).error().is(IoError::not_found));
    EXPECT_TRUE((co_await write_file(env, path_of("folder/a"), 1, extent)).error().is(IoError::not_found));
    CO_CHECK_OK(co_await ensure_directory(env, path_of("folder")));
    EXPECT_TRUE((co_await make_directory(env, path_of("folder"))).error().is(IoError::exists));
    CO_CHECK_OK(co_await write_file(env, path_of("folder/a"), 1, 5 * extent + 4096));
    CO_CHECK_OK(co_await write_file(env, path_of("folder/b.new"), 2, 3 * extent));
    CO_CHECK_OK(co_await rename_file(env, path_of("folder/b.new"), path_of("folder/b")));
    CO_CHECK_OK(co_await write_file(env, path_of("folder/c.new"), 3, extent));
    CO_CHECK_OK(co_await rename_file(env, path_of("folder/c.new"), path_of("folder/b")));  // replaces
    CO_CHECK_OK(co_await replace_small_file(env, path_of("folder/small"), "first", 0600, FileRole::other));
    CO_CHECK_OK(co_await replace_small_file(env, path_of("folder/small"), "second", 0600, FileRole::other));
    CO_CHECK_OK(co_await write_file(env, path_of("folder/gone"), 4, extent));
    CO_CHECK_OK(co_await remove_file(env, path_of("folder/gone")));
    CO_CHECK_OK(co_await sync_directory(env, path_of("folder")));
    const auto space = co_await file_system_space(env, path_of(""));
    CO_CHECK_OK(space);
    EXPECT_EQ(space->available_bytes, space->total_bytes - 7 * extent);  // six of a, one of b
  });
  with_device(world, [](Env& env, Device& device) -> Task<void> {
    const uint64_t extent = device.superblock().extent_bytes;
    EXPECT_TRUE(co_await file_is(env, path_of("folder/a"), 1, 5 * extent + 4096));
    EXPECT_TRUE(co_await file_is(env, path_of("folder/b"), 3, extent));
    EXPECT_EQ(*co_await read_small_file(env, path_of("folder/small"), 100), "second");
    EXPECT_TRUE((co_await read_small_file(env, path_of("folder/small"), 3)).error().is(IoError::limit));
    const auto names = co_await list_directory(env, path_of("folder"));
    CO_CHECK_OK(names);
    EXPECT_EQ(*names, (std::vector<std::string>{"a", "b", "small"}));
    EXPECT_EQ(*co_await list_directory(env, Device::mount_path_of(kTestDevice)),
              std::vector<std::string>{"folder"});
  });
}

// Two files that grow by turns have their extents in many runs.
TEST(Device, FilesInManyRunsReadAndWriteAcrossThem) {
  World world;
  with_device(world, [](Env& env, Device& device) -> Task<void> {
    const uint64_t extent = device.superblock().extent_bytes;
    File files[2];
    for (int i = 0; i < 2; ++i) {
      auto opened = co_await File::open(env, path_of(i == 0 ? "a" : "b"),
                                        {.write = true, .create = true, .direct = true});
      CO_CHECK_OK(opened);
      files[i] = std::move(*opened);
    }
    const AlignedBytes content[] = {bytes_of(1, 8 * extent), bytes_of(2, 8 * extent)};
    for (uint64_t at = 0; at < 8 * extent; at += extent) {
      for (int i = 0; i < 2; ++i)
        CO_CHECK_OK(co_await files[i].write_all(content[i].span().subspan(at, extent), at));
    }
    // In one go, over what was written by parts; in one operation only as far as it lies together.
    EXPECT_LT(files[0].bytes_in_one_piece(0), 8 * extent);
    AlignedBytes read;
    read.resize(8 * extent);
    const auto count = co_await files[0].read(read.span(), 0);
    CO_CHECK_OK(count);
    EXPECT_EQ(*count, files[0].bytes_in_one_piece(0));
    for (int i = 0; i < 2; ++i) {
      CO_CHECK_OK(co_await files[i].read_exactly(read.span(), 0));
      EXPECT_EQ(read.text(), content[i].text());
      CO_CHECK_OK(co_await files[i].write_all_durable(content[1 - i].span(), 0));
      CO_CHECK_OK(co_await files[i].read_exactly(read.span(), 0));
      EXPECT_EQ(read.text(), content[1 - i].text());
      EXPECT_TRUE((co_await files[i].read_exactly(read.span(), 4096)).error().is(IoError::end_of_file));
    }
    for (File& file : files) CO_CHECK_OK(co_await file.close());
  });
}

TEST(Device, WhatIsOpenKeepsItsExtentsWhenItsNameGoes) {
  World world;
  with_device(world, [](Env& env, Device& device) -> Task<void> {
    const uint64_t extent = device.superblock().extent_bytes;
    CO_CHECK_OK(co_await write_file(env, path_of("a"), 1, 4 * extent));
    auto opened = co_await File::open(env, path_of("a"), {.direct = true});
    CO_CHECK_OK(opened);
    CO_CHECK_OK(co_await remove_file(env, path_of("a")));
    CO_CHECK_OK(co_await sync_directory(env, path_of("")));
    const uint64_t free = device.free_extents();
    CO_CHECK_OK(co_await write_file(env, path_of("b"), 2, 4 * extent));
    AlignedBytes read;
    read.resize(4 * extent);
    CO_CHECK_OK(co_await opened->read_exactly(read.span(), 0));
    EXPECT_EQ(read.text(), bytes_of(1, 4 * extent).text());
    CO_CHECK_OK(co_await opened->close());
    CO_CHECK_OK(co_await sync_directory(env, path_of("")));
    EXPECT_EQ(device.free_extents(), free);  // those of a came back, those of b are gone
  });
}

TEST(Device, AFullOneRefusesAndRecovers) {
  World world;
  with_device(world, [](Env& env, Device& device) -> Task<void> {
    const uint64_t extent = device.superblock().extent_bytes;
    const uint64_t all = device.free_extents();
    CO_CHECK_OK(co_await write_file(env, path_of("most"), 1, (all - 2) * extent));
    EXPECT_TRUE((co_await write_file(env, path_of("much"), 2, 3 * extent)).error().is(IoError::no_space));
    CO_CHECK_OK(co_await write_file(env, path_of("much"), 2, 2 * extent));
    EXPECT_EQ(device.free_extents(), 0u);
    CO_CHECK_OK(co_await replace_small_file(env, path_of("small"), "x", 0600, FileRole::other));
    CO_CHECK_OK(co_await remove_file(env, path_of("most")));
    EXPECT_EQ(device.free_extents(), 0u);  // not before it is durable
    CO_CHECK_OK(co_await sync_directory(env, path_of("")));
    EXPECT_EQ(device.free_extents(), all - 2);
    // What begins a file is in one piece.
    for (int i = 0; i < 6; ++i)
      CO_CHECK_OK(co_await write_file(env, path_of(fmt::format("{}", i)), 1, extent));
    for (int i = 0; i < 6; i += 2) CO_CHECK_OK(co_await remove_file(env, path_of(fmt::format("{}", i))));
    CO_CHECK_OK(co_await sync_directory(env, path_of("")));
    auto opened = co_await File::open(env, path_of("one"), {.write = true, .create = true, .direct = true});
    CO_CHECK_OK(opened);
    EXPECT_TRUE((co_await opened->allocate(0, device.free_extents() * extent)).error().is(IoError::no_space));
    CO_CHECK_OK(co_await opened->allocate(0, (device.free_extents() - 3) * extent));
    EXPECT_EQ(opened->bytes_in_one_piece(0), (co_await opened->stat())->size_bytes);
    CO_CHECK_OK(co_await opened->close());
  });
}

// --- crashes ---

// What must be there: names that were synced, with what they had then; and what may have changed since.
struct Names {
  struct Content {
    uint64_t seed = 0;
    size_t size = 0;
    bool operator==(const Content&) const = default;
  };
  std::map<std::string, Content> known;
  // Under way, or done and not synced: nothing there, or this content.
  std::map<std::string, std::optional<Content>> pending;
};

constexpr const char* kNames[] = {"a", "b", "c", "d"};
constexpr const char* kSmall = "small";

// Replaces, removes and rewrites files by the seed, as the engine does.
Task<void> change_names(Env& env, Device& device, Names& names, std::mt19937_64& random, int steps) {
  const uint64_t extent = device.superblock().extent_bytes;
  for (int step = 0; step < steps; ++step) {
    const std::string name = kNames[random() % std::size(kNames)];
    const unsigned kind = random() % 4;
    if (kind == 0 && names.known.contains(name)) {
      names.pending[name] = std::nullopt;
      CO_CHECK_OK(co_await remove_file(env, path_of(name)));
      CO_CHECK_OK(co_await sync_directory(env, path_of("")));
      names.known.erase(name);
      names.pending.erase(name);
    } else if (kind == 1) {
      const Names::Content content{.seed = random(), .size = 0};
      names.pending[kSmall] = content;
      CO_CHECK_OK(co_await replace_small_file(env, path_of(kSmall), std::to_string(content.seed), 0600,
                                              FileRole::other));
      names.known[kSmall] = content;
      names.pending.erase(kSmall);
    } else {
      const Names::Content content{.seed = random(), .size = (1 + random() % 40) * extent / 4};
      names.pending[name] = content;
      CO_CHECK_OK(co_await write_file(env, path_of(name + ".new"), content.seed, content.size));
      CO_CHECK_OK(co_await rename_file(env, path_of(name + ".new"), path_of(name)));
      CO_CHECK_OK(co_await sync_directory(env, path_of("")));
      names.known[name] = content;
      names.pending.erase(name);
    }
  }
}

Task<bool> holds(Env& env, const std::string& name, const Names::Content& content) {
  if (name != kSmall) co_return co_await file_is(env, path_of(name), content.seed, content.size);
  const auto text = co_await read_small_file(env, path_of(name), 100);
  co_return text && *text == std::to_string(content.seed);
}

// And then it is as it was found.
Task<void> check_names(Env& env, Device& device, Names& names) {
  EXPECT_TRUE(device.verify());
  const auto listed = co_await list_directory(env, Device::mount_path_of(kTestDevice));
  CO_CHECK_OK(listed);
  for (const std::string& name : *listed) {
    if (name.ends_with(".new")) {
      CO_CHECK_OK(co_await remove_file(env, path_of(name)));
      continue;
    }
    const auto pending = names.pending.find(name);
    const bool as_pending =
        pending != names.pending.end() && pending->second && co_await holds(env, name, *pending->second);
    if (as_pending) {
      names.known[name] = *pending->second;
      continue;
    }
    EXPECT_TRUE(names.known.contains(name)) << name << " came from nowhere";
    if (names.known.contains(name)) EXPECT_TRUE(co_await holds(env, name, names.known[name])) << name;
  }
  std::erase_if(names.known, [&](const auto& entry) {
    if (std::ranges::find(*listed, entry.first) != listed->end()) return false;
    const auto pending = names.pending.find(entry.first);
    const bool was_going = pending != names.pending.end() && !pending->second;
    EXPECT_TRUE(was_going) << entry.first << " is lost";
    return true;
  });
  names.pending.clear();
}

// The crash comes at the n-th change of the disk, the making of the device included, and again while what is
// left is opened. False where `n` was not reached.
bool crash_at(uint64_t n, CrashPoint point, CrashKind kind, int steps) {
  World world(n);
  Names names;
  std::mt19937_64 random(n);
  const auto life = [&](int count) {
    with_device(world, [&](Env& env, Device& device) -> Task<void> {
      co_await check_names(env, device, names);
      co_await change_names(env, device, names, random, count);
    });
  };
  world.node.crash_at(point, n, kind);
  life(steps);
  const bool crashed = world.node.crashed();
  world.node.forget_planned_crash();
  world.node.crash_at(point, 1 + n % 5, kind == CrashKind::kill ? CrashKind::power_loss : kind);
  life(2);
  world.node.forget_planned_crash();
  life(steps / 4);
  life(0);
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << "\n" << world.log();
  return crashed;
}

TEST(DeviceCrash, AtEveryChangeOfTheDisk) {
  uint64_t points = 0;
  for (const CrashPoint point : {CrashPoint::io_before, CrashPoint::io_after}) {
    for (const CrashKind kind : {CrashKind::power_loss, CrashKind::kill}) {
      for (uint64_t n = 1; crash_at(n, point, kind, 25); n += sim::kThinning) {
        ASSERT_FALSE(HasFailure());
        ASSERT_LT(n, 2000u);
        ++points;
      }
      ASSERT_FALSE(HasFailure());
    }
  }
  GTEST_LOG_(INFO) << fmt::format("{} crashes", points);
  EXPECT_GT(points, 400u / sim::kThinning);
}

// Made anew over a store: what a crash leaves is the old one whole, none, or the new one.
TEST(DeviceCrash, AtEveryChangeOfMakingOneOverAnother) {
  uint64_t points = 0;
  uint64_t old_left = 0;
  uint64_t none_left = 0;
  for (const CrashKind kind : {CrashKind::power_loss, CrashKind::kill}) {
    bool crashed = true;
    for (uint64_t n = 1; crashed; n += sim::kThinning) {
      World world(n);
      with_device(world, [](Env& env, Device&) -> Task<void> {
        CO_CHECK_OK(co_await write_file(env, path_of("old"), 1, 8192));
        CO_CHECK_OK(co_await sync_directory(env, path_of("")));
      });
      world.node.crash_at(CrashPoint::io_before, n, kind);
      world.run([](Env& env) -> Task<void> {
        std::string message;
        EXPECT_TRUE(
            (co_await make_device(env, {.path = kTestDevice}, message)).error().is(DeviceError::looks_used));
        EXPECT_EQ(message, "it holds a device of FractalBits; --force destroys that");
        CO_CHECK_OK(co_await make_device(env, {.path = kTestDevice, .force = true}, message));
      });
      crashed = world.node.crashed();
      world.node.forget_planned_crash();
      points += crashed;
      world.run([&](Env& env) -> Task<void> {
        auto device = co_await Device::open(env, {.path = kTestDevice});
        if (!device) {
          EXPECT_TRUE(device.error().is(DeviceError::not_formatted)) << device.error().to_string();
          EXPECT_TRUE(crashed);
          ++none_left;
          co_return;
        }
        const auto names = co_await list_directory(env, Device::mount_path_of(kTestDevice));
        CO_CHECK_OK(names);
        if (!names->empty()) {
          ++old_left;
          EXPECT_TRUE(co_await file_is(env, path_of("old"), 1, 8192));
        }
        CO_CHECK_OK(co_await (*device)->close());
      });
      ASSERT_FALSE(HasFailure()) << n << "\n" << world.log();
    }
  }
  GTEST_LOG_(INFO) << fmt::format("{} crashes; the old one was left by {}, none by {}", points, old_left,
                                  none_left);
  EXPECT_GT(old_left, 0u);
  EXPECT_GT(none_left, 0u);
}

// --- media faults ---

Task<void> overwrite(Env& env, uint64_t offset, uint64_t length) {
  auto file = co_await File::open(env, kTestDevice, {.write = true, .direct = true});
  CO_CHECK_OK(file);
  CO_CHECK_OK(co_await file->write_all_durable(bytes_of(99, length).span(), offset));
  CO_CHECK_OK(co_await file->close());
}

TEST(DeviceMedia, OneCopyOfEachMayBeLostTwoMayNot) {
  for (unsigned lost = 0; lost < 16; ++lost) {
    World world(lost + 1);
    DeviceSuperblock superblock;
    with_device(world, [&](Env& env, Device& device) -> Task<void> {
      superblock = device.superblock();
      CO_CHECK_OK(co_await write_file(env, path_of("a"), 1, 8192));
      CO_CHECK_OK(co_await sync_directory(env, path_of("")));
    });
    const uint64_t places[] = {superblock.own_offsets()[0], superblock.own_offsets()[1],
                               superblock.table_offsets[0], superblock.table_offsets[1]};
    world.run([&](Env& env) -> Task<void> {
      for (unsigned i = 0; i < 4; ++i) {
        if ((lost >> i & 1) != 0) co_await overwrite(env, places[i], kDeviceBlock);
      }
    });
    const bool no_superblock = (lost & 3) == 3;
    const bool no_table = (lost & 12) == 12;
    for (int again = 0; again < 2; ++again) {
      world.run([&](Env& env) -> Task<void> {
        auto device = co_await Device::open(env, {.path = kTestDevice});
        EXPECT_EQ(device.has_value(), !no_superblock && !no_table) << lost;
        if (!device) {
          EXPECT_TRUE(device.error().is(no_superblock ? DeviceError::not_formatted : DeviceError::damaged));
          co_return;
        }
        // What was lost is made good at once.
        EXPECT_EQ((*device)->stats().superblocks_damaged, again == 0 && (lost & 3) != 0 ? 1u : 0u);
        EXPECT_EQ((*device)->stats().tables_damaged, again == 0 && (lost & 12) != 0 ? 1u : 0u);
        EXPECT_TRUE(co_await file_is(env, path_of("a"), 1, 8192));
        CO_CHECK_OK(co_await (*device)->close());
      });
    }
    ASSERT_FALSE(HasFailure()) << lost << "\n" << world.log();
  }
}

// Writes of the table that fail: not acknowledged, and what was acknowledged before stays.
TEST(DeviceMedia, WritesThatFailAreNotAcknowledged) {
  uint64_t failed = 0;
  for (uint64_t seed = 1; seed <= sim::thinned(60); ++seed) {
    World world(seed);
    Names names;
    std::mt19937_64 random(seed);
    bool done = false;
    world.node.start([&](Env& env) -> Task<void> {
      auto device = co_await open_or_make_device(env);
      CO_CHECK_OK(device);
      world.node.disk().faults().write_error_ppm = 200'000;
      for (int i = 0; i < 30; ++i) {
        const std::string name = kNames[random() % std::size(kNames)];
        const Names::Content content{.seed = random(), .size = 8192};
        Result<void> written = co_await write_file(env, path_of(name + ".new"), content.seed, content.size);
        if (!written) continue;
        names.pending[name] = content;
        CO_CHECK_OK(co_await rename_file(env, path_of(name + ".new"), path_of(name)));
        if (!co_await sync_directory(env, path_of(""))) {
          ++failed;
          // It may have happened; from now on it must be one or the other, so it is tried until it succeeds.
          while (!co_await sync_directory(env, path_of(""))) ++failed;
        }
        names.known[name] = content;
        names.pending.erase(name);
      }
      EXPECT_TRUE((*device)->verify());
      world.node.disk().faults() = {};
      done = true;
      (void)co_await sleep_for(env, Duration::seconds(1000));
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return done; }, Duration::seconds(100)));
    world.node.crash(CrashKind::power_loss);
    with_device(world, [&](Env& env, Device& device) { return check_names(env, device, names); });
    ASSERT_FALSE(HasFailure()) << seed << "\n" << world.log();
  }
  EXPECT_GT(failed, 10u);
}

// --- cores ---

TEST(Device, OtherCoresUseItsFiles) {
  World world(3, 3);
  Device* shared = nullptr;
  unsigned ended = 0;
  world.run([&](Env& env) -> Task<void> {
    std::unique_ptr<Device> device;
    if (env.core() == 0) {
      auto opened = co_await open_or_make_device(env);
      CO_CHECK_OK(opened);
      device = std::move(*opened);
      shared = device.get();
    } else {
      while (shared == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
      CO_CHECK_OK(co_await shared->attach(env));
    }
    const std::string name = path_of(fmt::format("core-{}", env.core()));
    for (uint64_t seed = 1; seed < 10; ++seed) {
      CO_CHECK_OK(co_await write_file(env, name + ".new", seed, seed * 40960));
      CO_CHECK_OK(co_await rename_file(env, name + ".new", name));
      CO_CHECK_OK(co_await sync_directory(env, path_of("")));
      EXPECT_TRUE(co_await file_is(env, name, seed, seed * 40960));
    }
    if (env.core() != 0) {
      co_await shared->detach(env);
      ++ended;
      co_return;
    }
    while (ended < 2) (void)co_await sleep_for(env, Duration::milliseconds(1));
    EXPECT_TRUE(device->verify());
    CO_CHECK_OK(co_await device->close());
  });
}

// A killed process leaves writes of all its cores behind, each through a description of its own.
TEST(Device, AStartWaitsForTheWritesOfEveryCore) {
  constexpr uint64_t kSeeds = sim::thinned(60);
  uint64_t left_some = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed, 2);
    Device* shared = nullptr;
    bool writing = false;
    world.node.start([&](Env& env) -> Task<void> {
      if (env.core() == 0) {
        const auto device = co_await open_or_make_device(env);
        CO_CHECK_OK(device);
        shared = device->get();
        Notification never(env);
        co_await never.wait();
      }
      while (shared == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
      CO_CHECK_OK(co_await shared->attach(env));
      writing = true;
      for (uint64_t round = 1;; ++round)
        CO_CHECK_OK(co_await write_file(env, path_of("of-core-1"), round, 409'600));
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return writing; }, Duration::seconds(100)));
    world.simulation.run_for(
        Duration::microseconds(static_cast<int64_t>(world.simulation.random().between(100, 20'000))));
    world.node.crash(CrashKind::kill);
    left_some += world.node.landings() > 0;
    world.run([&](Env& env) -> Task<void> {
      if (env.core() != 0) co_return;
      auto device = co_await Device::open(env, {.path = kTestDevice});
      CO_CHECK_OK(device);
      EXPECT_EQ(world.node.landings(), 0U) << seed;
      CO_CHECK_OK(co_await (*device)->close());
    });
  }
  EXPECT_GT(left_some, kSeeds / 4);
}

// --- one user at a time ---

TEST(Device, AnotherProcessIsRefused) {
  World world;
  with_device(world, [](Env& env, Device&) -> Task<void> {
    env.mount(nullptr);  // as another process of the machine, which has the same files
    std::string message;
    EXPECT_TRUE((co_await make_device(env, {.path = kTestDevice, .force = true}, message))
                    .error()
                    .is(DeviceError::in_use));
    co_return;
  });
}

// A killed process holds its files until the kernel has ended what it had in flight.
TEST(Device, OneThatIsStillHeldIsWaitedFor) {
  World world;
  with_device(world, [](Env&, Device&) -> Task<void> { co_return; });
  world.run([](Env& env) -> Task<void> {
    for (const Duration held : {Duration::milliseconds(500), Duration::seconds(20), Duration::seconds(90)}) {
      auto holder = co_await File::open(env, kTestDevice, {.write = true});
      CO_CHECK_OK(holder);
      CO_CHECK_OK(co_await holder->lock());
      co_await when_all(
          [&]() -> Task<void> {
            const Instant begun = env.now();
            auto opened = co_await Device::open(env, {.path = kTestDevice});
            EXPECT_EQ(opened.has_value(), held < Duration::seconds(60));
            EXPECT_GE(env.now() - begun, std::min(held, Duration::seconds(60)));
            if (opened) CO_CHECK_OK(co_await (*opened)->close());
            if (!opened) EXPECT_TRUE(opened.error().is(DeviceError::in_use));
          },
          [&]() -> Task<void> {
            (void)co_await sleep_for(env, held);
            CO_CHECK_OK(co_await holder->close());
          });
    }
  });
  EXPECT_NE(world.log().find("waiting for writes of a process that has ended"), std::string::npos);
}

}  // namespace
}  // namespace fb::bss
