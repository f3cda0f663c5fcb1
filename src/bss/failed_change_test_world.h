// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/safeguard.h"
#include "bss/test_world.h"
#include "io/sim/thinning.h"

// For tests that let the n-th change of the disk fail, of every kind and for every n, and then end the
// process or let it go on; and for those that expect a test to notice that a safeguard is left out.

namespace fb {

// A change that fails with EIO, whether or not it is made; then the process goes on, to its end or to a power
// loss.
struct FailedChange {
  using How = sim::SimNode::FailureEffect;
  IoKind kind = IoKind::write;
  uint64_t n = 1;
  How how = How::not_made;
  bool power_loss = false;

  std::string name() const {
    static constexpr const char* kNames[] = {"open",     "close",    "read", "write",  "writev", "sync",
                                             "allocate", "truncate", "stat", "rename", "unlink"};
    return std::string(kNames[static_cast<size_t>(kind)]) + " " + std::to_string(n) +
           (how == How::made       ? ", made"
            : how == How::readable ? ", readable"
                                   : "") +
           (power_loss ? ", then power loss" : "");
  }
};

// `run` is called for n = 1, 2, ... of each kind (thinned out under sanitizers) until it says that a life
// ended before the n-th change. How many changes that covers.
inline uint64_t for_every_failed_change(std::initializer_list<IoKind> kinds,
                                        const std::function<bool(const FailedChange&)>& run) {
  using How = FailedChange::How;
  uint64_t count = 0;
  for (const IoKind kind : kinds) {
    for (const auto how : {How::not_made, How::made, How::readable}) {
      if (how == How::readable && kind != IoKind::write) continue;
      for (const bool power_loss : {false, true}) {
        FailedChange change{.kind = kind, .n = 1, .how = how, .power_loss = power_loss};
        while (!testing::Test::HasFailure() && run(change))
          change.n += sim::kThinning, count += sim::kThinning;
      }
    }
  }
  return count;
}

// Ends the process here, as a power loss does.
inline Task<void> lose_power(World& world, Env& env) {
  world.node.crash_at(sim::SimNode::CrashPoint::resume, world.node.resumptions() + 1,
                      sim::CrashKind::power_loss);
  (void)co_await sleep_for(env, Duration::seconds(1));
}

// Whether `run` fails for one of the seeds from 1 to `seeds` while the safeguard is left out; without
// counting that as a failure of the test.
inline void expect_noticed(Safeguard safeguard, uint64_t seeds,
                           const std::function<void(uint64_t seed)>& run) {
  if (!kSafeguardsSwitchable) GTEST_SKIP() << "this build has the safeguards built in";
  const SafeguardLeftOut left_out(safeguard);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    testing::TestPartResultArray failures;
    {
      const testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures);
      run(seed);
    }
    if (failures.size() == 0) continue;
    GTEST_LOG_(INFO) << "noticed with seed " << seed << ": " << failures.GetTestPartResult(0).summary();
    return;
  }
  FAIL() << name_of(safeguard) << " left out was not noticed within " << seeds << " seeds";
}

}  // namespace fb
