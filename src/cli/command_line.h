// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// The command line: one program, one sub-command a file. The library that parses it stays behind this.

namespace fb {

// The options of one sub-command. Their values are in the given variables when it runs; names are like
// `-q,--quiet`.
class CommandOptions {
 public:
  using Option = CLI::Option;
  explicit CommandOptions(CLI::App& app) : app_(app) {}

  // A required value, known by its position.
  void positional(std::string_view name, std::string& value, std::string_view help);
  Option& text(std::string_view names, std::string& value, std::string_view value_name,
               std::string_view help);
  // A size with a unit, like 100GiB.
  Option& bytes(std::string_view names, uint64_t& value, std::string_view help);
  void flag(std::string_view names, bool& value, std::string_view help);
  // May be given any number of times: all values count, or only the last one. If `value_name` is empty, the
  // option has no value.
  Option& repeated(std::string_view names, std::vector<std::string>& values, bool all,
                   std::string_view value_name, std::string_view help);

  static void require(Option& option);
  static void exclude(Option& one, Option& other);
  static void need(Option& one, Option& other);
  static bool given(const Option& option);

 private:
  CLI::App& app_;
};

class CommandLine {
 public:
  CommandLine(std::string_view about, std::string_view version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;

  // `run` is called if the command is given; it returns the exit status.
  CommandOptions add(std::string_view name, std::string_view about, std::string_view more,
                     std::function<int()> run);
  // Parses and runs; returns the exit status.
  int run(int argc, char** argv);

 private:
  std::string named() const;

  std::unique_ptr<CLI::App> app_;
  std::vector<std::pair<std::string, std::function<int()>>> commands_;
};

}  // namespace fb
