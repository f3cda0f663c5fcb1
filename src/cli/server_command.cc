// SPDX-License-Identifier: Apache-2.0
// The program's command line, and the edge of the process: terminal, environment variables, exit status.

#include "cli/server_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cli/df_command.h"
#include "cli/dump_command.h"
#include "cli/format_command.h"
#include "cli/fsck_command.h"
#include "cli/mv_command.h"
#include "cli/server.h"
#include "cli/server_settings.h"
#include "cli/tier_map_command.h"
#include "cli/version.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

constexpr std::string_view kAbout =
    "FractalBits: an S3-compatible object store for small objects at very high rates.\n"
    "Run `fractalbits server` to start one on this machine; `fractalbits server --help` explains its "
    "settings.\n`fractalbits mv` renames objects and whole directories.";

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

constexpr std::string_view kMvAbout =
    "Rename an object, or a directory with everything beneath it, in one step.";

constexpr std::string_view kMvMore =
    "Whatever the size, who lists or reads meanwhile sees all of it under the old name or all of it under "
    "the new:\n\n"
    "  fractalbits mv s3://photos/new.jpg s3://photos/2026/first.jpg\n"
    "  fractalbits mv s3://lake/jobs/17/_temporary/ s3://lake/tables/events/\n\n"
    "A directory is a name that ends with '/'; then both must. An object replaces the one that is there, "
    "unless\n--no-clobber; a directory only takes a name under which nothing lies. Names are literal: "
    "nothing in them is\ndecoded or expanded.\n\n"
    "Endpoint and credentials are found where the AWS CLI finds them: in flags, in AWS_ENDPOINT_URL, "
    "AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY, in ~/.aws/credentials and ~/.aws/config.\n\n"
    "It is safe to interrupt and to repeat. The exit status is 0 when renamed, 3 when the source is not "
    "there, 4 when the\ndestination is taken, 2 when the command line is wrong, 1 for anything else.";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

int complain(std::string_view message, int status) {
  fmt::print(stderr, "fractalbits: {}\n", message);
  return status;
}

