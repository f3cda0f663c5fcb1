// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/secret.h"
#include "io/durability.h"
#include "io/runtime.h"
#include "server/store_tuning.h"
#include "tier/tier.h"

namespace fb {

// All settings of `fractalbits server`, checked and in their own types.
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
  std::string external_host;  // from --external-url; empty: none
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
  uint64_t capacity_bytes = 0;  // for the blobs; 0: all that the file system has
  uint64_t namespace_memory_bytes = 0;
  // The cloud bucket for large objects; none if its bucket's name is empty. Store id and paths in the data
  // directory are found at start.
  tier::TierConfig tier;
  std::string tier_credentials_path;  // empty: from the environment or the instance's metadata service
  StoreTuning tuning;
  std::vector<std::string> notices;  // for the log at start, found before the cores ran

  bool has_tier() const { return !tier.options.bucket.empty(); }
};

}  // namespace fb
