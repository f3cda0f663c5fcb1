// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bss/blob/options.h"
#include "bss/metadata_store.h"

namespace fb {

// The use of a store's bytes, as `fractalbits df` shows it and as gauges of the same names in /metrics.
struct StoreUsage {
  bss::BlobUsage blobs;
  uint64_t namespace_pages = 0;
  uint64_t namespace_used_bytes = 0;   // in the slots of those pages
  uint64_t namespace_store_bytes = 0;  // of the pages' file
  uint64_t journal_bytes = 0;
  uint64_t journal_bytes_max = 0;
  uint64_t disk_bytes = 0;  // of the file system
  uint64_t disk_available_bytes = 0;

  // Adds pages and journal. Called on core 0.
  void add_metadata(bss::MetadataStore& store);
  Task<void> add_disk(Env& env, const std::string& directory);
};

struct UsageRow {
  std::string_view name;
  std::string_view help;
  uint64_t value = 0;
};
std::vector<UsageRow> usage_rows(const StoreUsage& usage);
// Reads values by name from Prometheus's text format; false if one is missing.
bool read_usage(std::string_view metrics, StoreUsage& out);

std::string usage_table(const StoreUsage& usage);
std::string usage_json(const StoreUsage& usage);

}  // namespace fb
