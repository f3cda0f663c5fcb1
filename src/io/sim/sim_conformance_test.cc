// SPDX-License-Identifier: Apache-2.0
#include "io/env_test_suite.h"

#include <gtest/gtest.h>

#include "io/file.h"
#include "io/sim/simulation.h"

namespace fb::sim {
namespace {

// The suite that the real environments pass, under several orders of events. Its waits cost no time here.
class SimFixture final : public EnvFixture {
 public:
  explicit SimFixture(uint64_t seed) : seed_(seed) {}

  void run(unsigned cores, const BufferPool::Options& buffers,
           const std::function<Task<void>(Env&)>& main) override {
    Simulation simulation(seed_);
    SimNode& node = simulation.add_node({.name = "node", .cores = cores, .buffers = buffers});
    node.start([](Env& env) -> Task<void> {
      if (env.core() == 0) EXPECT_TRUE(co_await make_directory(env, "/test"));
    });
    EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(1)));
    simulation.network().set_name(kTestHost, addresses_);
    simulation.network().timing().lookup_min = lookup_delay_;
    simulation.network().timing().lookup_max = lookup_delay_;
    node.start(main);
    EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(60)));
  }
  std::string directory() override { return "/test"; }
  Abilities abilities() const override { return {.real = false}; }
  void set_names(Duration delay, std::vector<Endpoint> addresses) override {
    lookup_delay_ = delay;
    addresses_ = std::move(addresses);
  }

 private:
  Duration lookup_delay_;
  std::vector<Endpoint> addresses_;
  uint64_t seed_;
};

template <uint64_t kSeed>
std::unique_ptr<EnvFixture> make() {
  return std::make_unique<SimFixture>(kSeed);
}

INSTANTIATE_TEST_SUITE_P(Sim, EnvTest,
                         testing::Values(EnvFixtureMaker{"sim1", &make<1>}, EnvFixtureMaker{"sim2", &make<2>},
                                         EnvFixtureMaker{"sim3", &make<3>}),
                         env_fixture_name);

}  // namespace
}  // namespace fb::sim
