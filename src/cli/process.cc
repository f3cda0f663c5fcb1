// SPDX-License-Identifier: Apache-2.0
#include "cli/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace fb {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

ConfigResult<std::string> read_config_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(fmt::format("--config: cannot read {}; is the path right?", path));
  if (file.peek(); file.bad())
    return std::unexpected(fmt::format("--config: {} cannot be read; is it a directory?", path));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_line(std::string_view line) { fmt::print("{}\n", line); }
void print_error(std::string_view text) { fmt::print(stderr, "{}", text); }
bool output_is_terminal() { return isatty(STDOUT_FILENO) != 0; }
bool errors_are_terminal() { return isatty(STDERR_FILENO) != 0; }

int complain(std::string_view message, int status) {
  print_error(fmt::format("fractalbits: {}\n", message));
  return status;
}

int finish(const CommandOutcome& outcome) {
  if (outcome.status != 0) return complain(outcome.message, outcome.status);
  if (!outcome.message.empty()) print_line(outcome.message);
  return 0;
}

int finish_check(const CommandOutcome& outcome) {
  if (outcome.status != kExitDamaged) return finish(outcome);
  print_line(outcome.message);
  return outcome.status;
}

}  // namespace fb