int finish(const CommandOutcome& outcome) {
  if (outcome.status != 0) return complain(outcome.message, outcome.status);
  if (!outcome.message.empty()) fmt::print("{}\n", outcome.message);
  return 0;
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

// The values as CLI11 collected them, by setting.
struct ServerFlags {
  std::string config;
  bool print_config = false;
  std::vector<std::vector<std::string>> values;  // in the order of the table
  std::vector<CLI::Option*> options;
};

std::string help_text(const SettingInfo& info) {
  std::string text(info.help);
  if (!info.default_value.empty() && !info.value_name.empty())
    text += fmt::format(" Default: {}.", info.default_value);
  return text + fmt::format(" [{}]", info.environment);
}

void add_flags(CLI::App& server, ServerFlags& flags) {
  const auto table = server_setting_table();
  flags.values.resize(table.size());
  server.add_option("--config", flags.config, "A file with settings (TOML).")->type_name("FILE");
  server.add_flag("--print-config", flags.print_config,
                  "Write a configuration file with every setting explained, and end.");
  for (size_t i = 0; i < table.size(); ++i) {
    const SettingInfo& info = table[i];
    CLI::Option* option = nullptr;
    if (info.value_name.empty()) {
      option = server.add_flag_function(std::string(info.flag), [](std::int64_t) {}, help_text(info));
    } else {
      option = server.add_option(std::string(info.flag), flags.values[i], help_text(info))
                   ->type_name(std::string(info.value_name));
      option->allow_extra_args(false);
      if (!info.list) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    flags.options.push_back(option);
  }
}

void add_mv(CLI::App& app, MvOptions& options) {
  CLI::App* mv = app.add_subcommand("mv", std::string(kMvAbout));
  mv->footer(std::string(kMvMore));
  mv->add_option("SOURCE", options.source, "What to rename: s3://BUCKET/KEY or s3://BUCKET/DIRECTORY/.")
      ->required();
  mv->add_option("DESTINATION", options.destination, "Its new name, in the same bucket.")->required();
  mv->add_flag("-n,--no-clobber", options.no_clobber,
               "Do not replace an object that is there: end with status 4.");
  mv->add_flag("-q,--quiet", options.quiet, "Say nothing when it is done.");
  mv->add_option("--endpoint-url", options.aws.endpoint_url,
                 "Where S3 is. Default: http://127.0.0.1:8080, where `fractalbits server` listens. "
                 "[AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]")
      ->type_name("URL");
  mv->add_option("--profile", options.aws.profile,
                 "The profile of ~/.aws/credentials and ~/.aws/config to use. [AWS_PROFILE]")
      ->type_name("NAME");
  mv->add_option("--region", options.aws.region,
                 "What the signature is made for. Default: us-east-1. [AWS_REGION, AWS_DEFAULT_REGION]")
      ->type_name("NAME");
  mv->add_option("--ca-bundle", options.aws.ca_bundle,
                 "The authorities to trust, in PEM. Default: the system's. [AWS_CA_BUNDLE]")
      ->type_name("FILE");
}

constexpr std::string_view kFsckAbout =
    "Check a store: every page of the namespace, what is counted, and that the content of every object is "
    "there.\n\n"
    "  fractalbits fsck --data-dir ./fractalbits-data          of a server that is stopped\n"
    "  fractalbits fsck --mgmt-url http://127.0.0.1:18080      of one that runs, beside its traffic\n\n"
    "A stopped store is opened as a start would open it, which redoes what its journal holds; nothing else "
    "is "
    "changed. A running\n"
    "one is asked with the root key, found where the AWS CLI finds credentials.";
constexpr std::string_view kFsckMore =
    "Exit status: 0 nothing is wrong, 1 the check could not be made, 2 wrong usage, 4 something is damaged.";

void add_fsck(CLI::App& app, FsckOptions& options) {
  CLI::App* fsck = app.add_subcommand("fsck", std::string(kFsckAbout));
  fsck->footer(std::string(kFsckMore));
  options.data_dir = "./fractalbits-data";
  options.memory_bytes = kGiB;
  CLI::Option* directory = fsck->add_option("--data-dir", options.data_dir,
                                            "The server's data directory. Default: ./fractalbits-data.")
                               ->type_name("DIR");
  CLI::Option* device =
      fsck->add_option("--device", options.device, "The device that the store is on, if it is on one.")
          ->type_name("PATH");
  fsck->add_option("--mgmt-url", options.mgmt_url, "The management port of a server that runs.")
      ->type_name("URL")
      ->excludes(directory)
      ->excludes(device);
  fsck->add_option("--memory", options.memory_bytes, "Memory for pages, of a stopped store. Default: 1GiB.")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("BYTES");
  fsck->add_option("--profile", options.aws.profile,
                   "The profile of ~/.aws/credentials with the root key. [AWS_PROFILE]")
      ->type_name("NAME");
}

void add_df(CLI::App& app, DfOptions& options) {
  CLI::App* df = app.add_subcommand(
      "df",
      "Show where the bytes of a store are: live, garbage, free, reserved; pages and journal of the "
      "namespace.\n\n"
      "  fractalbits df                                          of the server that runs on this machine\n"
      "  fractalbits df --mgmt-url http://127.0.0.1:18080        of one that runs there\n"
      "  fractalbits df --data-dir ./fractalbits-data            of one that is stopped\n\n"
      "A stopped store is opened as a start would open it, which redoes what its journal holds.");
  df->footer(
      "The names in the JSON are those of the metrics, without `fractalbits_`.\n"
      "Exit status: 0 shown, 1 it could not be found out, 2 wrong usage.");
  CLI::Option* directory =
      df->add_option("--data-dir", options.data_dir, "The data directory of a server that is stopped.")
          ->type_name("DIR");
  df->add_option("--device", options.device, "The device that the store is on, if it is on one.")
      ->type_name("PATH")
      ->needs(directory);
  df->add_option("--mgmt-url", options.mgmt_url,
                 "The management port of a server that runs. Default: http://127.0.0.1:18080.")
      ->type_name("URL")
      ->excludes(directory);
  df->add_flag("--json", options.json, "One object, in bytes and counts.");
}

struct DumpOptions {
  std::string file;
  std::string device;
};

void add_dump(CLI::App& app, DumpOptions& options) {
  CLI::App* dump =
      app.add_subcommand("dump-segment",
                         "Show what a segment of the blob store says: headers, batches, entries, and what is "
                         "not intact. It is only "
                         "read, and may be damaged.\n\n"
                         "  fractalbits dump-segment ./fractalbits-data/blobs/shard-0003/segment-00000000\n"
                         "  fractalbits dump-segment --device /dev/sdb blobs/shard-0003/segment-00000000");
  dump->footer(
      "Exit status: 0 all is intact, 1 it could not be read, 2 wrong usage, 4 something is damaged.");
  dump->add_option("FILE", options.file, "A file segment-* of a data directory, or of the device.")
      ->required();
  dump->add_option("--device", options.device, "The device that the file is on, if it is on one.")
      ->type_name("PATH");
}

void add_tier_map(CLI::App& app, TierMapOptions& options) {
  CLI::App* map = app.add_subcommand(
      "tier-map",
      "Say where in the cloud bucket the content of large objects is: a line of JSON for each of them, with "
      "its "
      "pieces in order.\n\n"
      "  fractalbits tier-map --data-dir ./fractalbits-data       of a server that is stopped\n\n"
      "The store is opened as a start would open it, which redoes what its journal holds.");
  map->footer("Exit status: 0 shown, 1 it could not be read, 2 wrong usage.");
  options.data_dir = "./fractalbits-data";
  map->add_option("--data-dir", options.data_dir, "The server's data directory. Default: ./fractalbits-data.")
      ->type_name("DIR");
  map->add_option("--device", options.device, "The device that holds the store, if one does.")
      ->type_name("PATH");
  map->add_option("--tier-prefix", options.prefix, "As the server has it.")->type_name("TEXT");
}

int run_dump(const DumpOptions& options) {
  const CommandOutcome outcome =
      run_dump_segment(options.file, options.device, [](std::string_view line) { fmt::print("{}\n", line); });
  if (outcome.status != kExitDamaged) return finish(outcome);
  fmt::print("{}\n", outcome.message);
  return outcome.status;
}

void add_format(CLI::App& app, FormatOptions& options) {
  CLI::App* format = app.add_subcommand(
      "format",
      "Make a block device, or a file, ready to hold a store. Nothing is done to one on which anything is "
      "found, or that is mounted or in use.\n\n"
      "  fractalbits format --device /dev/nvme1n1\n"
      "  fractalbits server --device /dev/nvme1n1\n\n"
      "  fractalbits format --device ./store.fractalbits --size 100GiB      a file, made now");
  format->footer("Exit status: 0 it is ready, 1 it was refused or failed, 2 wrong usage.");
  format->add_option("--device", options.device, "The block device or file.")->type_name("PATH")->required();
  format->add_option("--size", options.size_bytes, "Of a file to be made.")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("BYTES");
  format->add_flag("--force", options.force,
                   "Destroy what is on it. One that is mounted, or in use, is refused all the same.");
  format->add_flag(
      "--zero", options.zero,
      "Write zeros over all of a block device, too. Of a file that is always done: a file system is "
      "slow with blocks that were never written.");
  format->add_flag("--no-zero", options.no_zero, "Not of a file either.");
}

// A bar where a person is looking, nothing else.
FormatProgress format_progress() {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [shown = -1](uint64_t done, uint64_t total) mutable {
    constexpr int kWidth = 40;
    const int percent = total == 0 ? 100 : static_cast<int>(done * 100 / total);
    if (percent == shown) return;
    shown = percent;
    const auto filled = static_cast<size_t>(percent * kWidth / 100);
    fmt::print(stderr, "\r  [{}{}] {:3} %  {:.1f} of {:.1f} GiB", std::string(filled, '#'),
               std::string(kWidth - filled, '.'), percent, static_cast<double>(done) / kGiB,
               static_cast<double>(total) / kGiB);
    if (done == total) fmt::print(stderr, "\n");
  };
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
    if (flags.options[i]->count() == 0) continue;
    const std::string value =
        table[i].value_name.empty() ? "true" : fmt::format("{}", fmt::join(flags.values[i], ","));
    if (auto set = settings.set(table[i].name, value, table[i].flag); !set)
      return std::unexpected(set.error());
  }
  return resolve_server_settings(settings, environment);
}

// Shown on standard output once requests are served. The secret is shown only when it was made just now and a
// person is looking.
void announce(const ServerReady& ready) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
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
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int run_server(const ServerFlags& flags) {
  if (flags.print_config) {
    fmt::print("{}", Settings::sample_file(server_setting_table()));
    return 0;
  }
  const auto settings = collect(flags);
  if (!settings) return complain(settings.error(), kExitUsage);
  const auto served = serve(*settings, announce);
  if (!served) return complain(served.error(), kExitFailed);
  return 0;
}

}  // namespace

