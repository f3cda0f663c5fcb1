// SPDX-License-Identifier: Apache-2.0
#include "io/timer_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace fb {
namespace {

struct NotedTimer : Timer {
  NotedTimer(int name_in, std::vector<int>& fired_in)
      : Timer(&NotedTimer::on_fire), name(name_in), fired(fired_in) {}
  static void on_fire(Timer& timer) {
    auto& self = static_cast<NotedTimer&>(timer);
    self.fired.push_back(self.name);
  }
  int name;
  std::vector<int>& fired;
};

TEST(TimerQueue, FiresByDeadlineAndThenByOrderOfArming) {
  std::vector<int> fired;
  TimerQueue queue;
  NotedTimer first(1, fired);
  NotedTimer second(2, fired);
  NotedTimer third(3, fired);
  EXPECT_TRUE(queue.next().is_never());
  queue.arm(first, {20});
  queue.arm(second, {10});
  queue.arm(third, {20});
  EXPECT_EQ(queue.next(), Instant{10});
  EXPECT_EQ(queue.fire({9}), 0U);
  EXPECT_EQ(queue.fire({20}), 3U);
  EXPECT_EQ(fired, (std::vector<int>{2, 1, 3}));
  EXPECT_EQ(queue.size(), 0U);
}

// Against std::multimap: random arming, stopping and firing.
TEST(TimerQueue, AgreesWithASortedMap) {
  std::mt19937_64 random(1);
  std::vector<int> fired;
  TimerQueue queue;
  std::vector<std::unique_ptr<NotedTimer>> timers;
  for (int name = 0; name < 200; ++name) timers.push_back(std::make_unique<NotedTimer>(name, fired));
  std::map<std::pair<int64_t, uint64_t>, int> model;
  std::map<int, std::pair<int64_t, uint64_t>> key_of;
  uint64_t sequence = 0;
  int64_t now = 0;
  for (int step = 0; step < 50'000; ++step) {
    NotedTimer& timer = *timers[random() % timers.size()];
    switch (random() % 4) {
      case 0:
      case 1:
        if (timer.armed()) break;
        key_of[timer.name] = {now + static_cast<int64_t>(random() % 100), sequence++};
        model[key_of[timer.name]] = timer.name;
        queue.arm(timer, {key_of[timer.name].first});
        break;
      case 2:
        if (timer.armed()) model.erase(key_of[timer.name]);
        queue.stop(timer);
        break;
      default: {
        now += static_cast<int64_t>(random() % 10);
        std::vector<int> expected;
        while (!model.empty() && model.begin()->first.first <= now) {
          expected.push_back(model.begin()->second);
          model.erase(model.begin());
        }
        fired.clear();
        EXPECT_EQ(queue.fire({now}), expected.size());
        EXPECT_EQ(fired, expected);
      }
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.next(), model.empty() ? Instant::never() : Instant{model.begin()->first.first});
  }
  for (const auto& timer : timers) queue.stop(*timer);
}

}  // namespace
}  // namespace fb
