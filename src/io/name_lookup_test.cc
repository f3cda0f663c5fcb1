// SPDX-License-Identifier: Apache-2.0
#include "io/name_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "io/env_test_suite.h"
#include "io/error.h"
#include "io/name_lookups.h"
#include "io/scope.h"

namespace fb {
namespace {

TEST(NameLookup, AddressesAreTheirOwn) {
  EXPECT_EQ((*look_up_host("10.1.2.3", 80))[0].to_string(), "10.1.2.3:80");
  EXPECT_EQ((*look_up_host("::1", 443))[0].to_string(), "[::1]:443");
}

TEST(NameLookup, Names) {
  const auto local = look_up_host("localhost", 8080);
  ASSERT_TRUE(local) << local.error().to_string();
  for (const Endpoint& endpoint : *local) {
    EXPECT_TRUE(endpoint.is_loopback()) << endpoint.to_string();
    EXPECT_EQ(endpoint.port, 8080);
    EXPECT_EQ(std::ranges::count(*local, endpoint), 1);
  }
  // RFC 6761: no such name exists.
  const auto none = look_up_host("nowhere.invalid", 80);
  EXPECT_TRUE(!none && (none.error().is(IoError::not_found) || none.error().is(IoError::failed)));
  EXPECT_FALSE(look_up_host("", 80).has_value() && look_up_host("", 80)->empty());
}

// ---- through Env: on all environments

const std::vector<Endpoint> kAddresses = {Endpoint::ipv4(10, 1, 2, 3, 0), *Endpoint::parse("[fd00::7]:0"),
                                          Endpoint::ipv4(10, 1, 2, 4, 0)};

TEST_P(EnvTest, NamesHaveAddresses) {
  fixture_->set_names(Duration::milliseconds(1), kAddresses);
  run([](Env& env) -> Task<void> {
    const auto found = co_await resolve(env, kTestHost, 443, {.deadline = env.now() + Duration::minutes(1)});
    CO_ASSERT_OK(found);
    CO_ASSERT(found->size() == 3);
    EXPECT_EQ((*found)[0].to_string(), "10.1.2.3:443");
    EXPECT_EQ((*found)[1].to_string(), "[fd00::7]:443");
    EXPECT_EQ((*found)[2].to_string(), "10.1.2.4:443");
  });
}

TEST_P(EnvTest, AddressesInNumbersNeedNoLookUp) {
  run([](Env& env) -> Task<void> {
    // The answer comes at once, even without any time.
    const auto v4 = co_await resolve(env, "10.1.2.3", 80, {.deadline = env.now()});
    CO_ASSERT_OK(v4);
    EXPECT_EQ((*v4)[0].to_string(), "10.1.2.3:80");
    const auto v6 = co_await resolve(env, "::1", 80);
    CO_ASSERT_OK(v6);
    EXPECT_EQ((*v6)[0].to_string(), "[::1]:80");
  });
}

TEST_P(EnvTest, NamesThatDoNotExistAreNotFound) {
  fixture_->set_names(Duration::milliseconds(1), {});
  run([](Env& env) -> Task<void> {
    const auto none = co_await resolve(env, kTestHost, 80);
    EXPECT_TRUE(!none && none.error().is(IoError::not_found));
  });
}

TEST_P(EnvTest, ALookUpEndsAtItsDeadlineOrWhenCancelledAndTheCoreGoesOnMeanwhile) {
  fixture_->set_names(Duration::milliseconds(700), kAddresses);
  run([](Env& env) -> Task<void> {
    const Instant begin = env.now();
    CancelSource source;
    auto late = [&]() -> Task<Result<std::vector<Endpoint>>> {
      co_return co_await resolve(env, kTestHost, 80, {.deadline = begin + Duration::milliseconds(30)});
    };
    auto cancelled = [&]() -> Task<Result<std::vector<Endpoint>>> {
      co_return co_await resolve(env, kTestHost, 80, {.cancel = &source});
    };
    auto others = [&]() -> Task<Instant> {
      for (int turn = 0; turn < 10; ++turn) EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
      source.cancel();
      co_return env.now();
    };
    const auto [first, second, gone_on] = co_await when_all(late, cancelled, others);
    EXPECT_TRUE(!first && first.error().is(IoError::timed_out));
    EXPECT_TRUE(!second && second.error().is(IoError::cancelled));
    EXPECT_LT(gone_on - begin, Duration::milliseconds(500));
    EXPECT_LT(env.now() - begin, Duration::milliseconds(500));
    // The environment ends while both are still under way.
  });
}

Task<void> look_up_once(Env& env, Duration patience, size_t& found, size_t& timed_out) {
  const auto addresses = co_await resolve(env, kTestHost, 80, {.deadline = env.now() + patience});
  if (addresses) {
    EXPECT_EQ(addresses->size(), kAddresses.size());
    ++found;
  } else {
    EXPECT_TRUE(addresses.error().is(IoError::timed_out)) << addresses.error().to_string();
    ++timed_out;
  }
}

TEST_P(EnvTest, ManyLookUpsOfManyCoresAreAnswered) {
  fixture_->set_names(Duration::milliseconds(2), kAddresses);
  run_cores_of(2, [](Env& env) -> Task<void> {
    size_t found = 0;
    size_t timed_out = 0;
    Scope scope(env);
    for (int i = 0; i < 30; ++i)
      scope.spawn(&look_up_once, std::ref(env), Duration::minutes(1), std::ref(found), std::ref(timed_out));
    co_await scope.join();
    EXPECT_EQ(found, 30U);
  });
}

TEST_P(EnvTest, LookUpsAfterManyThatWereGivenUpAreAnswered) {
  fixture_->set_names(Duration::milliseconds(100), kAddresses);
  run([](Env& env) -> Task<void> {
    size_t found = 0;
    size_t timed_out = 0;
    Scope scope(env);
    for (int i = 0; i < 40; ++i)
      scope.spawn(&look_up_once, std::ref(env), Duration::milliseconds(10), std::ref(found),
                  std::ref(timed_out));
    scope.spawn(&look_up_once, std::ref(env), Duration::minutes(1), std::ref(found), std::ref(timed_out));
    co_await scope.join();
    EXPECT_GE(found, 1U);  // on a machine that stalls for a while, others are answered, too
    EXPECT_EQ(found + timed_out, 41U);
  });
}

// ---- the threads

TEST(NameLookups, AreBoundedAndTheirThreadsEndAfterTheirOwner) {
  struct Gate {
    std::atomic<bool> open = false;
    std::atomic<size_t> inside = 0;
    std::atomic<size_t> most = 0;
  };
  const auto gate = std::make_shared<Gate>();
  const auto wait = [](const auto& condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  auto lookups = std::make_unique<NameLookups>(
      [gate, wait](const std::string&, uint16_t) -> Result<std::vector<Endpoint>> {
        gate->most = std::max(gate->most.load(), ++gate->inside);
        wait([&] { return gate->open.load(); });
        --gate->inside;
        return kAddresses;
      });
  std::vector<std::shared_ptr<NameLookup>> begun;
  const auto begin = [&] {
    auto lookup = lookups->begin("host", 80);
    ASSERT_TRUE(lookup) << lookup.error().to_string();
    begun.push_back(*lookup);
  };
  for (size_t i = 0; i < NameLookups::kThreadsMax; ++i) begin();
  wait([&] { return gate->inside == NameLookups::kThreadsMax; });
  for (size_t i = 0; i < NameLookups::kWaitingMax; ++i) begin();
  const auto refused = lookups->begin("host", 80);
  EXPECT_TRUE(!refused && refused.error().is(IoError::limit));
  // A look-up that nobody waits for any more makes room.
  begun.back()->abandon();
  EXPECT_TRUE(lookups->begin("host", 80).has_value());
  lookups.reset();
  gate->open = true;
  for (size_t i = 0; i < NameLookups::kThreadsMax; ++i) {
    wait([&] { return begun[i]->answered(); });
    EXPECT_TRUE(begun[i]->answer().has_value());
  }
  EXPECT_EQ(gate->most, NameLookups::kThreadsMax);
  wait([&] { return gate.use_count() == 1; });  // the threads are gone, and the state they held
  EXPECT_FALSE(begun.back()->answered());
}

}  // namespace
}  // namespace fb
