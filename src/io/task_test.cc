// SPDX-License-Identifier: Apache-2.0
#include "io/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "io/runtime.h"
#include "io/scope.h"
#include "io/sync.h"

namespace fb {
namespace {

// Runs a Task that never waits for anything outside.
template <class T>
RootTask run_to_end(Task<T> (*function)(), std::optional<T>& out) {
  out.emplace(co_await function());
}
template <class T>
T value_of(Task<T> (*function)()) {
  std::optional<T> out;
  RootTask root = run_to_end(function, out);
  root.start(nullptr, nullptr);
  EXPECT_TRUE(root.done());
  return std::move(*out);
}

Task<int> number() { co_return 7; }
Task<std::unique_ptr<int>> pointer() { co_return std::make_unique<int>(5); }
Task<std::string> by_reference(const std::string& text) { co_return text + "!"; }

TEST(Task, GivesItsValue) {
  EXPECT_EQ(value_of<int>([]() -> Task<int> { co_return co_await number() + 1; }), 8);
  EXPECT_EQ(*value_of<std::unique_ptr<int>>(&pointer), 5);
}

TEST(Task, ReferencesToTemporariesLiveThroughTheAwait) {
  EXPECT_EQ(
      value_of<std::string>([]() -> Task<std::string> {
        const std::string part = "a text that is too long for the small string optimisation";
        co_return co_await by_reference(part + part);
      }),
      "a text that is too long for the small string optimisationa text that is too long for the small string "
      "optimisation!");
}

TEST(Task, IsLazyAndFreedWhenNotAwaited) {
  static_assert(!std::is_move_constructible_v<Task<int>>);
  static_assert(!std::is_copy_constructible_v<Task<int>>);
  bool ran = false;
  auto start = [&]() -> Task<void> {
    ran = true;
    co_return;
  };
  {
    auto unused = start();
  }
  EXPECT_FALSE(ran);
}

TEST(Task, LongLoopsOfAwaitsKeepTheStack) {
  EXPECT_EQ(value_of<int>([]() -> Task<int> {
              int sum = 0;
              for (int index = 0; index < 1'000'000; ++index) sum = (sum + co_await number()) % 1000;
              co_return sum;
            }),
            7'000'000 % 1000);
}

TEST(WhenAll, GivesAllValuesInOrder) {
  EXPECT_TRUE(value_of<bool>([]() -> Task<bool> {
    auto [first, second, third] = co_await when_all([] { return number(); }, [] { return pointer(); },
                                                    []() -> Task<void> { co_return; });
    co_return first == 7 && *second == 5 && third == std::monostate();
  }));
}

TEST(Frames, ASteadyStateAllocatesNone) {
#if defined(FB_SANITIZE)
  GTEST_SKIP() << "sanitizer builds do not pool frames";
#endif
  value_of<int>(&number);
  const uint64_t before = frame_mallocs_on_this_thread();
  for (int round = 0; round < 1000; ++round) value_of<int>(&number);
  EXPECT_EQ(frame_mallocs_on_this_thread(), before);
}

Task<void> add_after_wait(Env& env, int value, std::string text, int& sum) {
  co_await yield(env);
  sum += value + static_cast<int>(text.size());
}

TEST(Scope, JoinsChildrenThatEndAtOnceOrLater) {
  ASSERT_TRUE(run_cores({}, [](Env& env) -> Task<void> {
                int sum = 0;
                Scope scope(env);
                co_await scope.join();  // of nothing
                for (int value = 0; value < 10; ++value) {
                  scope.spawn(&add_after_wait, std::ref(env), value, std::string("ab"), std::ref(sum));
                }
                EXPECT_EQ(scope.size(), 10U);
                co_await scope.join();
                EXPECT_EQ(scope.size(), 0U);
                EXPECT_EQ(sum, 45 + 20);
              }).has_value());
}

Task<void> take_in_turn(Env& env, Semaphore& semaphore, uint64_t units, std::string& order, char name) {
  const Semaphore::Units held = co_await semaphore.acquire(units);
  order.push_back(name);
  co_await yield(env);
}

TEST(Semaphore, IsFirstComeFirstServed) {
  ASSERT_TRUE(
      run_cores({}, [](Env& env) -> Task<void> {
        Semaphore semaphore(env, 2);
        std::string order;
        Scope scope(env);
        {
          const Semaphore::Units held = co_await semaphore.acquire(1);
          scope.spawn(&take_in_turn, std::ref(env), std::ref(semaphore), uint64_t{2}, std::ref(order), 'a');
          scope.spawn(&take_in_turn, std::ref(env), std::ref(semaphore), uint64_t{1}, std::ref(order), 'b');
          EXPECT_FALSE(semaphore.try_acquire());  // one is free, but others wait
          co_await yield(env);
          EXPECT_EQ(order, "");
        }
        co_await scope.join();
        EXPECT_EQ(order, "ab");
        EXPECT_EQ(semaphore.available(), 2U);
        AsyncMutex mutex(env);
        const auto held = co_await mutex.acquire();
      }).has_value());
}

}  // namespace
}  // namespace fb
