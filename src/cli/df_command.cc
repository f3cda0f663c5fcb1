// SPDX-License-Identifier: Apache-2.0
#include "cli/df_command.h"

#include <fmt/format.h>

#include <memory>

#include "admin/usage.h"
#include "cli/process.h"
#include "cli/s3_client.h"
#include "server/store_at_rest.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Show where the bytes of a store are: live, garbage, free, reserved; pages and journal of the "
    "namespace.\n\n"
    "  fractalbits df                                          of the server that runs on this machine\n"
    "  fractalbits df --mgmt-url http://127.0.0.1:18080        of one that runs there\n"
    "  fractalbits df --data-dir ./fractalbits-data            of one that is stopped\n\n"
    "A stopped store is opened as a start would open it, which redoes what its journal holds.";
constexpr std::string_view kMore =
    "The names in the JSON are those of the metrics, without `fractalbits_`.\n"
    "Exit status: 0 shown, 1 it could not be found out, 2 wrong usage.";

struct DfOptions {
  std::string data_dir;
  std::string device;    // the store's device; empty: none
  std::string mgmt_url;  // empty: the data directory
  bool json = false;
};

constexpr const char* kOwnServer = "http://127.0.0.1:18080";
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

// Everybody who reaches the port may read the metrics: any key will do.
Task<CommandOutcome> ask_server(Env& env, const DfOptions& options) {
  const auto endpoint = S3Endpoint::parse_management(options.mgmt_url);
  if (!endpoint) co_return CommandOutcome{kExitUsage, endpoint.error()};
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

// Shows the table, or the JSON.
int run_df(DfOptions options) {
  if (options.data_dir.empty() && options.mgmt_url.empty()) options.mgmt_url = kOwnServer;
  return finish(run_on_core([&](Env& env) -> Task<CommandOutcome> {
    if (options.mgmt_url.empty()) co_return co_await look_at_directory(env, options);
    co_return co_await ask_server(env, options);
  }));
}

}  // namespace

void add_df_command(CommandLine& line) {
  const auto options = std::make_shared<DfOptions>();
  CommandOptions df = line.add("df", kAbout, kMore, [options] { return run_df(*options); });
  auto& directory =
      df.text("--data-dir", options->data_dir, "DIR", "The data directory of a server that is stopped.");
  auto& device =
      df.text("--device", options->device, "PATH", "The device that the store is on, if it is on one.");
  CommandOptions::need(device, directory);
  auto& server = df.text("--mgmt-url", options->mgmt_url, "URL",
                         "The management port of a server that runs. Default: http://127.0.0.1:18080.");
  CommandOptions::exclude(server, directory);
  df.flag("--json", options->json, "One object, in bytes and counts.");
}

}  // namespace fb
