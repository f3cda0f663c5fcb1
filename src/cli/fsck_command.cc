// SPDX-License-Identifier: Apache-2.0
#include "cli/fsck_command.h"

#include <fmt/format.h>

#include <memory>

#include "admin/fsck.h"
#include "cli/process.h"
#include "cli/s3_client.h"
#include "server/store_at_rest.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Check a store: every page of the namespace, what is counted, and that the content of every object is "
    "there.\n\n"
    "  fractalbits fsck --data-dir ./fractalbits-data          of a server that is stopped\n"
    "  fractalbits fsck --mgmt-url http://127.0.0.1:18080      of one that runs, beside its traffic\n\n"
    "A stopped store is opened as a start would open it, which redoes what its journal holds; nothing else "
    "is "
    "changed. A running\n"
    "one is asked with the root key, found where the AWS CLI finds credentials.";
constexpr std::string_view kMore =
    "Exit status: 0 nothing is wrong, 1 the check could not be made, 2 wrong usage, 4 something is damaged.";

constexpr Duration kLiveTimeout = Duration::minutes(24 * 60);

CommandOutcome outcome_of(std::string report) {
  const bool sound = report.starts_with(kFsckSound);
  if (report.ends_with('\n')) report.pop_back();
  return {sound ? 0 : kExitDamaged, std::move(report)};
}

Task<CommandOutcome> ask_server(Env& env, const FsckOptions& options, const EnvironmentLookup& environment) {
  const AwsFiles files = co_await read_aws_files(env, environment);
  const auto endpoint = S3Endpoint::parse_management(options.mgmt_url);
  if (!endpoint) co_return CommandOutcome{kExitUsage, endpoint.error()};
  const auto settings = resolve_aws_settings(options.aws, environment, files);
  if (!settings) co_return CommandOutcome{kExitUsage, settings.error()};
  const TlsContext tls;
  S3Client client(env, *endpoint, *settings, tls);
  std::string message;
  // Each signature is accepted once, and two of the same second would be equal without a nonce.
  const std::string nonce = fmt::format("{:016x}", env.random());
  const auto answer = co_await client.send("POST", "/fsck", {{"x-fractalbits-nonce", nonce}},
                                           env.now() + kLiveTimeout, message);
  if (!answer) co_return CommandOutcome{kExitFailed, message.empty() ? answer.error().to_string() : message};
  if (answer->status == 200) co_return outcome_of(answer->body);
  std::string why = answer->body;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  co_return CommandOutcome{kExitFailed,
                           fmt::format("{} answers {}: {}", endpoint->url(), answer->status, why)};
}

}  // namespace

Task<CommandOutcome> check_directory(Env& env, const FsckOptions& options) {
  auto opened = co_await StoreAtRest::open(
      env, {.data_dir = options.data_dir, .device = options.device, .memory_bytes = options.memory_bytes});
  if (!opened) {
    const StoreAtRest::Problem& problem = opened.error();
    if (!problem.damaged) co_return CommandOutcome{kExitFailed, problem.message};
    co_return CommandOutcome{kExitDamaged, "damaged: " + problem.message};
  }
  StoreAtRest& store = **opened;
  CommandOutcome outcome;
  {
    // The report holds memory of the store, so its scope ends before the store is closed.
    const auto report = co_await check_store(store.partition(), store.metadata(), store.blobs(), {});
    outcome = report ? outcome_of(report->to_string())
                     : CommandOutcome{kExitFailed, fmt::format("the check could not be finished: {}",
                                                               report.error().to_string())};
  }
  co_await store.close();
  co_return outcome;
}

void add_fsck_command(CommandLine& line) {
  const auto options = std::make_shared<FsckOptions>();
  CommandOptions fsck = line.add("fsck", kAbout, kMore, [options] {
    return finish_check(run_on_core([&](Env& env) -> Task<CommandOutcome> {
      if (options->mgmt_url.empty()) co_return co_await check_directory(env, *options);
      co_return co_await ask_server(env, *options, environment);
    }));
  });
  auto& directory = fsck.text("--data-dir", options->data_dir, "DIR",
                              "The server's data directory. Default: ./fractalbits-data.");
  auto& device =
      fsck.text("--device", options->device, "PATH", "The device that the store is on, if it is on one.");
  auto& server =
      fsck.text("--mgmt-url", options->mgmt_url, "URL", "The management port of a server that runs.");
  CommandOptions::exclude(server, directory);
  CommandOptions::exclude(server, device);
  fsck.bytes("--memory", options->memory_bytes, "Memory for pages, of a stopped store. Default: 1GiB.");
  fsck.text("--profile", options->aws.profile, "NAME",
            "The profile of ~/.aws/credentials with the root key. [AWS_PROFILE]");
}

}  // namespace fb
