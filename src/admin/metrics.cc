// SPDX-License-Identifier: Apache-2.0
#include "admin/metrics.h"

#include <fmt/format.h>

#include "admin/metric_rows.h"
#include "base/version.h"
#include "io/allocations.h"

namespace fb {

void ServerCounters::add_requests(Env& env, const api::ApiMetrics& api_core, const HttpStats& http_core) {
  ++cores;
  add_rows(kIoRows, io, env.stats());
  allocations += allocations_on_this_thread();
  request_buffers_bytes += env.buffers().used_bytes();
  api.add(api_core);
  add_rows(kHttpRows, http, http_core);
  for (size_t i = 0; i < http.responses_by_class.size(); ++i)
    http.responses_by_class[i] += http_core.responses_by_class[i];
}

void ServerCounters::add_blobs(const bss::BlobStats& blobs_core, const bss::BlobUsage& blob_usage) {
  add_rows(kBlobRows, blobs, blobs_core);
  add_rows(kScrubRows, blobs.scrub, blobs_core.scrub);
  usage.blobs.add(blob_usage);
}

void ServerCounters::add_tier(const tier::TierStats& tier_core) {
  if (!tier) tier.emplace();
  add_rows(kTierRows, *tier, tier_core);
}

std::string ServerCounters::to_prometheus() const {
  MetricPage page;
  page.text = fmt::format(
      "# HELP fractalbits_info Version and mode.\n# TYPE fractalbits_info gauge\n"
      "fractalbits_info{{version=\"{}\",durability=\"{}\"}} 1\n",
      kVersion, to_string(durability));
  page.gauge("cores", "Worker threads.", cores);
  page.counter("allocations_total", "Calls of the memory allocator on worker threads.", allocations);
  page.gauge("request_buffer_bytes", "Memory of bodies on their way.", request_buffers_bytes);
  page.rows(kIoRows, io);
  page.rows(kHttpRows, http);
  admission.append_to(page.text);
  page.rows(kBlobRows, blobs);
  page.rows(kScrubRows, blobs.scrub);
  page.rows(kNamespaceRows, names);
  page.gauge("namespace_compacting", "1 while a walk joins sparse pages.", names.compacting ? 1 : 0);
  page.gauge("namespace_sweep_done", "1 once the sweep that a start began has ended.",
             names.sweep_done ? 1 : 0);
  page.gauge("discarded_blobs_waiting", "Blobs of failed uploads that wait to be erased.",
             discarded_blobs_waiting);
  page.counter("discarded_blobs_erased_total", "Blobs of failed uploads that were erased.",
               discarded_blobs_erased);
  page.counter("discarded_blobs_dropped_total",
               "Blobs of failed uploads that are left to the sweep of the next start, since too many waited.",
               discarded_blobs_dropped);
  page.rows(kPageRows, pages);
  page.counter("journal_written_bytes_total", "Bytes written to the journal volume.", journal_written_bytes);
  page.gauge("journal_unreadable_blocks",
             "Blocks of the journal that the device could not read at the start, and that nobody needed.",
             journal_unreadable_blocks);
  page.rows(kMetadataRows, metadata);
  if (device) page.rows(kDeviceRows, *device);
  if (tier) {
    const bool up = tier_guard == tier::GuardState::good && tier->cores_down == 0;
    page.gauge("tier_up", "1 while the cloud bucket answers and may be written to.", up ? 1 : 0);
    page.gauge("tier_mismatch", "1 if the marker in the cloud bucket is not this store's.",
               tier_guard == tier::GuardState::mismatch ? 1 : 0);
    page.rows(kTierRows, *tier);
  }
  for (const UsageRow& row : usage_rows(usage)) page.gauge(row.name, row.help, row.value);
  api.append_to(page.text);
  return page.text;
}

}  // namespace fb
