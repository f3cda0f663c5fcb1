// SPDX-License-Identifier: Apache-2.0
// Pages that leave their tree, and the store, while somebody is about to read them: who looked for one before
// is told what is there now, and not that something is lost.
#include <algorithm>

#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr unsigned kKeys = 1500;
constexpr unsigned kKept = 10;  // one in so many is never erased
constexpr uint64_t kSeeds = 12;
constexpr uint32_t kSwitchesPpm = 300'000;

std::string key_of(unsigned i) { return fmt::format("k/{:03}/{:02}", i * 7 % 500, i % 50); }

struct Race {
  explicit Race(uint64_t seed) : world(seed, 2) {
    world.simulation.set_switch_chance(kSwitchesPpm);
    options = small_options();
    options.memory_bytes = 0;  // the least there is
  }
  World world;
  FakeBlobs blobs;
  Partition::Options options;
  Partition* partition = nullptr;
  bool over = false;
  bool closed = false;
  uint64_t gets = 0;
};

Task<void> put_all(PartitionFront& front) {
  for (unsigned i = 0; i < kKeys; ++i) {
    const std::string key = key_of(i);
    const std::string record = inline_object(std::string(600, '.'));
    CO_CHECK_OK(co_await front.apply({}, kBucket, {.key = key, .record = record}));
  }
}

// Pages come and go, and those that went are erased at once.
Task<void> change(Race& race, Session& session) {
  for (unsigned first = 0; first < kKeys; first += 100) {
    std::vector<std::string> keys;
    std::vector<Mutation> erases;
    for (unsigned i = first; i < std::min(first + 100, kKeys); ++i) {
      if (i % kKept != 0) keys.push_back(key_of(i));
    }
    for (const std::string& key : keys) erases.push_back({.kind = Mutation::Kind::erase, .key = key});
    for (const auto& erased : co_await session.front->apply_each({}, kBucket, erases)) CO_CHECK_OK(erased);
    CO_CHECK_OK(co_await race.partition->take_checkpoint(true));
  }
}

Task<void> get_keys(Env* env, Race* race, PartitionFront* front) {
  while (!race->over) {
    const unsigned i = static_cast<unsigned>(env->random() % kKeys);
    const std::string key = key_of(i);
    const auto found = co_await front->get({}, kBucket, Space::objects, key);
    if (!found && (i % kKept == 0 || !found.error().is(NamespaceError::not_found)))
      ADD_FAILURE() << key << ": " << found.error().to_string();
    ++race->gets;
    co_await yield(*env);
  }
}

Task<void> run_home(Env& env, Race& race) {
  Session session(env);
  CO_CHECK_OK(co_await session.open(race.blobs, race.options));
  CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
  co_await put_all(*session.front);
  race.partition = session.partition.get();
  co_await change(race, session);
  race.over = true;
  while (!race.closed) (void)co_await sleep_for(env, Duration::milliseconds(1));
  co_await session.verify();
  EXPECT_EQ(session.partition->statistics().pages_damaged, 0U);
  CO_CHECK_OK(co_await session.close());
}

Task<void> run_beside(Env& env, Race& race) {
  while (race.partition == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
  auto front = co_await PartitionFront::open(env, *race.partition);
  {
    Scope scope(env);
    for (int i = 0; i < 4; ++i) scope.spawn(&get_keys, &env, &race, front.get());
    co_await scope.join();
  }
  co_await front->close();
  race.closed = true;
}

TEST(PartitionGone, APageThatLeftBeforeItWasReadIsNotLost) {
  uint64_t gets = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Race race(seed);
    race.world.run(
        [&race](Env& env) { return env.core() == 0 ? run_home(env, race) : run_beside(env, race); });
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << race.world.log();
    gets += race.gets;
  }
  GTEST_LOG_(INFO) << fmt::format("{} gets", gets);
}

}  // namespace
}  // namespace fb
