// SPDX-License-Identifier: Apache-2.0
// Fibres, and simulated cores that are left in the middle of a turn.
#include "io/sim/fibre.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "io/file.h"
#include "io/scope.h"
#include "io/sim/simulation.h"

namespace fb::sim {
namespace {

constexpr Duration kMinute = Duration::minutes(1);
constexpr uint32_t kOftenPpm = 300'000;

TEST(Fibre, IsLeftAndGoneOnWith) {
  struct Shared {
    Fibre outer, inner;
    std::string story;
  } shared;
  const auto outer = [](void* argument) {
    auto& s = *static_cast<Shared*>(argument);
    s.story += "a";
    s.inner.start(
        [](void* inner_argument) {
          auto& t = *static_cast<Shared*>(inner_argument);
          t.story += "b";
          t.inner.leave();
          t.story += "e";
        },
        &s);
    s.story += "c";
    s.outer.leave();
    s.story += "f";
  };
  for (int round = 0; round < 3; ++round) {
    shared.story.clear();
    shared.outer.start(outer, &shared);
    EXPECT_FALSE(shared.outer.idle());
    shared.story += "d";
    shared.inner.go_on();  // from another stack than it was started from
    EXPECT_TRUE(shared.inner.idle());
    shared.outer.go_on();
    EXPECT_TRUE(shared.outer.idle());
    EXPECT_EQ(shared.story, "abcdef");
  }
}

// A switch keeps all values that coroutines need, floating point included.
TEST(Fibre, KeepsWhatStandsOnItsStack) {
  struct Sum {
    Fibre fibre;
    double total = 0;
  };
  Sum sums[4];
  const auto add = [](void* argument) {
    auto& sum = *static_cast<Sum*>(argument);
    double values[512];
    for (int i = 0; i < 512; ++i) {
      values[i] = i * 0.5;
      if (i % 64 == 0) sum.fibre.leave();
    }
    for (const double value : values) sum.total += value;
  };
  for (Sum& sum : sums) sum.fibre.start(add, &sum);
  while (!sums[0].fibre.idle()) {
    for (Sum& sum : sums) sum.fibre.go_on();
  }
  for (const Sum& sum : sums) EXPECT_EQ(sum.total, 511 * 512 / 4.0);
}

// A counter that two cores share and change in two steps, as no program should.
struct Careless {
  int total = 0;
  int ended = 0;
};
Task<void> count(Env& env, Careless& shared) {
  for (int i = 0; i < 50; ++i) {
    const int before = shared.total;
    env.point("count");
    shared.total = before + 1;
    co_await yield(env);
  }
  ++shared.ended;
}

int counted(uint64_t seed, uint32_t chance_ppm, unsigned cores = 2) {
  Simulation simulation(seed);
  simulation.set_switch_chance(chance_ppm);
  SimNode& node = simulation.add_node({.name = "node", .cores = cores});
  Careless shared;
  node.start([&](Env& env) { return count(env, shared); });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
  EXPECT_EQ(shared.ended, static_cast<int>(cores));
  EXPECT_EQ(simulation.switches() > 0, chance_ppm > 0 && cores > 1);
  return shared.total;
}

TEST(SimulatedCores, AreLeftAtPoints) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_LT(counted(seed, kOftenPpm), 100) << seed;
    EXPECT_EQ(counted(seed, 0), 100);
    EXPECT_EQ(counted(seed, kOftenPpm, 1), 50);
  }
}

// A lock that is held across points, and spun for.
Task<void> lock_and_count(Env& env, bool& locked, Careless& shared) {
  for (int i = 0; i < 50; ++i) {
    while (locked) env.pause();
    locked = true;
    const int before = shared.total;
    env.point("locked");
    shared.total = before + 1;
    locked = false;
    env.point("free");
    if (i % 4 == 0) co_await yield(env);
  }
  ++shared.ended;
}

