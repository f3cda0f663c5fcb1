// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/secret.h"
#include "cli/store_tuning.h"
#include "io/durability.h"
#include "io/runtime.h"
#include "tier/tier.h"

namespace fb {

// Everything `fractalbits server` can be told, checked and in its own types.
struct ServerSettings {
  std::string data_dir;
  std::string device;  // empty: everything is in the data directory
  Endpoint listen;
  Endpoint mgmt_listen;
  unsigned threads = 1;
  bool pin = false;
  std::string tls_cert;  // empty: plain HTTP
  std::string tls_key;
  std::vector<std::string> domains;
  std::string external_host;  // of --external-url; empty: none
  std::string external_url;
  bool signature_v2 = true;
  std::vector<std::string> mgmt_hosts;  // names, some with ports, by which the management port is reached
  std::vector<std::string> buckets;     // made at start
  std::string access_key;               // given by the environment; empty: the data directory's own
  Secret secret_key;
  LogOptions log;
  bool access_log = false;
  IoBackend io_backend = IoBackend::automatic;
  IoPoll io_poll = IoPoll::automatic;
  uint64_t cache_bytes = 0;           // of the process
  uint64_t request_memory_bytes = 0;  // of the process
  uint64_t open_files_max = 0;        // of the process, found at start; 0: not known
  Durability durability = Durability::strict;
  Duration scrub_period;        // 0: never
  uint64_t capacity_bytes = 0;  // of the blobs; 0: what the file system has
  uint64_t namespace_memory_bytes = 0;
  // Of the cloud bucket for large objects; none where its bucket is empty. Store id and paths in the data
  // directory are found at start.
  tier::TierConfig tier;
  std::string tier_credentials_path;  // empty: given by the environment, or asked for
  StoreTuning tuning;
  std::vector<std::string> notices;  // for the log at start, found before the cores ran
};

// The table behind flags, environment, file, help and sample.
std::span<const SettingInfo> server_setting_table();

// `environment` looks a variable up ("" where unset).
ConfigResult<ServerSettings> resolve_server_settings(
    const Settings& settings, const std::function<std::string(const char*)>& environment);

}  // namespace fb
