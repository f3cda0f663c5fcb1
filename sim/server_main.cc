// SPDX-License-Identifier: Apache-2.0
#include "server_main.h"

#include <array>
#include <memory>

#include "bss/device/device.h"
#include "bss/device/device_make.h"
#include "server/server.h"
#include "world.h"

namespace fb::sim {
namespace {

constexpr unsigned kThreads = 2;

// Rounds of the same work with other sizes: what ends a segment, when a page splits, what the cache still
// holds.
constexpr std::array kTunings = {
    StoreTuning{.journal_segment_bytes = 256 * kKiB,
                .journal_bytes_max = 1 * kMiB,
                .page_bytes = 4 * kKiB,
                .page_growth_bytes = 256 * kKiB,
                .page_log_bytes = 256 * kKiB,
                .blob_shards = 2,
                .blob_segment_bytes = 4 * kMiB,
                .blob_checkpoint_bytes = 256 * kKiB},
    StoreTuning{.journal_segment_bytes = 512 * kKiB,
                .journal_bytes_max = 2 * kMiB,
                .page_bytes = 16 * kKiB,
                .page_growth_bytes = 1 * kMiB,
                .page_log_bytes = 256 * kKiB,
                .blob_shards = 2,
                .blob_segment_bytes = 2 * kMiB,
                .blob_checkpoint_bytes = 1 * kMiB},
};

constexpr uint64_t kCloudThreshold = 32 * kKiB;

ServerSettings settings_of(uint64_t seed, bool cloud) {
  ServerSettings settings;
  settings.data_dir = kStoreDirectory;
  settings.listen = Endpoint::ipv4(0, 0, 0, 0, kServerPort);
  settings.mgmt_listen = Endpoint::loopback(18'080);
  settings.threads = kThreads;
  settings.access_key = kIdentity.access_key;
  settings.secret_key = Secret(kIdentity.secret);
  settings.cache_bytes = seed % 3 == 0 ? 0 : 512 * kKiB;
  settings.request_memory_bytes = 16 * kMiB;
  settings.capacity_bytes = 128 * kMiB;
  settings.namespace_memory_bytes = kNamespaceMemoryBytes;
  settings.durability = has_protected_drive(seed) ? Durability::plp : Durability::strict;
  if (seed % 3 == 1) settings.scrub_period = Duration::seconds(2);
  settings.tuning = tuning_of(seed);
  if (cloud) {
    tier::TierOptions& options = settings.tier.options;
    options.origin = {
        .host = "cloud", .authority = "cloud", .peer_host = kCloudHost, .peer_port = kServerPort};
    options.region = "us-east-1";
    options.bucket = kCloudBucket;
    options.prefix = kCloudPrefix;
    options.threshold_bytes = kCloudThreshold;
    options.memory_bytes = 8 * kMiB;
    settings.tier.credentials = {.access_key = std::string(kIdentity.access_key),
                                 .secret_key = Secret(std::string(kIdentity.secret))};
    settings.request_memory_bytes = 48 * kMiB;
  }
  return settings;
}

ServerSettings cloud_settings() {
  ServerSettings settings = settings_of(0, false);
  settings.threads = 1;
  settings.buckets = {kCloudBucket};
  settings.durability = Durability::strict;
  settings.scrub_period = {};
  settings.tuning = {};
  settings.capacity_bytes = 0;  // the whole disk: every shard has segments of the usual size
  return settings;
}

constexpr uint64_t kDeviceBytes = 192 * kMiB;

// As an operator would, also where a crash has come in between.
Task<void> format_device(Env& env) {
  const auto found = co_await bss::Device::open(env, {.path = kStoreDevice, .read_only = true});
  if (found) {
    (void)co_await (*found)->close();
    co_return;
  }
  std::string message;
  const auto made = co_await bss::make_device(env,
                                              {.path = kStoreDevice,
                                               .size_bytes = kDeviceBytes,
                                               .force = true,
                                               .zero = bss::DeviceMakeOptions::Zero::nothing},
                                              message);
  if (!made) env.write_log("the device could not be made: " + message);
}

Task<void> run_core(Server& server, Env& env, bool on_device) {
  if (on_device && env.core() == 0) co_await format_device(env);
  co_await server.run_core(env);
  if (env.core() == 0 && !server.failure().empty()) env.write_log(server.failure());
}

}  // namespace

StoreTuning tuning_of(uint64_t seed) { return kTunings[seed / 8 % kTunings.size()]; }

SimNode::Main make_server_main(uint64_t seed, bool on_device, bool cloud) {
  ServerSettings settings = settings_of(seed, cloud);
  if (on_device) settings.device = kStoreDevice;
  auto server = std::make_shared<Server>(std::move(settings), [](const ServerReady&) {});
  return [server, on_device](Env& env) { return run_core(*server, env, on_device); };
}

SimNode::Main make_cloud_main() {
  auto server = std::make_shared<Server>(cloud_settings(), [](const ServerReady&) {});
  return [server](Env& env) { return run_core(*server, env, false); };
}

}  // namespace fb::sim
