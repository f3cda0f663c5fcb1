// SPDX-License-Identifier: Apache-2.0
// The page store on the simulated disk: crashes at every change, flushes left out, media faults.
#include "bss/page/page_file_test_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "io/sim/thinning.h"

namespace fb {
namespace {

using sim::CrashKind;
using sim::OmitFlush;
using CrashPoint = sim::SimNode::CrashPoint;

PageFile::Options pages_of(Durability durability) {
  PageFile::Options options = small_pages();
  options.durability = durability;
  return options;
}

Task<void> live(Env& env, PageModel& model, std::mt19937_64& random, uint64_t epoch, int operations,
                bool faults = false, Durability durability = Durability::strict) {
  auto opened = co_await PageFile::open(env, pages_of(durability));
  if (!opened) {
    model.problem("not opened: " + opened.error().to_string());
    co_return;
  }
  co_await settle_pages(**opened, model, faults);
  PageWorkload workload{.env = env, .store = **opened, .model = model, .random = random, .epoch = epoch};
  co_await workload.run(operations);
  if (workload.failed != 0 && !faults) model.problem(fmt::format("{} changes failed", workload.failed));
  const Result<void> closed = co_await (*opened)->close();
  if (!closed && !faults) model.problem("not closed: " + closed.error().to_string());
}

struct Plan {
  CrashPoint point;
  CrashKind kind;
  OmitFlush omit = OmitFlush::none;
  Durability durability = Durability::strict;
  bool power_loss_protection = false;
};

// Crashes at change `n` of the disk, crashes again while what is left is opened, then works on. False where
// `n` was not reached.
bool crash_and_check(uint64_t n, const Plan& plan, int operations, PageModel& model) {
  World world(n, 1, plan.power_loss_protection);
  world.node.disk().set_omit(plan.omit);
  std::mt19937_64 random(n);
  world.node.crash_at(plan.point, n, plan.kind);
  world.run([&](Env& env) -> Task<void> {
    co_await live(env, model, random, 1, operations, false, plan.durability);
  });
  const bool crashed = world.node.crashed();
  world.node.forget_planned_crash();
  world.node.crash_at(plan.point, 1 + n % 9, plan.kind);
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, pages_of(plan.durability));
    if (opened) (void)co_await (*opened)->close();
  });
  world.node.forget_planned_crash();
  world.run([&](Env& env) -> Task<void> {
    co_await live(env, model, random, 2, operations / 4, false, plan.durability);
  });
  world.run([&](Env& env) -> Task<void> { co_await live(env, model, random, 3, 0, false, plan.durability); });
  if (!model.problems.empty()) model.problems.push_back(world.log());
  return crashed;
}

void expect_none(const PageModel& model, uint64_t n) {
  for (const std::string& problem : model.problems) ADD_FAILURE() << "crash at " << n << ": " << problem;
}

class PageCrash : public testing::TestWithParam<Plan> {};

TEST_P(PageCrash, AtEveryChangeKeepsWhatWasAcknowledged) {
  uint64_t n = 1;
  for (bool reached = true; reached; n += sim::kThinning) {
    PageModel model;
    reached = crash_and_check(n, GetParam(), 100, model);
    expect_none(model, n);
    if (HasFailure()) return;
  }
  RecordProperty("crash_points", static_cast<int>(n / sim::kThinning));
  EXPECT_GT(n, 150U);
}

