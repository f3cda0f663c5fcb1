// SPDX-License-Identifier: Apache-2.0
// Direct writes outlive the process that asked for them; a claim waits for them.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "io/claim.h"
#include "io/scope.h"
#include "io/sim/simulation.h"
#include "io/sync.h"

namespace fb::sim {
namespace {

constexpr Duration kMinute = Duration::minutes(1);
constexpr Duration kAllLanded = Duration::seconds(4);
constexpr size_t kPages = 8;
constexpr int kSeeds = 200;
constexpr OpenOptions kDirect{.write = true, .create = true, .direct = true, .role = FileRole::data};
static_assert(kAllLanded > SimNode::kLandingMax);

Task<void> write_for_ever(Env& env, const File& file, uint64_t page) {
  Buffer buffer = co_await env.buffers().allocate(kBufferSizeMin);
  for (uint8_t round = 1;; ++round) {
    std::memset(buffer.data(), round, buffer.capacity());
    EXPECT_TRUE((co_await file.write_durable(buffer.span(), page * kBufferSizeMin)).has_value());
  }
}

Task<void> write_all_pages(Env& env, bool& writing) {
  Result<File> file = co_await open_claimed(env, "file", kDirect);
  EXPECT_TRUE(file.has_value());
  if (!file) co_return;
  EXPECT_TRUE(co_await sync_directory(env, "/"));
  writing = true;
  Scope scope(env);
  for (uint64_t page = 0; page < kPages; ++page)
    scope.spawn(&write_for_ever, std::ref(env), std::cref(*file), page);
  co_await scope.join();
}

std::vector<std::byte> content(SimNode& node) {
  std::vector<std::byte> bytes(kPages * kBufferSizeMin);
  node.disk().find("file")->read(0, bytes);
  return bytes;
}

// Kills a process that writes, opens its file with a claim or without, and tells whether the file changes
// afterwards.
bool changes_after_open(uint64_t seed, bool claims, FaultCounts& faults) {
  Simulation simulation(seed);
  SimNode& node = simulation.add_node({.name = "node"});
  bool writing = false;
  node.start([&](Env& env) { return write_all_pages(env, writing); });
  EXPECT_TRUE(simulation.run_until([&] { return writing; }, kMinute));
  simulation.run_for(Duration::microseconds(static_cast<int64_t>(simulation.random().between(100, 5'000))));
  node.crash(CrashKind::kill);
  std::vector<std::byte> found;
  node.start([&](Env& env) -> Task<void> {
    Result<File> file;
    if (claims) {
      file = co_await open_claimed(env, "file", kDirect);
    } else {
      file = co_await File::open(env, "file", kDirect);
    }
    EXPECT_TRUE(file.has_value());
    if (!file) co_return;
    found = content(node);
    (void)co_await sleep_for(env, kAllLanded);
    EXPECT_TRUE(co_await file->close());
  });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  EXPECT_EQ(node.landings(), 0U);
  faults.merge(simulation.faults());
  return content(node) != found;
}

TEST(Landing, WritesLandAfterTheirProcessAndAClaimWaitsForThem) {
  FaultCounts faults;
  int unclaimed = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    EXPECT_FALSE(changes_after_open(static_cast<uint64_t>(seed), true, faults)) << seed;
    unclaimed += changes_after_open(static_cast<uint64_t>(seed), false, faults);
  }
  EXPECT_GT(faults[Fault::write_landed_late], 4U * kSeeds);
  EXPECT_GT(unclaimed, kSeeds / 2);
}

// Late writes are as durable as any write that nobody synced.
TEST(Landing, APowerLossTakesThem) {
  int kept = 0;
  int lost = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    Simulation simulation(static_cast<uint64_t>(seed));
    SimNode& node = simulation.add_node({.name = "node"});
    bool writing = false;
    node.start([&](Env& env) { return write_all_pages(env, writing); });
    EXPECT_TRUE(simulation.run_until([&] { return writing; }, kMinute));
    simulation.run_for(Duration::milliseconds(1));
    node.crash(CrashKind::kill);
    const bool before_they_land = seed % 2 == 0;
    if (!before_they_land) simulation.run_for(kAllLanded);
    const std::vector<std::byte> landed = content(node);
    node.start([](Env& env) -> Task<void> { (void)co_await sleep_for(env, kMinute); });
    node.crash(CrashKind::power_loss);
    EXPECT_EQ(node.landings(), 0U);
    (content(node) == landed ? kept : lost) += 1;
    const std::vector<std::byte> after = content(node);
    simulation.run_for(kAllLanded);
    EXPECT_EQ(content(node), after) << seed;
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(lost, kSeeds / 4);
}

// A lock of the description that a write goes through is not free before the write has ended; other locks are
// free at once.
TEST(Landing, OnlyLocksOfTheWritesOwnDescriptionWait) {
  int waited = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    Simulation simulation(static_cast<uint64_t>(seed));
    SimNode& node = simulation.add_node({.name = "node"});
    bool writing = false;
    node.start([&](Env& env) -> Task<void> {
      Result<File> lock = co_await File::open(env, "LOCK", {.write = true, .create = true});
      EXPECT_TRUE(lock.has_value());
      EXPECT_TRUE(co_await lock->lock());
      co_await write_all_pages(env, writing);
    });
    EXPECT_TRUE(simulation.run_until([&] { return writing; }, kMinute));
    simulation.run_for(Duration::milliseconds(1));
    node.crash(CrashKind::kill);
    node.start([&](Env& env) -> Task<void> {
      for (const char* name : {"LOCK", "file"}) {
        Result<File> file = co_await File::open(env, name, {.write = true});
        EXPECT_TRUE(file.has_value());
        const bool under_way = node.landings() > 0;
        const Result<void> locked = co_await file->lock();
        const bool is_lock = std::string_view(name) == "LOCK";
        if (is_lock) EXPECT_TRUE(locked.has_value());
        if (!is_lock && !locked) {
          ++waited;
          EXPECT_TRUE(under_way);
        }
        if (!is_lock && locked) EXPECT_EQ(node.landings(), 0U);
        EXPECT_TRUE(co_await file->close());
      }
    });
    EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  }
  EXPECT_GT(waited, kSeeds / 2);
}

}  // namespace
}  // namespace fb::sim
