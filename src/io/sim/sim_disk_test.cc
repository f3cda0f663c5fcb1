// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>

namespace fb::sim {
namespace {

constexpr SimDisk::OpenFlags kCreate{.create = true};

std::vector<std::byte> filled(size_t size, int value) {
  return std::vector(size, static_cast<std::byte>(value));
}

// A disk of its own for every seed.
struct World {
  explicit World(uint64_t seed, SimDisk::Options options = {})
      : random(seed, 1), disk(options, random, counts) {}

  SimDisk::FilePtr create(std::string_view path, FileRole role = FileRole::data) {
    SimDisk::FilePtr file;
    EXPECT_EQ(disk.open(path, kCreate, role, file), 0);
    return file;
  }
  std::vector<std::byte> contents(std::string_view path) {
    const SimDisk::FilePtr file = disk.find(path);
    if (file == nullptr) return {};
    std::vector<std::byte> bytes(file->size());
    file->read(0, bytes);
    return bytes;
  }
  void sync_root() { EXPECT_EQ(disk.sync(*disk.find("/")), 0); }

  Random random;
  FaultCounts counts;
  SimDisk disk;
};

// How many of 64 seeds show `happens`.
int seeds_with(const std::function<bool(World&)>& happens, SimDisk::Options options = {}) {
  int count = 0;
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    World world(seed, options);
    count += happens(world);
  }
  return count;
}

TEST(SimDisk, ReadsWhatWasWritten) {
  World world(1);
  const auto file = world.create("a");
  EXPECT_EQ(world.disk.write(*file, 100, filled(1000, 7), false), 1000);
  std::vector<std::byte> bytes(2000);
  EXPECT_EQ(world.disk.read(*file, 0, bytes), 1100);
  EXPECT_EQ(bytes[99], std::byte{0});
  EXPECT_EQ(bytes[100], std::byte{7});
  EXPECT_EQ(bytes[1099], std::byte{7});
  EXPECT_EQ(world.disk.read(*file, 1100, bytes), 0);
}

TEST(SimDisk, TruncateClearsWhatWasCutOff) {
  World world(1);
  const auto file = world.create("a");
  EXPECT_EQ(world.disk.write(*file, 0, filled(9000, 7), false), 9000);
  EXPECT_EQ(world.disk.truncate(*file, 700), 0);
  EXPECT_EQ(world.disk.truncate(*file, 9000), 0);
  auto expected = filled(700, 7);
  expected.resize(9000);
  EXPECT_EQ(world.contents("a"), expected);
}

// Only if the file system has nothing more to write, and only past its cache.
TEST(SimDisk, PowerLossProtectionKeepsDirectOverwrites) {
  const auto kept = [](bool settled, bool direct, bool protection) {
    return seeds_with(
        [&](World& world) {
          const auto file = world.create("a");
          world.sync_root();
          world.disk.allocate(*file, 0, 8192);
          if (settled) world.disk.write(*file, 0, filled(8192, 0), false);
          world.disk.sync(*file);
          world.disk.write(*file, 4096, filled(4096, 7), false, direct);
          world.disk.lose_power();
          auto expected = filled(4096, 0);
          expected.resize(8192, std::byte{7});
          return world.contents("a") == expected;
        },
        {.power_loss_protection = protection});
  };
  EXPECT_EQ(kept(true, true, true), 64);
  EXPECT_LT(kept(false, true, true), 64);
  EXPECT_LT(kept(true, false, true), 64);
  EXPECT_LT(kept(true, true, false), 64);
}

TEST(SimDisk, SyncedDataSurvivesPowerLoss) {
  const int intact = seeds_with([](World& world) {
    const auto file = world.create("a");
    world.disk.write(*file, 0, filled(10'000, 7), false);
    world.disk.sync(*file);
    world.sync_root();
    world.disk.lose_power();
    return world.contents("a") == filled(10'000, 7);
  });
  EXPECT_EQ(intact, 64);
}

TEST(SimDisk, DurableWriteSurvivesPowerLossWithItsSize) {
  const int intact = seeds_with([](World& world) {
    const auto file = world.create("a");
    world.sync_root();
    world.disk.write(*file, 0, filled(4096, 7), true);
    world.disk.lose_power();
    return world.contents("a") == filled(4096, 7);
  });
  EXPECT_EQ(intact, 64);
}

TEST(SimDisk, UnsyncedDataIsKeptDroppedOrTorn) {
  int kept = 0;
  int dropped = 0;
  int torn = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    World world(seed);
    const auto file = world.create("a");
    world.disk.write(*file, 0, filled(8192, 1), true);
    world.sync_root();
    world.disk.write(*file, 0, filled(8192, 2), false);
    world.disk.lose_power();
    const auto bytes = world.contents("a");
    ASSERT_EQ(bytes.size(), 8192);
    for (size_t sector = 0; sector < bytes.size(); sector += kSectorSize) {
      const auto begin = bytes.begin() + static_cast<ptrdiff_t>(sector);
      ASSERT_TRUE(std::all_of(begin, begin + kSectorSize, [&](std::byte b) { return b == *begin; }));
    }
    const auto news = std::ranges::count(bytes, std::byte{2});
    kept += news == 8192;
    dropped += news == 0;
    torn += news != 0 && news != 8192;
    EXPECT_EQ(world.counts[Fault::write_torn], news != 0 && news != 8192 ? 1 : 0);
    EXPECT_EQ(world.counts[Fault::sector_kept] + world.counts[Fault::sector_dropped], 16);
  }
  EXPECT_GT(kept, 10);
  EXPECT_GT(dropped, 10);
  EXPECT_GT(torn, 10);
}

TEST(SimDisk, AnOlderUnsyncedVersionMaySurvive) {
  const int older = seeds_with([](World& world) {
    const auto file = world.create("a");
    world.disk.write(*file, 0, filled(512, 1), true);
    world.sync_root();
    world.disk.write(*file, 0, filled(512, 2), false);
    world.disk.write(*file, 0, filled(512, 3), false);
    world.disk.lose_power();
    return world.contents("a") == filled(512, 2);
  });
  EXPECT_GT(older, 0);
}

TEST(SimDisk, UnsyncedSizeMayFallBack) {
  const auto scenario = [](World& world) {
    const auto file = world.create("a");
    world.sync_root();
    world.disk.write(*file, 0, filled(4096, 7), false);
    world.disk.lose_power();
    return world.contents("a").empty() && world.counts[Fault::size_dropped] == 1;
  };
  EXPECT_GT(seeds_with(scenario), 0);
  EXPECT_LT(seeds_with(scenario), 64);
}

TEST(SimDisk, UnsyncedEntryMayVanishAndSyncedMayNot) {
  const auto created = [](World& world) {
    world.disk.sync(*world.create("a"));
    world.disk.lose_power();
    return world.disk.find("a") == nullptr;
  };
  EXPECT_GT(seeds_with(created), 10);
  EXPECT_LT(seeds_with(created), 54);
  const auto synced = [](World& world) {
    world.create("a");
    world.sync_root();
    world.disk.lose_power();
    return world.disk.find("a") == nullptr;
  };
  EXPECT_EQ(seeds_with(synced), 0);
}

TEST(SimDisk, RenameIsAtomicAndDurableOnlyAfterSync) {
  const auto scenario = [](World& world, bool sync) {
    world.disk.write(*world.create("new"), 0, filled(512, 2), true);
    world.disk.write(*world.create("old"), 0, filled(512, 1), true);
    world.sync_root();
    EXPECT_EQ(world.disk.rename("new", "old"), 0);
    if (sync) world.sync_root();
    world.disk.lose_power();
    const bool renamed = world.contents("old") == filled(512, 2);
    if (!renamed) {
      EXPECT_EQ(world.contents("old"), filled(512, 1));
    }
    EXPECT_EQ(world.disk.find("new") == nullptr, renamed);
    return renamed;
  };
  EXPECT_EQ(seeds_with([&](World& world) { return scenario(world, true); }), 64);
  const int renamed = seeds_with([&](World& world) { return scenario(world, false); });
  EXPECT_GT(renamed, 10);
  EXPECT_LT(renamed, 54);
}

TEST(SimDisk, UnlinkIsDurableOnlyAfterSync) {
  const auto scenario = [](World& world, bool sync) {
    world.create("a");
    world.sync_root();
    EXPECT_EQ(world.disk.unlink("a"), 0);
    if (sync) world.sync_root();
    world.disk.lose_power();
    return world.disk.find("a") == nullptr;
  };
  EXPECT_EQ(seeds_with([&](World& world) { return scenario(world, true); }), 64);
  EXPECT_LT(seeds_with([&](World& world) { return scenario(world, false); }), 54);
}

TEST(SimDisk, LosingADirectoryLosesWhatIsInIt) {
  World world(1);
  EXPECT_EQ(world.disk.make_directory("d"), 0);
  const auto file = world.create("d/a");
  EXPECT_EQ(world.disk.sync(*file), 0);
  EXPECT_EQ(world.disk.sync(*world.disk.find("d")), 0);
  const int lost = seeds_with([](World& other) {
    other.disk.make_directory("d");
    other.create("d/a");
    other.disk.sync(*other.disk.find("d"));
    other.disk.lose_power();
    EXPECT_EQ(other.disk.find("d") == nullptr, other.disk.find("d/a") == nullptr);
    return other.disk.find("d") == nullptr;
  });
  EXPECT_GT(lost, 10);
}

TEST(SimDisk, OmittedFlushesAreAcknowledgedAndNotDone) {
  const auto data_lost = [](FileRole role) {
    return [role](World& world) {
      const auto file = world.create("a", role);
      world.sync_root();
      EXPECT_EQ(world.disk.write(*file, 0, filled(512, 1), true), 512);
      EXPECT_EQ(world.disk.write(*file, 512, filled(512, 1), false), 512);
      EXPECT_EQ(world.disk.sync(*file), 0);
      world.disk.lose_power();
      return world.contents("a") != filled(1024, 1);
    };
  };
  EXPECT_GT(seeds_with(data_lost(FileRole::data), {.omit = OmitFlush::data}), 10);
  EXPECT_GT(seeds_with(data_lost(FileRole::snapshot), {.omit = OmitFlush::data}), 10);
  EXPECT_EQ(seeds_with(data_lost(FileRole::journal), {.omit = OmitFlush::data}), 0);
  EXPECT_GT(seeds_with(data_lost(FileRole::journal), {.omit = OmitFlush::journal}), 10);
  EXPECT_EQ(seeds_with(data_lost(FileRole::data), {.omit = OmitFlush::journal}), 0);

  const auto entry_lost = [](World& world) {
    world.create("a");
    world.sync_root();
    world.disk.lose_power();
    return world.disk.find("a") == nullptr;
  };
  EXPECT_GT(seeds_with(entry_lost, {.omit = OmitFlush::directory}), 10);
  EXPECT_EQ(seeds_with(entry_lost, {.omit = OmitFlush::rename}), 0);

  const auto rename_lost = [](World& world) {
    world.create("a");
    world.sync_root();
    world.disk.rename("a", "b");
    world.sync_root();
    world.disk.lose_power();
    return world.disk.find("b") == nullptr;
  };
  EXPECT_GT(seeds_with(rename_lost, {.omit = OmitFlush::rename}), 10);
  EXPECT_EQ(seeds_with(rename_lost, {.omit = OmitFlush::data}), 0);
}

TEST(SimDisk, FailedSyncNeverBecomesDurable) {
  const int lost = seeds_with([](World& world) {
    const auto file = world.create("a");
    world.disk.write(*file, 0, filled(512, 1), true);
    world.sync_root();
    world.disk.write(*file, 0, filled(512, 2), false);
    world.disk.faults().sync_error_ppm = 1'000'000;
    EXPECT_EQ(world.disk.sync(*file), -EIO);
    EXPECT_EQ(world.counts[Fault::sync_error], 1);
    world.disk.faults().sync_error_ppm = 0;
    EXPECT_EQ(world.disk.sync(*file), 0);
    world.disk.lose_power();
    return world.contents("a") == filled(512, 1);
  });
  EXPECT_EQ(lost, 64);
}

TEST(SimDisk, RotFlipsOneBitOfASyncedSectorForGood) {
  World world(1);
  const auto file = world.create("a");
  world.disk.write(*file, 0, filled(512, 0), true);
  world.disk.faults().rot_ppm = 1'000'000;
  auto bytes = filled(512, 0);
  EXPECT_EQ(world.disk.read(*file, 0, bytes), 512);
  EXPECT_EQ(std::ranges::count(bytes, std::byte{0}), 511);
  world.disk.faults().rot_ppm = 0;
  EXPECT_EQ(world.contents("a"), bytes);
  EXPECT_EQ(world.counts[Fault::rot], 1);
  ASSERT_EQ(world.disk.damages().size(), 1);
  EXPECT_NE(bytes[world.disk.damages()[0].offset], std::byte{0});
}

TEST(SimDisk, RotSparesUnsyncedSectorsAndOtherRoles) {
  World world(1);
  const auto file = world.create("a", FileRole::data);
  world.disk.write(*file, 0, filled(512, 0), false);
  world.disk.faults().rot_ppm = 1'000'000;
  auto bytes = filled(512, 1);
  world.disk.read(*file, 0, bytes);
  EXPECT_EQ(bytes, filled(512, 0));
  world.disk.sync(*file);
  world.disk.faults().roles = 1U << static_cast<unsigned>(FileRole::journal);
  world.disk.read(*file, 0, bytes);
  EXPECT_EQ(bytes, filled(512, 0));
  EXPECT_EQ(world.counts[Fault::rot], 0);
}

TEST(SimDisk, LostWriteIsAcknowledged) {
  World world(1);
  const auto file = world.create("a");
  world.disk.write(*file, 0, filled(4096, 1), true);
  world.disk.faults().lost_write_ppm = 1'000'000;
  EXPECT_EQ(world.disk.write(*file, 0, filled(4096, 2), true), 4096);
  EXPECT_EQ(world.contents("a"), filled(4096, 1));
  EXPECT_EQ(world.counts[Fault::lost_write], 1);
}

TEST(SimDisk, MisdirectedWriteLandsElsewhere) {
  const int elsewhere = seeds_with([](World& world) {
    const auto a = world.create("a");
    const auto b = world.create("b");
    world.disk.write(*a, 0, filled(16'384, 1), true);
    world.disk.write(*b, 0, filled(16'384, 1), true);
    world.disk.faults().misdirected_write_ppm = 1'000'000;
    EXPECT_EQ(world.disk.write(*a, 0, filled(4096, 2), true), 4096);
    EXPECT_EQ(world.counts[Fault::misdirected_write], 1);
    const auto first = world.contents("a");
    EXPECT_EQ(world.disk.damages().empty(), false);
    return std::ranges::count(first, std::byte{2}) + std::ranges::count(world.contents("b"), std::byte{2}) ==
               4096 &&
           first[0] == std::byte{1};
  });
  EXPECT_GT(elsewhere, 32);
}

TEST(SimDisk, ReadErrorsComeBackOrStay) {
  int stays = 0;
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    World world(seed);
    const auto file = world.create("a");
    world.disk.write(*file, 0, filled(4096, 1), true);
    auto bytes = filled(4096, 0);
    world.disk.faults().read_error_ppm = 1'000'000;
    EXPECT_EQ(world.disk.read(*file, 0, bytes), -EIO);
    EXPECT_EQ(world.counts[Fault::read_error], 1);
    world.disk.faults().read_error_ppm = 0;
    stays += world.disk.read(*file, 0, bytes) == -EIO;
    world.disk.write(*file, 0, filled(4096, 2), true);
    EXPECT_EQ(world.disk.read(*file, 0, bytes), 4096);
  }
  EXPECT_GT(stays, 10);
  EXPECT_LT(stays, 54);
}

TEST(SimDisk, WriteErrorIsCounted) {
  World world(1);
  const auto file = world.create("a");
  world.disk.faults().write_error_ppm = 1'000'000;
  EXPECT_EQ(world.disk.write(*file, 0, filled(4096, 1), false), -EIO);
  EXPECT_EQ(world.counts[Fault::write_error], 1);
}

TEST(SimDisk, FullDiskCutsWritesShort) {
  World world(1, {.capacity_bytes = 16'384});
  const auto file = world.create("a");
  EXPECT_EQ(world.disk.write(*file, 1000, filled(32'768, 1), false), 16'384 - 1000);
  EXPECT_EQ(world.disk.write(*file, 16'384, filled(4096, 1), false), -ENOSPC);
  EXPECT_EQ(world.disk.write(*file, 0, filled(4096, 2), false), 4096);
  EXPECT_EQ(world.disk.allocate(*file, 0, 20'000), -ENOSPC);
  EXPECT_EQ(world.counts[Fault::disk_full], 3);
  FileSystemSpace space;
  EXPECT_EQ(world.disk.space("/", space), 0);
  EXPECT_EQ(space.available_bytes, 0);
  EXPECT_EQ(world.disk.unlink("a"), 0);
  EXPECT_EQ(world.disk.space("/", space), 0);
  EXPECT_EQ(space.available_bytes, 16'384);
}

TEST(SimDisk, NamesBehaveAsOnLinux) {
  World world(1);
  SimDisk::FilePtr file;
  EXPECT_EQ(world.disk.open("a", {}, FileRole::other, file), -ENOENT);
  EXPECT_EQ(world.disk.open("no/a", kCreate, FileRole::other, file), -ENOENT);
  world.create("a");
  EXPECT_EQ(world.disk.open("a", {.create = true, .exclusive = true}, FileRole::other, file), -EEXIST);
  EXPECT_EQ(world.disk.open("a", {.directory = true}, FileRole::other, file), -ENOTDIR);
  EXPECT_EQ(world.disk.make_directory("d"), 0);
  EXPECT_EQ(world.disk.make_directory("d"), -EEXIST);
  world.create("d/x");
  EXPECT_EQ(world.disk.unlink("d"), -ENOTEMPTY);
  EXPECT_EQ(world.disk.rename("missing", "b"), -ENOENT);
  EXPECT_EQ(world.disk.rename("a", "d"), -EISDIR);
  std::vector<std::string> names;
  EXPECT_EQ(world.disk.list("/", names), 0);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "d"}));
}

}  // namespace
}  // namespace fb::sim