TEST_P(PageCrash, LateInALongLife) {
  for (uint64_t n = 200; n < 2400; n += 53 * sim::kThinning) {
    PageModel model;
    const bool reached = crash_and_check(n, GetParam(), 900, model);
    expect_none(model, n);
    if (HasFailure() || !reached) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Points, PageCrash,
                         testing::Values(Plan{CrashPoint::io_before, CrashKind::power_loss},
                                         Plan{CrashPoint::io_after, CrashKind::power_loss},
                                         Plan{CrashPoint::io_before, CrashKind::kill},
                                         Plan{CrashPoint::io_before, CrashKind::power_loss, OmitFlush::none,
                                              Durability::plp, true},
                                         Plan{CrashPoint::io_after, CrashKind::power_loss, OmitFlush::none,
                                              Durability::plp, true}),
                         [](const auto& info) { return std::to_string(info.index); });

// The checks above notice a flush that is forgotten, of every kind there is.
TEST(PageCrash, WithoutAFlushSomethingIsLost) {
  for (const OmitFlush omit :
       {OmitFlush::data, OmitFlush::journal, OmitFlush::directory, OmitFlush::rename}) {
    int noticed = 0;
    for (uint64_t n = 1; n < 240; n += 6) {
      PageModel model;
      (void)crash_and_check(n, {CrashPoint::io_after, CrashKind::power_loss, omit}, 100, model);
      noticed += !model.problems.empty();
    }
    EXPECT_GT(noticed, 0) << to_string(omit);
  }
}

TEST(PageCrash, WithoutPowerLossProtectionSomethingIsLost) {
  int noticed = 0;
  for (uint64_t n = 30; n < 240; n += 6) {
    PageModel model;
    (void)crash_and_check(
        n, {CrashPoint::io_after, CrashKind::power_loss, OmitFlush::none, Durability::plp, false}, 100,
        model);
    noticed += !model.problems.empty();
  }
  EXPECT_GT(noticed, 0);
}

// --- media faults: reported or repaired, never wrong ---

constexpr uint32_t role(FileRole role) { return 1U << static_cast<unsigned>(role); }

struct Outcome {
  uint64_t damaged = 0;
  uint64_t refused = 0;  // to open, although no block lost both copies
  uint64_t excused = 0;  // seeds of which a block lost both copies, so that nothing is promised
  uint64_t faults = 0;
};

// Whether faults met both copies of one block of a log, which is more than it promises to stand.
bool met_both_copies(const std::vector<sim::SimDisk::Damage>& damages) {
  const uint64_t copy_bytes = small_pages().log_bytes;
  std::set<std::tuple<std::string, uint64_t, bool>> met;
  for (const sim::SimDisk::Damage& damage : damages) {
    const bool rots = damage.fault == sim::Fault::rot || damage.fault == sim::Fault::lost_write ||
                      damage.fault == sim::Fault::misdirected_write;
    if (!rots) continue;
    for (uint64_t at = damage.offset / kKiB / 4 * 4 * kKiB; at < damage.offset + damage.length;
         at += 4 * kKiB)
      met.emplace(damage.file, at % copy_bytes, at >= copy_bytes);
  }
  return std::ranges::any_of(met, [&](const auto& one) {
    return met.contains({std::get<0>(one), std::get<1>(one), !std::get<2>(one)});
  });
}

// Works on a disk that makes `faults`; lives end in a crash by turns. What cannot be told from what was
// promised is a problem, except that changes may fail.
Outcome live_with_faults(uint64_t seed, const sim::DiskFaults& faults) {
  World world(seed);
  PageModel model;
  std::mt19937_64 random(seed);
  Outcome outcome;
  world.run([&](Env& env) -> Task<void> { co_await live(env, model, random, 1, 60); });
  for (uint64_t life = 2; life <= 6; ++life) {
    world.node.disk().faults() = faults;
    if (life % 2 == 0) world.node.crash_at(CrashPoint::io_after, 60 + random() % 60, CrashKind::power_loss);
    bool refused = false;
    world.run([&](Env& env) -> Task<void> {
      auto opened = co_await PageFile::open(env, small_pages());
      if (!opened) {
        refused = true;
        co_return;
      }
      co_await settle_pages(**opened, model, true);
      PageWorkload workload{.env = env, .store = **opened, .model = model, .random = random, .epoch = life};
      co_await workload.run(60);
      (void)co_await (*opened)->close();
    });
    world.node.forget_planned_crash();
    outcome.refused += refused;
    if (refused) break;
  }
  outcome.damaged = model.damaged;
  outcome.faults = world.node.disk().damages().size();
  if ((faults.roles & role(FileRole::journal)) != 0 && met_both_copies(world.node.disk().damages())) {
    outcome.refused = 0;
    outcome.excused = 1;
    return outcome;
  }
  for (const std::string& problem : model.problems) {
    ADD_FAILURE() << "seed " << seed << ": " << problem << "\n" << world.log();
  }
  return outcome;
}

Outcome many_seeds(const sim::DiskFaults& faults) {
  constexpr uint64_t kSeeds = sim::thinned(40);
  Outcome total;
  for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    const Outcome outcome = live_with_faults(seed, faults);
    total.damaged += outcome.damaged;
    total.refused += outcome.refused;
    total.excused += outcome.excused;
    total.faults += outcome.faults;
  }
  return total;
}

TEST(PageFaults, DamagedPagesAreReportedAndTheRestIsServed) {
  const Outcome outcome = many_seeds({.rot_ppm = 10'000,
                                      .misdirected_write_ppm = 10'000,
                                      .lost_write_ppm = 10'000,
                                      .read_error_ppm = 5'000,
                                      .roles = role(FileRole::data)});
  EXPECT_GT(outcome.faults, 50U);
  EXPECT_GT(outcome.damaged, 50U);
  EXPECT_EQ(outcome.refused, 0U);
}

TEST(PageFaults, TheLogAndTheTablesStandASingleFault) {
  for (const FileRole each : {FileRole::journal, FileRole::snapshot}) {
    const Outcome outcome = many_seeds({.rot_ppm = 8'000,
                                        .misdirected_write_ppm = 4'000,
                                        .lost_write_ppm = 4'000,
                                        .read_error_ppm = 8'000,
                                        .roles = role(each)});
    EXPECT_GT(outcome.faults, 5U);
    EXPECT_EQ(outcome.damaged, 0U);
    EXPECT_LE(outcome.refused, 2U);  // a read error beside a table that a crash has cut
    EXPECT_LE(outcome.excused, 10U) << "most seeds are to show something";
  }
}

TEST(PageFaults, AllAtOnce) {
  const Outcome outcome = many_seeds({.rot_ppm = 5'000,
                                      .misdirected_write_ppm = 4'000,
                                      .lost_write_ppm = 4'000,
                                      .read_error_ppm = 4'000,
                                      .write_error_ppm = 2'000,
                                      .sync_error_ppm = 2'000,
                                      .stall_ppm = 5'000});
  EXPECT_GT(outcome.faults, 100U);
  EXPECT_GT(outcome.damaged, 10U);
}

TEST(PageFaults, FailedWritesFailNothingElse) {
  const Outcome outcome = many_seeds({.write_error_ppm = 10'000, .sync_error_ppm = 10'000, .roles = 0xff});
  EXPECT_GT(outcome.faults, 50U);
  EXPECT_EQ(outcome.damaged, 0U);
}

}  // namespace
}  // namespace fb
