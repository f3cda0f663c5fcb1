// SPDX-License-Identifier: Apache-2.0
// The blob engine when one change of the disk fails: of every kind, at every place, done all the same or not,
// with a power loss after it or not.
#include "bss/blob/test_store.h"
#include "bss/failed_change_test_world.h"

namespace fb::bss {
namespace {

struct Life {
  World& world;
  Model& model;
  std::mt19937_64& random;
  uint32_t incarnation;
  int operations;
  bool fails = false;
  bool power_loss = false;

  Task<void> run(Env& env) {
    auto store = co_await BlobStore::open(env, one_small_shard(incarnation));
    if (!store) {
      if (!fails) ADD_FAILURE() << "not opened: " << store.error().to_string();
      co_return;
    }
    BlobFront front(env, **store);
    const Result<void> opened = co_await front.open();
    if (opened) {
      co_await settle_model(front, model);
      uint64_t wrong = 0;
      co_await check_model(front, model, &wrong);
      EXPECT_EQ(front.stats().damaged + front.stats().damaged_batches, 0U);
      Workload workload{.env = env, .client = front, .model = model, .random = random, .length_max = 9000};
      workload.erase_percent = 47;
      workload.keeps_failed = true;
      co_await workload.run(operations, 6);
      EXPECT_TRUE(front.verify());
    } else if (!fails) {
      ADD_FAILURE() << "not opened: " << opened.error().to_string();
    }
    if (power_loss) co_await lose_power(world, env);
    const Result<void> closed = co_await front.close();
    if (!fails) EXPECT_TRUE(closed.has_value());
  }
};

// `step`: of the writes, which are many, only every so many-th fails.
bool fail_and_check(FailedChange change, uint64_t step, int operations) {
  change.n = 1 + (change.n - 1) * (change.kind == IoKind::write ? step : 1);
  World world(change.n);
  Model model;
  std::mt19937_64 random(change.n);
  world.node.fail_at(change.kind, change.n, change.how);
  Life life{.world = world,
            .model = model,
            .random = random,
            .incarnation = 1,
            .operations = operations,
            .fails = true,
            .power_loss = change.power_loss};
  world.run([&](Env& env) { return life.run(env); });
  const bool reached = world.node.failed_as_planned();
  world.node.forget_planned_failure();
  life.fails = life.power_loss = false;
  life.operations = operations / 4;
  for (uint32_t incarnation = 2; incarnation < 4; ++incarnation) {
    life.incarnation = incarnation;
    world.run([&](Env& env) { return life.run(env); });
    life.operations = 0;
  }
  EXPECT_FALSE(testing::Test::HasFailure()) << change.name() << "\n" << world.log();
  return reached;
}

TEST(BlobFaults, EveryFailedChangeLosesNothing) {
  const uint64_t count =
      for_every_failed_change({IoKind::write, IoKind::sync, IoKind::allocate, IoKind::rename, IoKind::open},
                              [](const FailedChange& change) { return fail_and_check(change, 29, 600); });
  GTEST_LOG_(INFO) << count << " failed changes";
  EXPECT_GT(count, 100U);
}

struct Outcomes {
  uint64_t timed_out = 0;
  uint64_t stored = 0;
};

Task<void> put_until(Env* env, BlobFront* front, Instant deadline, Outcomes* outcomes) {
  const BlobKey key{.id = front->new_blob(), .block = 0};
  const std::string bytes = payload_of(key.id.number, 500);
  const Result<void> done = co_await put_bytes(*env, *front, key, bytes, {.deadline = deadline});
  outcomes->stored += done.has_value();
  if (done) co_return;
  EXPECT_TRUE(done.error().is(BlobError::timed_out)) << done.error().to_string();
  EXPECT_GE(env->now(), deadline);
  EXPECT_LE(env->now(), deadline + Duration::milliseconds(200));
  ++outcomes->timed_out;
  // It is surely not done, and may be done now.
  EXPECT_FALSE(co_await get_bytes(*front, key, 0, 500));
  EXPECT_TRUE((co_await put_bytes(*env, *front, key, bytes)).has_value());
}

// The disk stands still: what no batch has taken is given up at its deadline, what is in one is waited for.
TEST(BlobFaults, APutThatWaitsForAStuckDiskEndsAtItsDeadline) {
  World world;
  Outcomes outcomes;
  world.run([&](Env& env) -> Task<void> {
    auto store = co_await BlobStore::open(env, one_small_shard(1));
    CO_ASSERT_OK(store);
    BlobFront front(env, **store);
    CO_ASSERT_OK(co_await front.open());
    CO_ASSERT_OK(co_await put_bytes(env, front, {.id = front.new_blob(), .block = 0}, payload_of(1, 5'000)));
    world.node.disk().faults().stall_ppm = 1'000'000;
    world.node.disk().faults().stall_max = Duration::seconds(30);
    Scope scope(env);
    for (int i = 0; i < 40; ++i) {
      scope.spawn(&put_until, &env, &front, env.now() + Duration::seconds(2), &outcomes);
      (void)co_await sleep_for(env, Duration::milliseconds(10));
    }
    co_await scope.join();
    EXPECT_GT(outcomes.timed_out, 0U);
    EXPECT_GT(outcomes.stored, 0U);
    EXPECT_EQ(outcomes.timed_out + outcomes.stored, 40U);
    EXPECT_TRUE(front.verify());
    CO_ASSERT_OK(co_await front.close());
  });
}

}  // namespace
}  // namespace fb::bss
