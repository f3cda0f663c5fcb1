// SPDX-License-Identifier: Apache-2.0
#include "cli/server_command.h"

#include <fmt/format.h>

#include <memory>

#include "base/version.h"
#include "cli/process.h"
#include "cli/server_settings.h"
#include "server/server.h"

namespace fb {
namespace {

constexpr std::string_view kServerAbout =
    "Serve S3 from this machine. Everything has a default, so the first run needs no settings:\n\n"
    "  fractalbits server\n"
    "  aws --endpoint-url http://127.0.0.1:8080 s3 mb s3://photos\n"
    "  aws --endpoint-url http://127.0.0.1:8080 s3 sync ./pictures s3://photos\n\n"
    "The root access key is made at the first start and kept in DIR/credentials, or taken from "
    "FRACTALBITS_ACCESS_KEY and\n"
    "FRACTALBITS_SECRET_KEY. Settings come from flags, from environment variables (named in brackets) and "
    "from a file\n"
    "(--config; `fractalbits server --print-config` writes one with comments); flags win over variables, "
    "variables over the file.\n"
    "SIGTERM stops after the requests in progress; SIGHUP loads certificate and key again.";

// The flags as given on the command line, by setting.
struct ServerFlags {
  std::string config;
  bool print_config = false;
  std::vector<std::vector<std::string>> values;  // in the order of the table
  std::vector<CommandOptions::Option*> options;
};

std::string help_text(const SettingInfo& info) {
  std::string text(info.help);
  if (!info.default_value.empty() && !info.value_name.empty())
    text += fmt::format(" Default: {}.", info.default_value);
  return text + fmt::format(" [{}]", info.environment);
}

ConfigResult<ServerSettings> collect(const ServerFlags& flags) {
  const auto table = server_setting_table();
  Settings settings(table);
  if (!flags.config.empty()) {
    auto text = read_config_file(flags.config);
    if (!text) return std::unexpected(text.error());
    if (auto loaded = settings.load_file(*text, flags.config); !loaded)
      return std::unexpected(loaded.error());
  }
  for (const SettingInfo& info : table) {
    const std::string value = environment(std::string(info.environment).c_str());
    if (value.empty()) continue;
    if (auto set = settings.set(info.name, value, info.environment); !set)
      return std::unexpected(set.error());
  }
  for (size_t i = 0; i < table.size(); ++i) {
    if (!CommandOptions::given(*flags.options[i])) continue;
    const std::string value =
        table[i].value_name.empty() ? "true" : fmt::format("{}", fmt::join(flags.values[i], ","));
    if (auto set = settings.set(table[i].name, value, table[i].flag); !set)
      return std::unexpected(set.error());
  }
  return resolve_server_settings(settings, environment);
}

// Shown on standard output once requests are served. The secret is shown only if it was made just now and
// standard output is a terminal.
void announce(const ServerReady& ready) {
  const bool terminal = output_is_terminal();
  std::string text = fmt::format("\nFractalBits {} serves S3 on {}\n\n", kVersion, ready.url);
  if (ready.credentials_path.empty()) {
    text += "  credentials   from FRACTALBITS_ACCESS_KEY and FRACTALBITS_SECRET_KEY\n";
  } else if (ready.credentials_made_now && terminal) {
    text += fmt::format("  access key    {}\n  secret key    {}   (shown this once)\n  kept in       {}\n",
                        ready.access_key, ready.secret_key.reveal(), ready.credentials_path);
  } else {
    text += fmt::format("  credentials   {}\n", ready.credentials_path);
  }
  if (!ready.device.empty()) text += fmt::format("  device        {}\n", ready.device);
  text += fmt::format("  data          {}\n  management    {}  (/health /ready /metrics)\n\nTry:\n\n",
                      ready.data_dir, ready.mgmt_url);
  if (ready.credentials_path.empty()) {
    text +=
        "  export AWS_ACCESS_KEY_ID=$FRACTALBITS_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$FRACTALBITS_SECRET_KEY\n";
  } else {
    text += fmt::format(
        "  export AWS_ACCESS_KEY_ID=$(awk '/^access_key/{{print $2}}' {0})\n"
        "  export AWS_SECRET_ACCESS_KEY=$(awk '/^secret_key/{{print $2}}' {0})\n",
        ready.credentials_path);
  }
  text += fmt::format(
      "  export AWS_DEFAULT_REGION=us-east-1\n  aws --endpoint-url {0} s3 mb s3://first\n"
      "  aws --endpoint-url {0} s3 cp /etc/hostname s3://first/\n\n",
      ready.url);
  print(text);
}

int run_server(const ServerFlags& flags) {
  if (flags.print_config) {
    print(Settings::sample_file(server_setting_table()));
    return 0;
  }
  const auto settings = collect(flags);
  if (!settings) return complain(settings.error(), kExitUsage);
  const auto served = serve(*settings, announce);
  if (!served) return complain(served.error(), kExitFailed);
  return 0;
}

}  // namespace

void add_server_command(CommandLine& line) {
  const auto flags = std::make_shared<ServerFlags>();
  CommandOptions server = line.add("server", kServerAbout, {}, [flags] { return run_server(*flags); });
  server.text("--config", flags->config, "FILE", "A file with settings (TOML).");
  server.flag("--print-config", flags->print_config,
              "Write a configuration file with every setting explained, and end.");
  const auto table = server_setting_table();
  flags->values.resize(table.size());
  for (size_t i = 0; i < table.size(); ++i) {
    const SettingInfo& info = table[i];
    flags->options.push_back(
        &server.repeated(info.flag, flags->values[i], info.list, info.value_name, help_text(info)));
  }
}

}  // namespace fb
