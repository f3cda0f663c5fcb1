// SPDX-License-Identifier: Apache-2.0
#include "bss/record_file.h"

#include <gtest/gtest.h>

#include "bss/test_world.h"
#include "io/sim/thinning.h"

namespace fb {
namespace {

constexpr StoreId kStore{9};

// Of different lengths.
std::string bytes_of(uint64_t version) { return std::string(1200 + version % 7, static_cast<char>(version)); }

// Opens, finds the newest that was written or the one under way, and writes some more.
Task<void> one_life(Env& env, uint64_t& written, uint64_t& tried, int count) {
  auto opened = co_await RecordFile::open(env, "/", kStore);
  CO_CHECK_OK(opened);
  RecordFile& file = **opened;
  const uint64_t found = file.newest() ? file.newest()->version : 0;
  EXPECT_GE(found, written);
  EXPECT_LE(found, tried);
  if (file.newest()) EXPECT_EQ(file.newest()->bytes, bytes_of(found));
  written = found;  // what was seen is not taken back
  for (int i = 0; i < count; ++i) {
    ++tried;
    CO_CHECK_OK(co_await file.write(tried, bytes_of(tried)));
    written = tried;
  }
  CO_CHECK_OK(co_await file.close());
}

// Three crashes one after the other, at every pair of places: the second copy torn by the first, the first
// copy by the next; and what a killed process had written is lost by a power loss.
TEST(RecordFile, CrashesOneAfterTheOtherLeaveOneThatIsWhole) {
  using sim::CrashKind;
  constexpr uint64_t kPlaces = 13;
  for (uint64_t first = 1; first < kPlaces; ++first) {
    for (uint64_t second = 1; second < kPlaces; ++second) {
      for (unsigned kinds = 0; kinds < 16; kinds += sim::kSeedThinning) {
        World world(first * 1000 + second * 20 + kinds);
        uint64_t written = 0;
        uint64_t tried = 0;
        const uint64_t places[] = {first, second, (first + second) % kPlaces + 1};
        for (unsigned life = 0; life < 4; ++life) {
          if (life < 3) {
            world.node.crash_at(
                (kinds & 8) != 0 ? sim::SimNode::CrashPoint::io_after : sim::SimNode::CrashPoint::io_before,
                places[life], (kinds >> life & 1) != 0 ? CrashKind::kill : CrashKind::power_loss);
          }
          world.run([&](Env& env) { return one_life(env, written, tried, 3); });
          world.node.forget_planned_crash();
        }
        ASSERT_FALSE(HasFailure()) << first << " " << second << " " << kinds << "\n" << world.log();
      }
    }
  }
}

TEST(RecordFile, AWriteThatFailsIsTriedAgainOnTheSameCopy) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    World world(seed);
    uint64_t written = 0;
    uint64_t tried = 0;
    bool done = false;
    world.node.start([&](Env& env) -> Task<void> {
      auto opened = co_await RecordFile::open(env, "/", kStore);
      CO_CHECK_OK(opened);
      world.node.disk().faults().write_error_ppm = 400'000;
      for (int i = 0; i < 20; ++i) {
        ++tried;
        if (co_await (*opened)->write(tried, bytes_of(tried))) written = tried;
      }
      world.node.disk().faults() = {};
      done = true;
      (void)co_await sleep_for(env, Duration::seconds(1000));
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return done; }, Duration::seconds(100)));
    world.node.crash(sim::CrashKind::power_loss);
    world.run([&](Env& env) { return one_life(env, written, tried, 1); });
    ASSERT_FALSE(HasFailure()) << seed << "\n" << world.log();
  }
}

}  // namespace
}  // namespace fb
