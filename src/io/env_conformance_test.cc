// SPDX-License-Identifier: Apache-2.0
// Tests of what every environment promises about time, calls between cores, and waiting.
#include <gtest/gtest.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "io/call_on.h"
#include "io/env_test_suite.h"
#include "io/scope.h"
#include "io/stream.h"
#include "io/sync.h"

namespace fb {
namespace {

// The instantiations stand in other files; a build without one is no mistake in these tests.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EnvTest);

// ---- time

TEST_P(EnvTest, SleepsUntilTheDeadline) {
  run([](Env& env) -> Task<void> {
    const Instant before = env.now();
    EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(20)));
    EXPECT_GE(env.now() - before, Duration::milliseconds(20));
    EXPECT_LT(env.now() - before, Duration::seconds(10));
    EXPECT_GT(env.wall_clock().seconds(), 0);
  });
}

Task<void> sleep_and_note(Env& env, int64_t ms, std::vector<int64_t>& order) {
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(ms)));
  order.push_back(ms);
}

TEST_P(EnvTest, TimersEndInOrderOfTheirDeadlines) {
  run([](Env& env) -> Task<void> {
    std::vector<int64_t> order;
    Scope scope(env);
    for (const int64_t ms : {30, 10, 50, 20, 40})
      scope.spawn(&sleep_and_note, std::ref(env), ms, std::ref(order));
    co_await scope.join();
    EXPECT_EQ(order, (std::vector<int64_t>{10, 20, 30, 40, 50}));
  });
}

TEST_P(EnvTest, SleepEndsWhenCancelled) {
  run([](Env& env) -> Task<void> {
    CancelSource source;
    auto sleeper = [&]() -> Task<Result<void>> {
      co_return co_await sleep_for(env, Duration::minutes(60), &source);
    };
    auto canceller = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
      source.cancel();
    };
    const auto [slept, unused] = co_await when_all(sleeper, canceller);
    CO_ASSERT(!slept.has_value());
    EXPECT_TRUE(slept.error().is(IoError::cancelled));
    const Result<void> at_once = co_await sleep_for(env, Duration::minutes(60), &source);
    CO_ASSERT(!at_once.has_value());
    EXPECT_TRUE(at_once.error().is(IoError::cancelled));
  });
}

TEST_P(EnvTest, RandomnessDiffers) {
  run([](Env& env) -> Task<void> {
    EXPECT_NE(env.random(), env.random());
    std::array<std::byte, 32> first{};
    std::array<std::byte, 32> second{};
    env.random_bytes(first);
    env.random_bytes(second);
    EXPECT_NE(first, second);
    co_return;
  });
}

// ---- cores

TEST_P(EnvTest, CallsRunOnTheOtherCore) {
  constexpr unsigned kCalls = 2000;
  std::array<uint64_t, 2> sums{};
  run_cores_of(2, [&](Env& env) -> Task<void> {
    const unsigned other = 1 - env.core();
    for (unsigned call = 0; call < kCalls; ++call) {
      const unsigned where = co_await call_on(env, other, [&](Env& there) -> Task<unsigned> {
        sums[there.core()] += call;
        co_return there.core();
      });
      EXPECT_EQ(where, other);
      EXPECT_EQ(co_await call_on(env, env.core(), [](Env& here) -> Task<unsigned> { co_return here.core(); }),
                env.core());
    }
  });
  for (const uint64_t sum : sums) EXPECT_EQ(sum, uint64_t{kCalls} * (kCalls - 1) / 2);
}

Task<void> call_other(Env& env, unsigned core, uint64_t& counter, unsigned& answered) {
  co_await call_on(env, core, [&](Env& there) -> Task<void> {
    EXPECT_TRUE(co_await sleep_for(there, Duration::milliseconds(1)));
    ++counter;
  });
  ++answered;
}