int run_program(int argc, char** argv) {
  CLI::App app{std::string(kAbout), "fractalbits"};
  app.set_version_flag("--version", fmt::format("fractalbits {}", kVersion));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  CLI::App* server = app.add_subcommand("server", std::string(kServerAbout));
  ServerFlags flags;
  add_flags(*server, flags);
  MvOptions mv;
  add_mv(app, mv);
  FsckOptions fsck;
  add_fsck(app, fsck);
  DfOptions df;
  add_df(app, df);
  DumpOptions dump;
  add_dump(app, dump);
  FormatOptions format;
  add_format(app, format);
  TierMapOptions map;
  add_tier_map(app, map);
  if (argc <= 1) {
    fmt::print(stderr, "{}", app.help());
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return complain(fmt::format("{}\nRun `fractalbits{} --help` to see what is possible.", error.what(),
                                app.got_subcommand(server)           ? " server"
                                : app.got_subcommand("mv")           ? " mv"
                                : app.got_subcommand("fsck")         ? " fsck"
                                : app.got_subcommand("df")           ? " df"
                                : app.got_subcommand("dump-segment") ? " dump-segment"
                                : app.got_subcommand("format")       ? " format"
                                : app.got_subcommand("tier-map")     ? " tier-map"
                                                                     : ""),
                    kExitUsage);
  }
  if (app.got_subcommand(server)) return run_server(flags);
  if (app.got_subcommand("df")) {
    if (df.data_dir.empty() && df.mgmt_url.empty()) df.mgmt_url = "http://127.0.0.1:18080";
    return finish(run_df(df));
  }
  if (app.got_subcommand("dump-segment")) return run_dump(dump);
  if (app.got_subcommand("format")) return finish(run_format(format, format_progress()));
  if (app.got_subcommand("tier-map"))
    return finish(run_tier_map(map, [](std::string_view line) { fmt::print("{}\n", line); }));
  if (app.got_subcommand("fsck")) {
    const CommandOutcome outcome = run_fsck(fsck, environment);
    // What is damaged is the answer that was asked for.
    if (outcome.status == kExitDamaged) {
      fmt::print("{}\n", outcome.message);
      return outcome.status;
    }
    return finish(outcome);
  }
  return finish(run_mv(mv, environment));
}

}  // namespace fb
