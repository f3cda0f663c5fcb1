// SPDX-License-Identifier: Apache-2.0
#include "io/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/poison.h"
#include "io/runtime.h"
#include "io/scope.h"

namespace fb {
namespace {

void run(const BufferPool::Options& buffers, const std::function<Task<void>(Env&)>& main) {
  ASSERT_TRUE(run_cores({.buffers = buffers}, main).has_value());
}

bool in_arena(const BufferPool& pool, const Buffer& buffer) {
  const std::span<std::byte> arena = pool.arena();
  return buffer.data() >= arena.data() && buffer.data() < arena.data() + arena.size();
}

TEST(BufferPool, RoundsUpAndAligns) {
  run({.arena_bytes = kBufferSizeMax, .limit_bytes = 8 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    for (const auto& [size, capacity] : std::vector<std::pair<size_t, size_t>>{
             {1, 4096}, {4096, 4096}, {4097, 8192}, {100'000, 131'072}, {kBufferSizeMax, kBufferSizeMax}}) {
      const Buffer buffer = pool.try_allocate(size);
      EXPECT_TRUE(buffer);
      EXPECT_EQ(buffer.capacity(), capacity);
      EXPECT_TRUE(is_aligned(reinterpret_cast<uintptr_t>(buffer.data()), kDirectIoAlignment));
      EXPECT_TRUE(in_arena(pool, buffer));
      EXPECT_EQ(pool.used_bytes(), capacity);
    }
    EXPECT_EQ(pool.used_bytes(), 0U);
    co_return;
  });
}

TEST(BufferPool, MemoryThatIsNotOutIsPoisoned) {
  if (!kPoisoning) GTEST_SKIP() << "needs AddressSanitizer";
  run({.arena_bytes = kBufferSizeMax, .limit_bytes = 8 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    EXPECT_TRUE(is_poisoned(pool.arena().data()));
    Buffer holder = pool.try_allocate(kBufferSizeMax);  // all of the arena: the next one is from the heap
    for (const size_t size : {size_t{4096}, size_t{100'000}}) {
      Buffer buffer = pool.try_allocate(size);
      EXPECT_EQ(in_arena(pool, buffer), !holder);
      const std::byte* const data = buffer.data();
      const std::byte* const last = data + buffer.capacity() - 1;
      EXPECT_FALSE(is_poisoned(data) || is_poisoned(last));
      Buffer second = buffer;
      buffer.reset();
      EXPECT_FALSE(is_poisoned(data));
      second.reset();
      EXPECT_TRUE(is_poisoned(data) && is_poisoned(last));
      buffer = pool.try_allocate(size);
      EXPECT_EQ(buffer.data(), data);
      EXPECT_FALSE(is_poisoned(data) || is_poisoned(last));
      buffer.reset();
      holder.reset();  // and now from the arena
    }
    EXPECT_TRUE(is_poisoned(pool.arena().data()));
    co_return;
  });
}

TEST(BufferPoolDeathTest, AStaleViewIsReported) {
  if (!kPoisoning) GTEST_SKIP() << "needs AddressSanitizer";
  const auto touch_a_buffer_given_back = [](Env& env) -> Task<void> {
    const std::byte* const data = env.buffers().try_allocate(4096).data();
    const std::byte stale = data[7];
    EXPECT_EQ(stale, std::byte{0});
    co_return;
  };
  EXPECT_DEATH(run({.arena_bytes = kBufferSizeMax, .limit_bytes = 8 * kMiB}, touch_a_buffer_given_back),
               "use-after-poison");
}

TEST(BufferPool, TheArenaComesFirstAndMergesAgain) {
  run({.arena_bytes = 2 * kBufferSizeMax, .limit_bytes = 64 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    for (int round = 0; round < 3; ++round) {
      std::vector<Buffer> pages;
      for (size_t page = 0; page < 2 * kBufferSizeMax / kBufferSizeMin; ++page) {
        pages.push_back(pool.try_allocate(kBufferSizeMin));
        EXPECT_TRUE(in_arena(pool, pages.back()));
      }
      EXPECT_FALSE(in_arena(pool, pool.try_allocate(kBufferSizeMin)));
      pages.clear();
      const Buffer first = pool.try_allocate(kBufferSizeMax);
      const Buffer second = pool.try_allocate(kBufferSizeMax);
      EXPECT_TRUE(in_arena(pool, first) && in_arena(pool, second));
    }
    co_return;
  });
}

// Random sizes in and out: no two buffers overlap, and all comes back.
TEST(BufferPool, BuffersNeverOverlap) {
  run({.arena_bytes = 3 * kBufferSizeMax, .limit_bytes = 16 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    std::mt19937_64 random(3);
    struct Held {
      Buffer buffer;
      uint8_t mark;
    };
    std::vector<Held> held;
    for (int step = 0; step < 5000; ++step) {
      if (!held.empty() && random() % 2 == 0) {
        const size_t index = random() % held.size();
        const auto* bytes = reinterpret_cast<const uint8_t*>(held[index].buffer.data());
        EXPECT_EQ(bytes[0], held[index].mark);
        EXPECT_EQ(bytes[held[index].buffer.capacity() - 1], held[index].mark);
        std::swap(held[index], held.back());
        held.pop_back();
        continue;
      }
      Buffer buffer = pool.try_allocate(kBufferSizeMin << (random() % 10));
      if (!buffer) continue;
      const auto mark = static_cast<uint8_t>(random());
      std::memset(buffer.data(), mark, buffer.capacity());
      held.push_back({std::move(buffer), mark});
      EXPECT_LE(pool.used_bytes(), pool.limit_bytes());
    }
    held.clear();
    EXPECT_EQ(pool.used_bytes(), 0U);
    co_return;
  });
}

Task<void> note_turn(BufferPool& pool, size_t size, std::vector<size_t>& order) {
  const Buffer buffer = co_await pool.allocate(size);
  order.push_back(size);
}

TEST(BufferPool, WaitersComeInOrder) {
  run({.limit_bytes = 2 * kBufferSizeMax}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    std::vector<size_t> order;
    Scope scope(env);
    Buffer first = pool.try_allocate(kBufferSizeMax);
    Buffer second = pool.try_allocate(kBufferSizeMin);
    scope.spawn(&note_turn, std::ref(pool), kBufferSizeMax, std::ref(order));
    scope.spawn(&note_turn, std::ref(pool), kBufferSizeMin, std::ref(order));
    EXPECT_FALSE(pool.try_allocate(kBufferSizeMin));  // it would fit, but others came before
    co_await yield(env);
    EXPECT_TRUE(order.empty());
    second.reset();
    co_await scope.join();
    EXPECT_EQ(order, (std::vector<size_t>{kBufferSizeMax, kBufferSizeMin}));
  });
}

std::vector<Buffer> take_all(BufferPool& pool, BufferUse use, size_t size) {
  std::vector<Buffer> taken;
  while (Buffer buffer = pool.try_allocate(size, use)) taken.push_back(std::move(buffer));
  return taken;
}

TEST(BufferPool, EachUseLeavesRoomForTheOthers) {
  run({.limit_bytes = 64 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    const auto bodies = take_all(pool, BufferUse::body, kMiB);
    EXPECT_EQ(pool.used_bytes(BufferUse::body), 40 * kMiB);
    EXPECT_FALSE(pool.calm());
    const auto answers = take_all(pool, BufferUse::answer, kMiB);
    EXPECT_EQ(pool.used_bytes(BufferUse::answer), 16 * kMiB);  // 7/8 together
    const auto pieces = take_all(pool, BufferUse::request, 64 * kKiB);
    EXPECT_EQ(pool.used_bytes(), 60 * kMiB);
    const auto own = take_all(pool, BufferUse::own, kMiB);
    EXPECT_EQ(pool.used_bytes(), 64 * kMiB);
    EXPECT_EQ(own.size(), 4u);
    co_return;
  });
}

Task<void> note_use(BufferPool& pool, BufferUse use, std::vector<BufferUse>& order) {
  const Buffer buffer = co_await pool.allocate(kMiB, use);
  order.push_back(use);
}

TEST(BufferPool, WhoWaitsForALargeUseHoldsNobodyUp) {
  run({.limit_bytes = 64 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    int told = 0;
    pool.listen_for_shortage(&told, [&] { ++told; });
    auto bodies = take_all(pool, BufferUse::body, kMiB);
    std::vector<BufferUse> order;
    Scope scope(env);
    scope.spawn(&note_use, std::ref(pool), BufferUse::body, std::ref(order));
    co_await yield(env);
    EXPECT_EQ(told, 1);
    EXPECT_EQ(pool.waiting_bytes(BufferUse::body, {}), kMiB);
    EXPECT_TRUE(pool.try_allocate(kMiB, BufferUse::request));
    EXPECT_TRUE(pool.try_allocate(kMiB, BufferUse::answer));
    EXPECT_FALSE(pool.try_allocate(4 * kKiB, BufferUse::body));
    auto rest = take_all(pool, BufferUse::own, kMiB);
    scope.spawn(&note_use, std::ref(pool), BufferUse::request, std::ref(order));
    scope.spawn(&note_use, std::ref(pool), BufferUse::own, std::ref(order));
    co_await yield(env);
    EXPECT_EQ(pool.waiting(), 3u);
    rest.clear();
    bodies.clear();
    co_await scope.join();
    EXPECT_EQ(order, (std::vector{BufferUse::own, BufferUse::request, BufferUse::body}));
    pool.stop_listening(&told);
  });
}

TEST(BufferPool, AWaitWithABoundEnds) {
  run({.limit_bytes = 16 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    auto bodies = take_all(pool, BufferUse::body, kMiB);
    const Instant began = env.now();
    const Buffer none = co_await pool.allocate_within(kMiB, BufferUse::body, Duration::milliseconds(30));
    EXPECT_FALSE(none);
    EXPECT_GE((env.now() - began).milliseconds(), 29);
    EXPECT_EQ(pool.waiting(), 0u);
    EXPECT_EQ(pool.waiting_bytes(BufferUse::body, {}), 0u);
    EXPECT_EQ(pool.refused(), 1u);
    co_await when_all(
        [&]() -> Task<void> {
          const Buffer buffer = co_await pool.allocate_within(kMiB, BufferUse::body, Duration::seconds(20));
          EXPECT_TRUE(buffer);
        },
        [&]() -> Task<void> {
          bodies.pop_back();
          co_return;
        });
  });
}

Task<void> wait_in_vain_for(BufferPool& pool, BufferUse use, size_t& empty) {
  const size_t bytes = use == BufferUse::request ? 64 * kKiB : kMiB;
  const Buffer buffer = co_await pool.allocate_within(bytes, use, Duration::milliseconds(50));
  empty += buffer ? 0 : 1;
}

Task<void> wait_in_vain(BufferPool& pool, size_t& empty) {
  return wait_in_vain_for(pool, BufferUse::body, empty);
}

TEST(BufferPool, TheQueueHasABound) {
  run({.limit_bytes = 16 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    const auto bodies = take_all(pool, BufferUse::body, kMiB);
    size_t empty = 0;
    Scope scope(env);
    for (int i = 0; i < 300; ++i) scope.spawn(&wait_in_vain, std::ref(pool), std::ref(empty));
    co_await yield(env);
    EXPECT_EQ(pool.waiting(), 256u);
    EXPECT_EQ(empty, 44u);
    // The bound is per use: waiters for other uses still queue.
    const auto answers = take_all(pool, BufferUse::answer, kMiB);
    scope.spawn(&wait_in_vain_for, std::ref(pool), BufferUse::answer, std::ref(empty));
    co_await yield(env);
    EXPECT_EQ(pool.waiting(), 257u);
    co_await scope.join();
    EXPECT_EQ(empty, 301u);
  });
}

// Memory of one use helps waiters for another one only if the pool is full.
TEST(BufferPool, MemoryOfAnotherUseHelpsOnlyWhereThePoolIsFull) {
  run({.limit_bytes = 64 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    auto bodies = take_all(pool, BufferUse::body, kMiB);
    size_t empty = 0;
    Scope scope(env);
    scope.spawn(&wait_in_vain_for, std::ref(pool), BufferUse::body, std::ref(empty));
    co_await yield(env);
    EXPECT_TRUE(pool.waits(BufferUse::body));
    EXPECT_TRUE(pool.helps(BufferUse::body, BufferUse::body));
    EXPECT_FALSE(pool.helps(BufferUse::answer, BufferUse::body));  // it lacks room in its share
    auto rest = take_all(pool, BufferUse::own, 64 * kKiB);
    scope.spawn(&wait_in_vain_for, std::ref(pool), BufferUse::request, std::ref(empty));
    co_await yield(env);
    EXPECT_TRUE(pool.helps(BufferUse::body, BufferUse::request));
    EXPECT_TRUE(pool.helps(BufferUse::answer, BufferUse::request));
    EXPECT_FALSE(pool.helps(BufferUse::text, BufferUse::request));
    co_await scope.join();
    EXPECT_EQ(empty, 2u);
  });
}

Task<void> note_reservation(BufferPool& pool, size_t bytes, std::vector<size_t>& order) {
  const auto reserved = co_await pool.reserve_within(bytes, BufferUse::text, Duration::seconds(20));
  order.push_back(reserved ? bytes : 0);
}

TEST(BufferPool, ACountedUseHasAShareAndAQueue) {
  run({.limit_bytes = 64 * kMiB}, [](Env& env) -> Task<void> {
    BufferPool& pool = env.buffers();
    auto all = co_await pool.reserve_within(16 * kMiB, BufferUse::text, {});
    EXPECT_TRUE(all);
    EXPECT_EQ(pool.used_bytes(), 0u);
    EXPECT_EQ(pool.used_bytes(BufferUse::text), 16 * kMiB);
    EXPECT_FALSE(co_await pool.reserve_within(1, BufferUse::text, Duration::milliseconds(5)));
    EXPECT_FALSE(co_await pool.reserve_within(17 * kMiB, BufferUse::text, Duration::seconds(5)));
    EXPECT_TRUE(pool.try_allocate(kMiB, BufferUse::own));
    std::vector<size_t> order;
    Scope scope(env);
    scope.spawn(&note_reservation, std::ref(pool), 16 * kMiB, std::ref(order));
    scope.spawn(&note_reservation, std::ref(pool), size_t{1}, std::ref(order));
    co_await yield(env);
    EXPECT_EQ(pool.waiting_bytes(BufferUse::text, {}), 16 * kMiB + 1);
    EXPECT_EQ(pool.waiting_bytes(BufferUse::text, Duration::seconds(1)), 0u);
    all.reset();
    co_await scope.join();
    EXPECT_EQ(order, (std::vector<size_t>{16 * kMiB, 1}));
    EXPECT_EQ(pool.used_bytes(BufferUse::text), 0u);
  });
}

}  // namespace
}  // namespace fb
