// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <string_view>

// The command lines of the benchmarks, and the processor that they run on.

namespace fb::bench {

// Each is --NAME=VALUE, and taken by `take`. False where one is not understood, which is said.
inline bool take_arguments(int count, char** arguments,
                           const std::function<bool(std::string_view name, const std::string& value)>& take) {
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    const size_t equals = argument.find('=');
    if (equals != std::string_view::npos &&
        take(argument.substr(0, equals), std::string(argument.substr(equals + 1))))
      continue;
    fmt::print(stderr, "not understood: {}\n", argument);
    return false;
  }
  return true;
}

// Of a,b.
inline std::set<std::string> split_names(std::string_view list) {
  std::set<std::string> names;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    names.emplace(list.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

// The calling thread, and those that it starts. False where the processor is not one of this process.
inline bool pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

}  // namespace fb::bench