TEST_P(EnvTest, ManyCallsAtOnceThatWaitThere) {
  constexpr unsigned kCalls = 500;
  std::array<uint64_t, 2> counters{};  // each changed on its own core only
  run_cores_of(2, [&](Env& env) -> Task<void> {
    unsigned answered = 0;
    Scope scope(env);
    for (unsigned call = 0; call < kCalls; ++call) {
      scope.spawn(&call_other, std::ref(env), 1 - env.core(), std::ref(counters[1 - env.core()]),
                  std::ref(answered));
    }
    co_await scope.join();
    EXPECT_EQ(answered, kCalls);
  });
  EXPECT_EQ(counters[0], kCalls);
  EXPECT_EQ(counters[1], kCalls);
}

// ---- waiting among coroutines

Task<void> hold(Env& env, Semaphore& semaphore, uint64_t units, unsigned& inside, unsigned& most) {
  const Semaphore::Units held = co_await semaphore.acquire(units);
  inside += static_cast<unsigned>(units);
  most = std::max(most, inside);
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
  inside -= static_cast<unsigned>(units);
}

TEST_P(EnvTest, SemaphoreBoundsWhoIsInside) {
  run([](Env& env) -> Task<void> {
    Semaphore semaphore(env, 5);
    unsigned inside = 0;
    unsigned most = 0;
    Scope scope(env);
    for (uint64_t task = 0; task < 30; ++task) {
      scope.spawn(&hold, std::ref(env), std::ref(semaphore), 1 + task % 3, std::ref(inside), std::ref(most));
    }
    co_await scope.join();
    EXPECT_LE(most, 5U);
    EXPECT_GE(most, 3U);
    EXPECT_EQ(semaphore.available(), 5U);
  });
}

Task<void> wait_and_count(Notification& notification, const bool& ready, unsigned& woken) {
  while (!ready) co_await notification.wait();
  ++woken;
}

TEST_P(EnvTest, NotificationWakesAll) {
  run([](Env& env) -> Task<void> {
    Notification notification(env);
    bool ready = false;
    unsigned woken = 0;
    Scope scope(env);
    for (int task = 0; task < 10; ++task) {
      scope.spawn(&wait_and_count, std::ref(notification), std::cref(ready), std::ref(woken));
    }
    notification.notify_one();  // nothing is ready: it waits again
    co_await yield(env);
    EXPECT_EQ(woken, 0U);
    ready = true;
    notification.notify_all();
    co_await scope.join();
    EXPECT_EQ(woken, 10U);
    EXPECT_FALSE(notification.has_waiters());
  });
}

Task<void> borrow(Env& env, size_t size, size_t& most) {
  Buffer buffer = co_await env.buffers().allocate(size);
  most = std::max(most, env.buffers().used_bytes());
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
  std::memset(buffer.data(), 1, buffer.capacity());
}

TEST_P(EnvTest, BufferPoolHoldsItsLimit) {
  run([](Env& env) -> Task<void> {
    size_t most = 0;
    Scope scope(env);
    for (size_t task = 0; task < 200; ++task) {
      scope.spawn(&borrow, std::ref(env), kBufferSizeMin << (task % 10), std::ref(most));
    }
    co_await scope.join();
    EXPECT_LE(most, env.buffers().limit_bytes());
    EXPECT_GE(most, env.buffers().limit_bytes() / 2);
    EXPECT_EQ(env.buffers().used_bytes(), 0U);
    Buffer first = env.buffers().try_allocate(kBufferSizeMax);
    EXPECT_TRUE(first);
    const Buffer second = first;
    EXPECT_TRUE(first.shared());
    first.reset();
    EXPECT_FALSE(second.shared());
    EXPECT_EQ(env.buffers().used_bytes(), kBufferSizeMax);
  });
}

TEST_P(EnvTest, YieldLetsOthersRun) {
  run([](Env& env) -> Task<void> {
    bool stop = false;
    auto spin = [&]() -> Task<void> {
      while (!stop) co_await yield(env);
    };
    auto sleeper = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
      Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
      CO_ASSERT_OK(listener);
      EXPECT_TRUE(co_await listener->close());
      stop = true;
    };
    co_await when_all(spin, sleeper);
  });
}

}  // namespace
}  // namespace fb
