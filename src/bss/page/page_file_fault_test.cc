// SPDX-License-Identifier: Apache-2.0
// The page store and the record file under failed operations and crashes together.
#include "bss/failed_change_test_world.h"
#include "bss/page/page_file_test_world.h"
#include "bss/record_file.h"
#include "client/outcome.h"

namespace fb {
namespace {

constexpr uint64_t kSeedsToNotice = 200;

struct Life {
  World& world;
  PageModel& model;
  std::mt19937_64& random;
  uint64_t epoch = 1;
  int operations = 0;
  bool fails = false;
  bool power_loss = false;
  unsigned checkpoint_percent = 6;

  Task<void> run(Env& env) {
    auto opened = co_await PageFile::open(env, small_pages());
    if (!opened) {
      if (!fails) model.problem("not opened: " + opened.error().to_string());
      co_return;
    }
    co_await settle_pages(**opened, model, false);
    PageWorkload workload{.env = env,
                          .store = **opened,
                          .model = model,
                          .random = random,
                          .epoch = epoch,
                          .checkpoint_percent = checkpoint_percent};
    co_await workload.run(operations);
    if (power_loss) co_await lose_power(world, env);
    const Result<void> closed = co_await (*opened)->close();
    if (!closed && !fails) model.problem("not closed: " + closed.error().to_string());
  }
};

void expect_no_problems(const PageModel& model, const std::string& where, const World& world) {
  for (const std::string& problem : model.problems) ADD_FAILURE() << where << ": " << problem;
  if (!model.problems.empty()) ADD_FAILURE() << world.log();
}

bool fail_and_check(const FailedChange& change, uint64_t seed) {
  World world(seed);
  PageModel model;
  std::mt19937_64 random(seed);
  world.node.fail_at(change.kind, change.n, change.how);
  Life life{.world = world,
            .model = model,
            .random = random,
            .operations = 60,
            .fails = true,
            .power_loss = change.power_loss};
  world.run([&](Env& env) { return life.run(env); });
  const bool reached = world.node.failed_as_planned();
  world.node.forget_planned_failure();
  life.fails = life.power_loss = false;
  life.operations = 20;
  for (life.epoch = 2; life.epoch < 4; ++life.epoch) {
    world.run([&](Env& env) { return life.run(env); });
    life.operations = 0;
  }
  expect_no_problems(model, change.name(), world);
  return reached;
}

TEST(PageFaults, EveryFailedChangeLosesNothing) {
  const uint64_t count = for_every_failed_change(
      {IoKind::write, IoKind::sync, IoKind::allocate, IoKind::truncate, IoKind::rename, IoKind::open},
      [](const FailedChange& change) { return fail_and_check(change, change.n); });
  GTEST_LOG_(INFO) << count << " failed changes";
  EXPECT_GT(count, 200U);
}

// Lives that crash by the seed, on a disk on which writes and syncs fail by the seed, then one on a disk that
// works. How many changes were answered as not done.
uint64_t run_seed(uint64_t seed, uint32_t error_ppm) {
  World world(seed);
  PageModel model;
  std::mt19937_64 random(seed);
  sim::DiskFaults& faults = world.node.disk().faults();
  Life life{.world = world, .model = model, .random = random};
  for (life.epoch = 1; life.epoch < 9; ++life.epoch) {
    const bool last = life.epoch == 8;
    faults.write_error_ppm = !last && random() % 2 == 0 ? error_ppm : 0;
    faults.sync_error_ppm = !last && random() % 2 == 0 ? error_ppm : 0;
    life.fails = faults.write_error_ppm + faults.sync_error_ppm != 0;
    life.operations = 40;
    const auto point =
        random() % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after;
    const auto kind = random() % 2 == 0 ? sim::CrashKind::power_loss : sim::CrashKind::kill;
    if (!last) world.node.crash_at(point, 1 + random() % 60, kind);
    world.run([&](Env& env) { return life.run(env); });
    world.node.forget_planned_crash();
  }
  expect_no_problems(model, "seed " + std::to_string(seed), world);
  return model.not_done;
}

TEST(PageFaults, CrashesAloneLoseNothing) {
  for (uint64_t seed = 1; seed <= sim::thinned(100) && !HasFailure(); ++seed) (void)run_seed(seed, 0);
}

TEST(PageFaults, FailedWritesAndSyncsWithCrashesLoseNothing) {
  uint64_t not_done = 0;
  for (uint64_t seed = 1; seed <= sim::thinned(100) && !HasFailure(); ++seed)
    not_done += run_seed(seed, 20'000);
  EXPECT_GT(not_done, 10u);
}

// A life that changes pages and loses its power, and starts after it, of which the first fails.
struct Starts {
  Starts(uint64_t world_seed, uint64_t seed) : world(world_seed), random(seed) {}

  void live(int operations, bool fails) {
    life.operations = operations;
    life.fails = fails;
    life.power_loss = operations != 0;
    world.run([&](Env& env) { return life.run(env); });
    ++life.epoch;
  }
  // Whether the start came to the change that fails.
  bool fail_one(const FailedChange& change) {
    live(40, false);
    world.node.fail_at(change.kind, change.n, change.how);
    live(0, true);
    const bool reached = world.node.failed_as_planned();
    world.node.forget_planned_failure();
    return reached;
  }
  // Another life, then one that must find everything; `rots`: one bit of the file, between the two.
  void check(const std::string& where, const char* rots = nullptr) {
    life.checkpoint_percent = 0;
    live(20, false);
    if (rots != nullptr) world.node.disk().find(rots)->flip_bit(24, 3);
    live(0, false);
    expect_no_problems(model, where, world);
  }

  World world;
  PageModel model;
  std::mt19937_64 random;
  Life life{.world = world, .model = model, .random = random};
};

// A start fails at its n-th change, and the power goes in the next one, behind its m-th. What the first one
// left may have been read by the second, and is gone for the third.
bool fail_two_starts(const FailedChange& change, uint64_t last, uint64_t seed) {
  Starts starts(seed * 10'000 + change.n * 100 + last, seed);
  const bool failed = starts.fail_one(change);
  starts.world.node.crash_at(sim::SimNode::CrashPoint::io_after, last, sim::CrashKind::power_loss);
  starts.live(0, true);
  const bool reached = starts.world.node.crashed();
  starts.world.node.forget_planned_crash();
  starts.check(change.name() + ", then power loss " + std::to_string(last));
  return failed && reached;
}

// How many pairs of starts.
uint64_t fail_all_two_starts(IoKind kind, FailedChange::How how, uint64_t seeds) {
  uint64_t count = 0;
  for (uint64_t seed = 1; seed <= sim::thinned(seeds) && !testing::Test::HasFailure(); ++seed) {
    FailedChange change{.kind = kind, .how = how};
    for (bool any = true; any; ++change.n) {
      any = false;
      for (uint64_t last = 1; fail_two_starts(change, last, seed); ++last, ++count) any = true;
    }
  }
  return count;
}

TEST(PageFaults, AFailedStartAndAPowerLossInTheNextOneLoseNothing) {
  uint64_t count = fail_all_two_starts(IoKind::write, FailedChange::How::readable, 60);
  for (const auto how : {FailedChange::How::not_made, FailedChange::How::made})
    for (const IoKind kind : {IoKind::write, IoKind::sync}) count += fail_all_two_starts(kind, how, 2);
  GTEST_LOG_(INFO) << count << " pairs of starts";
  EXPECT_GT(count, sim::thinned(1000));
}

// A start fails at its n-th write, which can be read and is not durable; the next one serves, and loses
// power. Then one copy of a log's header rots: the other one has to be there.
bool lose_a_header(uint64_t n, uint64_t seed, const char* log) {
  Starts starts(seed * 1000 + n, seed);
  starts.life.checkpoint_percent = 0;
  const bool reached = starts.fail_one({.kind = IoKind::write, .n = n, .how = FailedChange::How::readable});
  starts.check("write " + std::to_string(n) + ", then rot in " + log, log);
  return reached;
}

TEST(PageFaults, ALogsHeaderIsDurableInBothCopiesBeforeItIsUsed) {
  uint64_t count = 0;
  for (uint64_t seed = 1; seed <= sim::thinned(20) && !HasFailure(); ++seed) {
    for (const char* log : {"/p/log-0", "/p/log-1"})
      for (uint64_t n = 1; lose_a_header(n, seed, log); ++n) ++count;
  }
  EXPECT_GT(count, sim::thinned(100));
}

// A sync of the slots' file fails for the grower, and takes what a writer wrote with it.
TEST(PageFaults, AFailedSyncOfAnotherThatIsNotHeededIsNoticed) {
  expect_noticed(Safeguard::heed_syncs_of_others, kSeedsToNotice, [](uint64_t seed) {
    (void)fail_and_check({.kind = IoKind::sync, .n = 1 + seed % 40, .power_loss = true}, seed);
  });
}

TEST(PageFaults, AHeadThatIsBelievedUnwrittenIsNoticed) {
  expect_noticed(Safeguard::rewrite_table_head, kSeedsToNotice,
                 [](uint64_t seed) { (void)run_seed(seed, 20'000); });
}

// --- the record ---

struct Records {
  uint64_t written = 0;
  uint64_t tried = 0;
  std::set<uint64_t> not_done;  // answered so: no start may find them
};

std::string record_of(uint64_t version) {
  return std::string(1200 * (version % 70), static_cast<char>(version));
}

Task<void> record_life(World& world, Env& env, Records& records, bool fails, bool power_loss) {
  auto opened = co_await RecordFile::open(env, "/", {9});
  if (!opened) {
    if (!fails) ADD_FAILURE() << "not opened: " << opened.error().to_string();
    co_return;
  }
  RecordFile& file = **opened;
  const uint64_t found = file.newest() ? file.newest()->version : 0;
  EXPECT_GE(found, records.written);
  EXPECT_LE(found, records.tried);
  EXPECT_FALSE(records.not_done.contains(found)) << found;
  if (file.newest()) EXPECT_EQ(file.newest()->bytes, record_of(found));
  records.written = found;
  for (int i = 0; i < 12; ++i) {
    ++records.tried;
    const Result<void> done = co_await file.write(records.tried, record_of(records.tried));
    if (!done && !fails) ADD_FAILURE() << done.error().to_string();
    if (done) records.written = records.tried;
    if (!done && outcome_of(done.error()) != Outcome::unknown) records.not_done.insert(records.tried);
    // What a start would find is what it says.
    if (file.newest()) EXPECT_EQ(file.newest()->bytes, record_of(file.newest()->version));
  }
  if (power_loss) co_await lose_power(world, env);
  (void)co_await file.close();
}

// In a file that is made, or found at a start; then it is opened again and again.
TEST(RecordFaults, EveryFailedChangeLosesNothing) {
  for (const bool is_new : {true, false}) {
    const uint64_t count = for_every_failed_change(
        {IoKind::write, IoKind::sync, IoKind::allocate, IoKind::open}, [is_new](const FailedChange& change) {
          World world(change.n);
          Records records;
          const auto live = [&](bool fails, bool power_loss) {
            world.run([&](Env& env) { return record_life(world, env, records, fails, power_loss); });
          };
          if (!is_new) live(false, false);
          world.node.fail_at(change.kind, change.n, change.how);
          live(true, change.power_loss);
          const bool reached = world.node.failed_as_planned();
          world.node.forget_planned_failure();
          for (int life = 0; life < 3; ++life) live(false, life == 1);
          EXPECT_FALSE(testing::Test::HasFailure()) << change.name() << (is_new ? ", new" : "");
          return reached;
        });
    GTEST_LOG_(INFO) << count << " failed changes";
    EXPECT_GT(count, 40U);
  }
}

}  // namespace
}  // namespace fb
