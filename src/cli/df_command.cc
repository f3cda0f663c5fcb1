// SPDX-License-Identifier: Apache-2.0
#include "cli/df_command.h"

#include <fmt/format.h>

#include "bss/store.h"
#include "cli/data_directory.h"
#include "cli/s3_client.h"
#include "cli/usage.h"
#include "io/file.h"
#include "io/runtime.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr size_t kStoreFileBytesMax = 4096;
constexpr uint64_t kPageMemoryBytes = 64 * kMiB;
constexpr Duration kAnswerTimeout = Duration::seconds(60);

CommandOutcome outcome_of(const StoreUsage& usage, bool json) {
  return {0, json ? usage_json(usage) : usage_table(usage)};
}

// Opened as a start would open it, which redoes what its journal holds.
Task<CommandOutcome> look_into(Env& env, const DfOptions& options, const DataDirectory& directory) {
  auto partition = co_await Partition::open(env, {.directory = directory.namespace_path(),
                                                  .store_id = directory.store_id(),
                                                  .memory_bytes = kPageMemoryBytes});
  if (!partition) {
    co_return CommandOutcome{kExitFailed,
                             fmt::format("the namespace cannot be opened ({}); the lines above say why",
                                         partition.error().to_string())};
  }
  StoreUsage usage;
  usage.add_namespace(**partition);
  co_await usage.add_disk(env, options.data_dir);
  CommandOutcome outcome;
  auto store = co_await bss::BlobStore::open(
      env,
      {.directory = directory.blobs_path(), .incarnation = (*partition)->incarnation(), .cache_bytes = 0});
  if (!store) {
    outcome = {kExitFailed, fmt::format("the blobs cannot be opened ({}); the lines above say why",
                                        store.error().to_string())};
  } else {
    bss::BlobFront blobs(env, **store);
    if (auto opened = co_await blobs.open(); opened) {
      usage.blobs.add(blobs.usage_here());
      outcome = outcome_of(usage, options.json);
    } else {
      outcome = {kExitFailed, fmt::format("the blobs cannot be read ({})", opened.error().to_string())};
    }
    (void)co_await blobs.close();
  }
  (void)co_await (*partition)->close();
  co_return outcome;
}

Task<CommandOutcome> look_at_directory(Env& env, const DfOptions& options) {
  // Opening would make a store where there is none.
  if (!co_await read_small_file(env, options.data_dir + "/STORE", kStoreFileBytesMax)) {
    co_return CommandOutcome{
        kExitFailed, fmt::format("{} holds no store; name the --data-dir of the server", options.data_dir)};
  }
  auto directory = co_await DataDirectory::open(env, options.data_dir);
  if (!directory)
    co_return CommandOutcome{kExitFailed, directory.error() + "; of one that runs ask with --mgmt-url"};
  CommandOutcome outcome = co_await look_into(env, options, *directory);
  co_await directory->close();
  co_return outcome;
}

// The metrics are open to all who reach the port: any key will do.
Task<CommandOutcome> ask_server(Env& env, const DfOptions& options) {
  const auto endpoint = S3Endpoint::parse(options.mgmt_url);
  if (!endpoint) co_return CommandOutcome{kExitUsage, "--mgmt-url: " + endpoint.error()};
  if (endpoint->tls)
    co_return CommandOutcome{kExitUsage, "--mgmt-url: the management port speaks plain HTTP"};
  const AwsSettings nobody{
      .access_key = "fractalbits-df", .secret_key = Secret("fractalbits-df"), .region = "us-east-1"};
  const TlsContext tls;
  S3Client client(env, *endpoint, nobody, tls);
  std::string message;
  const auto answer = co_await client.send("GET", "/metrics", {}, env.now() + kAnswerTimeout, message);
  if (!answer) co_return CommandOutcome{kExitFailed, message.empty() ? answer.error().to_string() : message};
  StoreUsage usage;
  if (answer->status != 200 || !read_usage(answer->body, usage)) {
    co_return CommandOutcome{kExitFailed,
                             fmt::format("{} does not say what is used (status {}); is it the management "
                                         "port of a server of this version?",
                                         endpoint->url(), answer->status)};
  }
  co_return outcome_of(usage, options.json);
}

}  // namespace

CommandOutcome run_df(const DfOptions& options) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};
  CommandOutcome outcome;
  const auto ran = run_cores(runtime, [&](Env& env) -> Task<void> {
    if (options.mgmt_url.empty()) {
      outcome = co_await look_at_directory(env, options);
    } else {
      outcome = co_await ask_server(env, options);
    }
  });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
