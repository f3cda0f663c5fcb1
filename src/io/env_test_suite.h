// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/env.h"

// One suite of Env's behaviour for all environments: the tests stand in env_*_test.cc, and each
// environment instantiates EnvTest with a fixture of its own (real ones in runtime_test.cc).

namespace fb {

// The name that set_names() is about.
inline constexpr const char* kTestHost = "host.test";

class EnvFixture {
 public:
  struct Abilities {
    bool real =
        true;  // sockets and clock of the kernel: its buffers fill, its ports are shared with other processes
  };
  virtual ~EnvFixture() = default;
  // Runs `main` on every core to its end.
  virtual void run(unsigned cores, const BufferPool::Options& buffers,
                   const std::function<Task<void>(Env&)>& main) = 0;
  // An empty folder that exists in the environment's file system, without a slash at the end.
  virtual std::string directory() = 0;
  virtual Abilities abilities() const { return {}; }
  // Sets the addresses that kTestHost has in the next run, and the time a look-up takes; none: no such name.
  virtual void set_names(Duration delay, std::vector<Endpoint> addresses) = 0;
};

// Makes a fixture; the name becomes part of the tests' names.
struct EnvFixtureMaker {
  const char* name;
  std::unique_ptr<EnvFixture> (*make)();
};

class EnvTest : public testing::TestWithParam<EnvFixtureMaker> {
 protected:
  void SetUp() override { fixture_ = GetParam().make(); }
  void run(const std::function<Task<void>(Env&)>& main) { run_cores_of(1, main); }
  void run_cores_of(unsigned cores, const std::function<Task<void>(Env&)>& main) {
    fixture_->run(cores, {.arena_bytes = kBufferSizeMax, .limit_bytes = 8 * kMiB}, main);
  }
  std::string path(const std::string& name) { return fixture_->directory() + "/" + name; }

  std::unique_ptr<EnvFixture> fixture_;
};

inline std::string env_fixture_name(const testing::TestParamInfo<EnvFixtureMaker>& info) {
  return info.param.name;
}

}  // namespace fb

// Like ASSERT_TRUE, for coroutines: ends the Task<void>.
#define CO_ASSERT(condition)                \
  if (!(condition)) {                       \
    ADD_FAILURE() << "failed: " #condition; \
    co_return;                              \
  }
// Like CO_ASSERT for a Result, printing its error.
#define CO_ASSERT_OK(result)                                         \
  if (!(result).has_value()) {                                       \
    ADD_FAILURE() << #result " is " << (result).error().to_string(); \
    co_return;                                                       \
  }
