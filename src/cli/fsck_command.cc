// SPDX-License-Identifier: Apache-2.0
#include "cli/fsck_command.h"

#include <fmt/format.h>

#include "bss/store.h"
#include "cli/data_directory.h"
#include "cli/fsck.h"
#include "cli/s3_client.h"
#include "io/file.h"
#include "io/runtime.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr size_t kStoreFileBytesMax = 4096;
constexpr Duration kLiveTimeout = Duration::minutes(24 * 60);

CommandOutcome outcome_of(std::string report) {
  const bool sound = report.starts_with(kFsckSound);
  if (report.ends_with('\n')) report.pop_back();
  return {sound ? 0 : kExitDamaged, std::move(report)};
}

// Both engines open, everything checked, both closed again.
Task<CommandOutcome> check_engines(Env& env, const FsckOptions& options, const DataDirectory& directory) {
  auto partition = co_await Partition::open(env, {.directory = directory.namespace_path(),
                                                  .store_id = directory.store_id(),
                                                  .memory_bytes = options.memory_bytes});
  if (!partition) {
    co_return CommandOutcome{
        kExitDamaged, fmt::format("damaged: the namespace cannot be opened ({}); the lines above say where",
                                  partition.error().to_string())};
  }
  CommandOutcome outcome;
  auto store = co_await bss::BlobStore::open(
      env,
      {.directory = directory.blobs_path(), .incarnation = (*partition)->incarnation(), .cache_bytes = 0});
  if (!store) {
    outcome = {kExitDamaged,
               fmt::format("damaged: the blobs cannot be opened ({}); the lines above say where",
                           store.error().to_string())};
  } else {
    bss::BlobFront blobs(env, **store);
    if (auto opened = co_await blobs.open(); !opened) {
      outcome = {kExitDamaged,
                 fmt::format("damaged: the blobs cannot be read ({})", opened.error().to_string())};
    } else {
      (*partition)->use_blobs(blobs);
      auto report = co_await check_store(**partition, blobs, {});
      outcome = report ? outcome_of(report->to_string())
                       : CommandOutcome{kExitFailed, fmt::format("the check could not be finished: {}",
                                                                 report.error().to_string())};
    }
    (void)co_await blobs.close();
  }
  (void)co_await (*partition)->close();
  co_return outcome;
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
  // Opening would make a store where there is none.
  if (!co_await read_small_file(env, options.data_dir + "/STORE", kStoreFileBytesMax)) {
    co_return CommandOutcome{
        kExitFailed, fmt::format("{} holds no store; name the --data-dir of the server", options.data_dir)};
  }
  auto directory = co_await DataDirectory::open(env, options.data_dir);
  if (!directory) co_return CommandOutcome{kExitFailed, directory.error()};
  CommandOutcome outcome = co_await check_engines(env, options, *directory);
  co_await directory->close();
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
