// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "admin/admission_metrics.h"
#include "admin/usage.h"
#include "api/metrics.h"
#include "bss/blob/options.h"
#include "bss/device/device.h"
#include "bss/metadata_store.h"
#include "http/http_stats.h"
#include "io/env.h"
#include "nss/partition.h"
#include "tier/options.h"

namespace fb {

// Everything /metrics shows: the cores' counters added up, and the state of the engines.
struct ServerCounters {
  unsigned cores = 0;
  Durability durability = Durability::strict;  // in effect
  EnvStats io;
  uint64_t allocations = 0;
  uint64_t request_buffers_bytes = 0;
  api::ApiMetrics api;
  HttpStats http;
  AdmissionCounters admission;
  bss::BlobStats blobs;
  Partition::Statistics names;
  PageFileStats pages;
  uint64_t journal_written_bytes = 0;
  uint64_t journal_unreadable_blocks = 0;
  bss::MetadataStore::Stats metadata;
  std::optional<bss::Device::Stats> device;
  uint64_t discarded_blobs_waiting = 0;  // of all cores, like the one below
  uint64_t discarded_blobs_erased = 0;
  uint64_t discarded_blobs_dropped = 0;
  StoreUsage usage;
  std::optional<tier::TierStats> tier;  // of all cores; none without a cloud bucket
  tier::GuardState tier_guard = tier::GuardState::unchecked;

  // Called on that core, whose loop and memory are counted too.
  void add_requests(Env& env, const api::ApiMetrics& api, const HttpStats& http);
  void add_blobs(const bss::BlobStats& blobs, const bss::BlobUsage& blob_usage);
  void add_tier(const tier::TierStats& tier);
  // Prometheus text format.
  std::string to_prometheus() const;
};

}  // namespace fb
