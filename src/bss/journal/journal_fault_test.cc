// SPDX-License-Identifier: Apache-2.0
// The journal under failed operations and crashes together: whatever fails, what was acknowledged and not
// trimmed is there, and a start on a disk that works opens the journal.
#include <random>

#include "bss/failed_change_test_world.h"
#include "bss/journal/journal_file.h"
#include "client/outcome.h"

namespace fb {
namespace {

constexpr uint64_t kSeedsToNotice = 200;

JournalFile::Options options() {
  return {.directory = "/j", .store_id = {9}, .segment_bytes = 64 * kKiB, .size_bytes_max = 1 * kMiB};
}

Task<Result<std::unique_ptr<JournalFile>>> open_journal(Env& env) {
  (void)co_await make_directory(env, "/j");
  FB_CO_CHECK(co_await sync_directory(env, "/"));
  co_return co_await JournalFile::open(env, options());
}

std::string payload(uint64_t sequence, size_t longest) {
  return std::to_string(sequence) + std::string(sequence * 37 % longest, 'x');
}

struct JournalModel {
  uint64_t acknowledged = 0;
  uint64_t trimmed_to = 1;  // frames before it may be gone
  size_t longest = 5'000;
  uint64_t epoch = 0;                      // sealed
  uint64_t epoch_not_sealed = UINT64_MAX;  // a seal was answered as not done
};

// Frames in their order, from no later than what was trimmed up to no less than what was acknowledged.
Task<void> expect_content(JournalFile& journal, JournalModel& model) {
  const JournalClient::Bounds bounds = journal.bounds();
  EXPECT_GT(bounds.next_sequence, model.acknowledged);
  EXPECT_LE(bounds.first_sequence, model.trimmed_to);
  EXPECT_GE(bounds.epoch, model.epoch);
  EXPECT_LT(bounds.epoch, model.epoch_not_sealed);
  for (uint64_t next = bounds.first_sequence; next < bounds.next_sequence;) {
    const auto frames = co_await journal.read({}, next);
    CO_CHECK_OK(frames);
    CO_CHECK(!frames->empty());
    for (const auto& frame : *frames) {
      CO_CHECK(frame.sequence == next);
      CO_CHECK(frame.payload == payload(next, model.longest));
      ++next;
    }
  }
  model.acknowledged = bounds.next_sequence - 1;  // what was seen is not taken back
}

// One of several that append at the same time. Ends with the first failure.
Task<void> append_some(Env* env, JournalFile* journal, JournalModel* model, uint64_t delay, int count) {
  for (int i = 0; i < count; ++i) {
    (void)co_await sleep_for(*env, Duration::microseconds(static_cast<int64_t>(delay * (i + 1) % 90)));
    while (!journal->has_room(model->longest + 32)) {
      if (!co_await journal->wait_for_room({}, model->longest + 32)) co_return;
    }
    const uint64_t sequence = journal->enqueue(payload(journal->last_sequence() + 1, model->longest));
    const Result<void> durable = co_await journal->durable(sequence);
    if (!durable) EXPECT_EQ(outcome_of(durable.error()), Outcome::unknown) << durable.error().to_string();
    if (!durable) co_return;
    model->acknowledged = std::max(model->acknowledged, sequence);
  }
}

Task<void> append_and_trim(Env& env, JournalFile& journal, JournalModel& model, int turns) {
  for (int turn = 0; turn < turns; ++turn) {
    {
      Scope scope(env);
      for (uint64_t i = 0; i < 5; ++i) scope.spawn(&append_some, &env, &journal, &model, 13 + 37 * i, 3);
      co_await scope.join();
    }
    const uint64_t wanted = model.acknowledged > 12 ? model.acknowledged - 12 : 1;
    model.trimmed_to = std::max(model.trimmed_to, wanted);
    (void)co_await journal.trim({}, wanted);
  }
}

enum class Disk : uint8_t { works, fails };

Task<void> live(World& world, Env& env, JournalModel& model, Disk disk, int turns, bool power_loss) {
  auto journal = co_await open_journal(env);
  if (!journal) {
    if (disk == Disk::works) ADD_FAILURE() << "not opened: " << journal.error().to_string();
    if (power_loss) co_await lose_power(world, env);
    co_return;
  }
  co_await expect_content(**journal, model);
  const uint64_t epoch = (*journal)->bounds().epoch + 1;
  model.epoch_not_sealed = UINT64_MAX;
  const Result<void> sealed = co_await (*journal)->seal({}, epoch);
  if (sealed) model.epoch = epoch;
  if (!sealed && outcome_of(sealed.error()) != Outcome::unknown) model.epoch_not_sealed = epoch;
  if (!sealed && outcome_of(sealed.error()) == Outcome::unknown) {
    const Result<void> again = co_await (*journal)->seal({}, epoch);
    EXPECT_TRUE(again || outcome_of(again.error()) == Outcome::unknown) << again.error().to_string();
  }
  if (sealed) co_await append_and_trim(env, **journal, model, turns);
  if (power_loss) co_await lose_power(world, env);
  const Result<void> closed = co_await (*journal)->close();
  if (disk == Disk::works) EXPECT_TRUE(closed.has_value());
}

bool fail_and_check(const FailedChange& change) {
  World world(change.n);
  JournalModel model;
  world.node.fail_at(change.kind, change.n, change.how);
  world.run([&](Env& env) { return live(world, env, model, Disk::fails, 14, change.power_loss); });
  const bool reached = world.node.failed_as_planned();
  world.node.forget_planned_failure();
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 6, false); });
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 0, false); });
  EXPECT_FALSE(testing::Test::HasFailure()) << change.name() << "\n" << world.log();
  return reached;
}

