// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>
#include <vector>

// fio beside a benchmark, in the same run.

namespace fb::bench {

// Operations, or MiB, a second.
struct FioRate {
  double iops = 0;
  double mib = 0;
};

// Runs a command that prints fio's terse format, version 3. Else why not.
inline std::expected<FioRate, std::string> run_fio(const std::string& command, bool writes) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::unexpected("fio does not start");
  std::string line;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) line.push_back(static_cast<char>(c));
  if (pclose(pipe) != 0) return std::unexpected(fmt::format("fio failed: {}\n{}", command, line));
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ';') {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  const size_t first = writes ? 46 : 5;
  if (fields.size() < first + 3) return std::unexpected("fio says nothing that is understood: " + line);
  return FioRate{.iops = std::atof(fields[first + 2].c_str()),
                 .mib = std::atof(fields[first + 1].c_str()) / 1024};
}

}  // namespace fb::bench