TEST(SimulatedCores, SpinForOneAnother) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Simulation simulation(seed);
    simulation.set_switch_chance(kOftenPpm);
    SimNode& node = simulation.add_node({.name = "node", .cores = 4});
    Careless shared;
    bool locked = false;
    node.start([&](Env& env) { return lock_and_count(env, locked, shared); });
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute)) << node.describe_waiting();
    EXPECT_EQ(shared.total, 200);
  }
}

// A core that is in a turn begins no other one, and its clock stands still.
TEST(SimulatedCores, HaveOneTurnAtATime) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation(seed);
    simulation.set_switch_chance(kOftenPpm);
    SimNode& node = simulation.add_node({.name = "node", .cores = 3});
    std::array<bool, 3> inside{};
    int at_once_max = 0;
    const auto child = [&](Env& env) -> Task<void> {
      for (int i = 0; i < 30; ++i) {
        EXPECT_FALSE(inside[env.core()]);
        inside[env.core()] = true;
        const Instant before = env.now();
        for (int j = 0; j < 5; ++j) env.point("inside");
        EXPECT_EQ(env.now(), before);
        at_once_max = std::max(at_once_max, static_cast<int>(std::ranges::count(inside, true)));
        inside[env.core()] = false;
        if (i % 2 == 0) {
          co_await yield(env);
        } else {
          (void)co_await sleep_for(env, Duration::microseconds(1 + static_cast<int64_t>(env.random() % 5)));
        }
      }
    };
    node.start([&](Env& env) -> Task<void> {
      co_await when_all([&] { return child(env); }, [&] { return child(env); });
    });
    ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
    EXPECT_EQ(at_once_max, 3);
  }
}

// A crash meets cores in the middle of their turns: these go on to their suspension, nothing they do then has
// effect, and nothing is left behind.
TEST(SimulatedCores, EndTheirTurnsInACrash) {
  int in_turns = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Simulation simulation(seed);
    simulation.set_switch_chance(kOftenPpm);
    SimNode& node = simulation.add_node({.name = "node", .cores = 3});
    bool locked = false;
    int begun = 0;
    int ended = 0;
    node.start([&](Env& env) -> Task<void> {
      for (;;) {
        const std::string text = fmt::format("text of core {}", env.core());
        ++begun;
        while (locked) env.pause();
        locked = true;
        env.point("locked");
        locked = false;
        ++ended;
        (void)co_await replace_small_file(env, fmt::format("/file-{}", env.core()), text, 0644,
                                          FileRole::other);
      }
    });
    const CrashKind kind = seed % 2 == 0 ? CrashKind::kill : CrashKind::power_loss;
    if (seed % 3 == 0) {
      node.crash_at(SimNode::CrashPoint::point, 5 + seed, kind);
      ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, kMinute));
    } else {
      while (simulation.steps() < 50 + seed * 3 || simulation.turns_under_way() == 0) simulation.step();
      in_turns += begun > ended;
      node.crash(kind);
    }
    EXPECT_EQ(begun, ended);
    EXPECT_EQ(simulation.turns_under_way(), 0u);
    EXPECT_FALSE(node.running());
  }
  EXPECT_GT(in_turns, 10);
}

// One node crashes another one that is in the middle of its turns.
TEST(SimulatedCores, CrashAnother) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation(seed);
    simulation.set_switch_chance(kOftenPpm);
    SimNode& victim = simulation.add_node({.name = "victim", .cores = 3});
    SimNode& other = simulation.add_node({.name = "other", .cores = 2});
    Careless shared;
    victim.start([&](Env& env) -> Task<void> {
      for (;;) co_await count(env, shared);
    });
    other.start([&](Env& env) -> Task<void> {
      for (int i = 0; i < 20; ++i) {
        env.point("other");
        co_await yield(env);
      }
      if (env.core() == 0) victim.crash(CrashKind::kill);
      env.point("crashed");
    });
    ASSERT_TRUE(simulation.run_until([&] { return !other.running(); }, kMinute));
    EXPECT_TRUE(victim.crashed());
    EXPECT_FALSE(victim.running());
  }
}

}  // namespace
}  // namespace fb::sim
