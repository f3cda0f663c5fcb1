// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/process.h"

namespace fb {
namespace {

constexpr size_t kNameColumns = 34;

}  // namespace

void CommandOptions::positional(std::string_view name, std::string& value, std::string_view help) {
  app_.add_option(std::string(name), value, std::string(help))->required();
}

CommandOptions::Option& CommandOptions::text(std::string_view names, std::string& value,
                                             std::string_view value_name, std::string_view help) {
  return *app_.add_option(std::string(names), value, std::string(help))->type_name(std::string(value_name));
}

CommandOptions::Option& CommandOptions::bytes(std::string_view names, uint64_t& value,
                                              std::string_view help) {
  return *app_.add_option(std::string(names), value, std::string(help))
              ->transform(CLI::AsSizeValue(false))
              ->type_name("BYTES");
}

void CommandOptions::flag(std::string_view names, bool& value, std::string_view help) {
  app_.add_flag(std::string(names), value, std::string(help));
}

CommandOptions::Option& CommandOptions::repeated(std::string_view names, std::vector<std::string>& values,
                                                 bool all, std::string_view value_name,
                                                 std::string_view help) {
  if (value_name.empty())
    return *app_.add_flag_function(std::string(names), [](std::int64_t) {}, std::string(help));
  CLI::Option* option =
      app_.add_option(std::string(names), values, std::string(help))->type_name(std::string(value_name));
  option->allow_extra_args(false);
  if (!all) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return *option;
}

void CommandOptions::require(Option& option) { option.required(); }
void CommandOptions::exclude(Option& one, Option& other) { one.excludes(&other); }
void CommandOptions::need(Option& one, Option& other) { one.needs(&other); }
bool CommandOptions::given(const Option& option) { return option.count() != 0; }

CommandLine::CommandLine(std::string_view about, std::string_view version)
    : app_(std::make_unique<CLI::App>(std::string(about), "fractalbits")) {
  app_->set_version_flag("--version", std::string(version));
  app_->require_subcommand(1);
  app_->get_formatter()->column_width(kNameColumns);
}

CommandLine::~CommandLine() = default;

CommandOptions CommandLine::add(std::string_view name, std::string_view about, std::string_view more,
                                std::function<int()> run) {
  CLI::App* command = app_->add_subcommand(std::string(name), std::string(about));
  command->footer(std::string(more));
  commands_.emplace_back(name, std::move(run));
  return CommandOptions(*command);
}

std::string CommandLine::named() const {
  for (const auto& [name, run] : commands_) {
    if (app_->got_subcommand(name)) return name;
  }
  return {};
}

int CommandLine::run(int argc, char** argv) {
  if (argc <= 1) {
    print_error(app_->help());
    return kExitUsage;
  }
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_->exit(error);  // --help, --version
    const std::string command = named();
    return complain(fmt::format("{}\nRun `fractalbits{} --help` to see what is possible.", error.what(),
                                command.empty() ? command : " " + command),
                    kExitUsage);
  }
  for (const auto& [name, run] : commands_) {
    if (name == named()) return run();
  }
  return kExitUsage;
}

}  // namespace fb
