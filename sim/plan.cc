// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <bit>

#include "io/sim/random.h"

namespace fb::sim {
namespace {

constexpr uint64_t kPlanStream = 0x71a;
// How many of 16 combined plans have it: the slow ones are rarer.
constexpr std::array<uint8_t, kFaultClassCount> kSixteenths = {8, 8, 6, 5, 6, 6, 4, 6, 1, 4};

}  // namespace

std::string_view to_string(FaultClass fault) {
  switch (fault) {
    case FaultClass::kill:
      return "kill";
    case FaultClass::power:
      return "power";
    case FaultClass::full:
      return "full";
    case FaultClass::media:
      return "media";
    case FaultClass::failing:
      return "failing";
    case FaultClass::names:
      return "names";
    case FaultClass::stall:
      return "stall";
    case FaultClass::net:
      return "net";
    case FaultClass::cloud:
      return "cloud";
    case FaultClass::sweep:
      return "sweep";
    case FaultClass::count:
      break;
  }
  return "unknown";
}

std::optional<Plan> Plan::parse(std::string_view text) {
  Plan plan;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    bool known = false;
    for (size_t i = 0; i < kFaultClassCount; ++i) {
      const auto fault = static_cast<FaultClass>(i);
      if (sim::to_string(fault) != name) continue;
      plan.add(fault);
      known = true;
    }
    if (!known) return std::nullopt;
  }
  return plan;
}

Plan Plan::combined(uint64_t seed) {
  Random random(seed, kPlanStream);
  Plan plan;
  while (std::popcount(plan.bits_) < 2) {
    plan = {};
    for (size_t i = 0; i < kFaultClassCount; ++i) {
      if (random.below(16) < kSixteenths[i]) plan.add(static_cast<FaultClass>(i));
    }
  }
  return plan;
}

Plan Plan::of_seed(uint64_t seed) {
  constexpr std::array kFirst = {kCrashPlan, kNetPlan, kMediaPlan, kCrashPlan};
  return seed % 2 == 0 ? kFirst[seed / 2 % kFirst.size()] : combined(seed);
}

std::string Plan::to_string() const {
  std::string text;
  for (size_t i = 0; i < kFaultClassCount; ++i) {
    const auto fault = static_cast<FaultClass>(i);
    if (!has(fault)) continue;
    if (!text.empty()) text += ',';
    text += sim::to_string(fault);
  }
  return text;
}

}  // namespace fb::sim