TEST(JournalFaults, EveryFailedChangeLosesNothing) {
  const uint64_t count = for_every_failed_change(
      {IoKind::write, IoKind::sync, IoKind::rename, IoKind::unlink, IoKind::open}, &fail_and_check);
  GTEST_LOG_(INFO) << count << " failed changes";
  EXPECT_GT(count, 200U);
}

TEST(JournalFaults, ATrimThatDropsItsSegmentTooEarlyIsNoticed) {
  expect_noticed(Safeguard::trimmed_segment_stays_first, kSeedsToNotice, [](uint64_t seed) {
    fail_and_check({.kind = seed % 2 == 0 ? IoKind::rename : IoKind::sync, .n = seed / 2 + 1});
  });
}

// Lives that crash by the seed, on a disk on which writes and syncs fail by the seed, then one on a disk that
// works. Small frames, and so many groups in flight that the first ones of a segment come in any order.
void run_seed(uint64_t seed, uint32_t error_ppm) {
  World world(seed);
  std::mt19937_64 random(seed);
  JournalModel model{.longest = seed % 2 == 0 ? size_t{100} : size_t{5'000}};
  sim::DiskFaults& faults = world.node.disk().faults();
  for (int life = 0; life < 8; ++life) {
    const bool fails = life < 7 && error_ppm != 0;
    faults.write_error_ppm = fails && random() % 2 == 0 ? error_ppm : 0;
    faults.sync_error_ppm = fails && random() % 2 == 0 ? error_ppm : 0;
    faults.roles = 1U << static_cast<unsigned>(FileRole::journal);
    const auto point =
        random() % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after;
    const auto kind = random() % 2 == 0 ? sim::CrashKind::power_loss : sim::CrashKind::kill;
    // Short lives, in which nothing but the epoch is written, and longer ones.
    const bool is_short = random() % 3 == 0;
    if (life < 7 && !is_short) world.node.crash_at(point, 1 + random() % 60, kind);
    const bool failing = faults.write_error_ppm + faults.sync_error_ppm != 0;
    world.run([&](Env& env) {
      return live(world, env, model, failing ? Disk::fails : Disk::works, is_short ? 0 : 30, false);
    });
    world.node.forget_planned_crash();
  }
  EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
}

TEST(JournalFaults, CrashesAloneNeverKeepItClosed) {
  for (uint64_t seed = 1; seed <= sim::thinned(150) && !HasFailure(); ++seed) run_seed(seed, 0);
}

TEST(JournalFaults, FailedWritesAndSyncsWithCrashesLoseNothing) {
  for (uint64_t seed = 1; seed <= sim::thinned(150) && !HasFailure(); ++seed) run_seed(seed, 40'000);
}

// What a crash leaves of the first groups of a segment that nothing had been written to before.
void stale_groups_ahead(uint64_t seed) {
  World world(seed);
  JournalModel model{.longest = seed % 2 == 0 ? size_t{100} : size_t{5'000}};
  const auto point = seed % 4 < 2 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after;
  world.node.crash_at(point, 5 + seed * 7 % 300, sim::CrashKind::power_loss);
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 60, false); });
  // A start and an end in order, twice.
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 0, false); });
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 30, false); });
  world.run([&](Env& env) { return live(world, env, model, Disk::works, 0, false); });
  EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
}

TEST(JournalFaults, StaleGroupsOfTheSegmentAheadDoNotKeepItClosed) {
  for (uint64_t seed = 1; seed <= sim::thinned(200) && !HasFailure(); ++seed) stale_groups_ahead(seed);
}

TEST(JournalFaults, StaleGroupsThatAreNotWipedAreNoticed) {
  expect_noticed(Safeguard::wipe_ahead_segment, kSeedsToNotice, &stale_groups_ahead);
}

TEST(JournalFaults, AFailedSyncThatIsBelievedTheSecondTimeIsNoticed) {
  expect_noticed(Safeguard::rewrite_unproven_groups, kSeedsToNotice,
                 [](uint64_t seed) { run_seed(seed, 300'000); });
}

}  // namespace
}  // namespace fb
