// SPDX-License-Identifier: Apache-2.0
#include "cli/df_command.h"

#include <fmt/format.h>

#include "cli/s3_client.h"
#include "cli/store_at_rest.h"
#include "cli/usage.h"
#include "io/runtime.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr uint64_t kPageMemoryBytes = 64 * kMiB;
constexpr Duration kAnswerTimeout = Duration::seconds(60);

CommandOutcome outcome_of(const StoreUsage& usage, bool json) {
  return {0, json ? usage_json(usage) : usage_table(usage)};
}

Task<CommandOutcome> look_at_directory(Env& env, const DfOptions& options) {
  auto opened = co_await StoreAtRest::open(
      env, {.data_dir = options.data_dir, .device = options.device, .memory_bytes = kPageMemoryBytes});
  if (!opened) co_return CommandOutcome{kExitFailed, opened.error().message};
  StoreAtRest& store = **opened;
  StoreUsage usage;
  usage.add_metadata(store.metadata());
  co_await usage.add_disk(env, store.path());
  usage.blobs.add(store.blobs().usage_here());
  co_await store.close();
  co_return outcome_of(usage, options.json);
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
