// SPDX-License-Identifier: Apache-2.0
#include "cli/fsck_command.h"

#include <fmt/format.h>

#include "cli/fsck.h"
#include "cli/s3_client.h"
#include "cli/store_at_rest.h"
#include "io/file.h"
#include "io/runtime.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr Duration kLiveTimeout = Duration::minutes(24 * 60);

CommandOutcome outcome_of(std::string report) {
  const bool sound = report.starts_with(kFsckSound);
  if (report.ends_with('\n')) report.pop_back();
  return {sound ? 0 : kExitDamaged, std::move(report)};
}

Task<CommandOutcome> ask_server(Env& env, const FsckOptions& options, const EnvironmentLookup& environment) {
  const AwsFiles paths = aws_file_paths(environment);
  AwsFiles files;
  for (const auto& [path, text] :
       {std::pair(paths.credentials, &files.credentials), std::pair(paths.config, &files.config)}) {
    if (path.empty()) continue;
    if (auto read = co_await read_small_file(env, path, kMiB)) *text = std::move(*read);
  }
  const auto endpoint = S3Endpoint::parse(options.mgmt_url);
  if (!endpoint) co_return CommandOutcome{kExitUsage, "--mgmt-url: " + endpoint.error()};
  if (endpoint->tls)
    co_return CommandOutcome{kExitUsage, "--mgmt-url: the management port speaks plain HTTP"};
  const auto settings = resolve_aws_settings(options.aws, environment, files);
  if (!settings) co_return CommandOutcome{kExitUsage, settings.error()};
  const TlsContext tls;
  S3Client client(env, *endpoint, *settings, tls);
  std::string message;
  const auto answer = co_await client.send("POST", "/fsck", {}, env.now() + kLiveTimeout, message);
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
    // Holds what it has read until it goes, which is before the store is closed.
    const auto report = co_await check_store(store.partition(), store.metadata(), store.blobs(), {});
    outcome = report ? outcome_of(report->to_string())
                     : CommandOutcome{kExitFailed, fmt::format("the check could not be finished: {}",
                                                               report.error().to_string())};
  }
  co_await store.close();
  co_return outcome;
}

CommandOutcome run_fsck(const FsckOptions& options, const EnvironmentLookup& environment) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};
  CommandOutcome outcome;
  const auto ran = run_cores(runtime, [&](Env& env) -> Task<void> {
    if (options.mgmt_url.empty()) {
      outcome = co_await check_directory(env, options);
    } else {
      outcome = co_await ask_server(env, options, environment);
    }
  });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
