// SPDX-License-Identifier: Apache-2.0
// What checkpoints wait for, and that the simulator would notice if they did not: the story is told with the
// wait, where nothing may be wrong, and without it, where something must be wrong soon.
#include <gtest/gtest.h>
#include <random>

#include "base/safeguard.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr uint32_t kSwitchesPpm = 100'000;
constexpr uint64_t kGoodSeeds = 12;
constexpr uint64_t kFindsWithin = 10;  // seeds

EngineOptions least_memory() {
  EngineOptions options = small_options();
  options.memory_bytes = 0;  // the least there is
  return options;
}

// Puts and erases on the other cores, and one checkpoint after the other on the first, over kills. What was
// answered must be there, and the counts must be those of the keys.

constexpr unsigned kCores = 3;
constexpr unsigned kBoots = 8;
constexpr unsigned kClientsPerCore = 3;
constexpr unsigned kKeysPerClient = 4;

struct Checkpoints {
  explicit Checkpoints(uint64_t seed) : world(seed, kCores), random(seed), options(least_memory()) {
    world.simulation.set_switch_chance(kSwitchesPpm);
  }
  // What may be there: the last one that was answered, and the one that was under way.
  struct Value {
    std::string answered, asked;
    bool open = false;
  };
  World world;
  std::mt19937_64 random;
  FakeBlobs blobs;
  EngineOptions options;
  std::map<std::string, Value> values;
  std::string wrong;
  uint64_t last = 0;
  uint64_t resumptions = 0;  // of the first process at work
  // Of this process.
  Partition* partition = nullptr;
  unsigned working = 0;
  unsigned fronts = 0;
};

Task<void> change_keys(Env* env, Checkpoints* story, PartitionFront* front, unsigned client) {
  for (int i = 0; i < 60; ++i) {
    const std::string key = fmt::format("c{}/{}", client, env->random() % kKeysPerClient);
    Checkpoints::Value& value = story->values[key];
    value.asked = env->random() % 3 == 0 ? "" : inline_object(std::to_string(++story->last));
    value.open = true;
    Mutation mutation{.key = key, .record = value.asked};
    if (value.asked.empty()) mutation.kind = Mutation::Kind::erase;
    const auto made = co_await front->apply({}, kBucket, mutation);
    if (!made) story->wrong = made.error().to_string();
    value.answered = value.asked;
    value.open = false;
  }
}

Task<void> change_beside(Env& env, Checkpoints& story) {
  while (story.partition == nullptr) (void)co_await sleep_for(env, Duration::microseconds(100));
  auto front = co_await PartitionFront::open(env, *story.partition);
  {
    Scope scope(env);
    for (unsigned i = 0; i < kClientsPerCore; ++i)
      scope.spawn(&change_keys, &env, &story, front.get(), env.core() * 10 + i);
    co_await scope.join();
  }
  --story.working;
  while (story.working > 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
  co_await front->close();
  --story.fronts;
}

Task<void> look(Checkpoints& story, Session& session) {
  const auto report = co_await session.partition->verify();
  CO_CHECK_OK(report);
  if (!report->problems.empty()) story.wrong = report->problems.front();
  for (auto& [key, value] : story.values) {
    const auto found = co_await session.front->get({}, kBucket, Space::objects, key);
    const std::string there = found ? found->record : "";
    if (there != value.answered && !(value.open && there == value.asked))
      story.wrong = key + " is not as it was answered";
    value = {.answered = there, .asked = {}, .open = false};
  }
}

Task<void> checkpoints_at_home(Env& env, Checkpoints& story, unsigned boot) {
  Session session(env);
  CO_CHECK_OK(co_await session.open(story.blobs, story.options));
  if (boot == 0) CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
  co_await look(story, session);
  const uint64_t before = story.world.node.resumptions();
  if (boot > 0) {
    const uint64_t n = before + 1 + story.random() % std::max<uint64_t>(story.resumptions, 1);
    story.world.node.crash_at(sim::SimNode::CrashPoint::resume, n, sim::CrashKind::kill);
  }
  story.partition = session.partition;
  while (story.working > 0) {
    CO_CHECK_OK(co_await session.partition->take_checkpoint(env.random() % 2 == 0));
    co_await yield(env);
  }
  if (boot == 0) story.resumptions = story.world.node.resumptions() - before;
  while (story.fronts > 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
  CO_CHECK_OK(co_await session.close());
}

// What was wrong; empty: nothing was.
std::string tell(uint64_t seed) {
  Checkpoints story(seed);
  for (unsigned boot = 0; boot < kBoots && story.wrong.empty(); ++boot) {
    story.partition = nullptr;
    story.working = story.fronts = kCores - 1;
    story.world.run([&story, boot](Env& env) {
      return env.core() == 0 ? checkpoints_at_home(env, story, boot) : change_beside(env, story);
    });
    story.world.node.forget_planned_crash();
  }
  return story.wrong;
}

TEST(PartitionWaits, ACheckpointForSections) {
  for (uint64_t seed = 1; seed <= kGoodSeeds; ++seed) ASSERT_EQ(tell(seed), "") << "seed " << seed;
  if (!kSafeguardsSwitchable) return;
  const SafeguardLeftOut left_out(Safeguard::checkpoint_waits_for_sections);
  std::string wrong;
  uint64_t seed = 0;
  while (wrong.empty() && seed < kFindsWithin) wrong = tell(++seed);
  EXPECT_NE(wrong, "");
  GTEST_LOG_(INFO) << fmt::format("without the wait: seed {}: {}", seed, wrong);
}

}  // namespace
}  // namespace fb
