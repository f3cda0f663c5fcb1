// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "bss/blob/options.h"
#include "bss/device/device.h"
#include "bss/metadata_store.h"
#include "bss/page/page_file.h"
#include "http/http_stats.h"
#include "io/env.h"
#include "nss/partition.h"
#include "tier/options.h"

// One table for each struct of statistics. It serves to add up the cores' numbers and to write /metrics. A
// field that is in no table does not compile.

namespace fb {

enum class MetricKind : uint8_t { counter, gauge };

template <class Stats>
struct MetricRow {
  uint64_t Stats::* field;
  MetricKind kind;
  std::string_view name;  // empty: another table shows it
  std::string_view help;
};

// Whether a table has every field: `others` are not 64-bit numbers, or have no row for a stated reason.
template <class Stats, size_t kRows>
constexpr bool covers(const MetricRow<Stats> (&rows)[kRows], size_t others = 0) {
  for (size_t i = 0; i < kRows; ++i)
    for (size_t j = 0; j < i; ++j)
      if (rows[i].field == rows[j].field) return false;
  return sizeof(Stats) == (kRows + others) * sizeof(uint64_t);
}

template <class Stats, size_t kRows>
void add_rows(const MetricRow<Stats> (&rows)[kRows], Stats& to, const Stats& from) {
  for (const MetricRow<Stats>& row : rows) to.*row.field += from.*row.field;
}

// Text in Prometheus's format.
class MetricPage {
 public:
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    line(MetricKind::counter, name, help, value);
  }
  void gauge(std::string_view name, std::string_view help, uint64_t value) {
    line(MetricKind::gauge, name, help, value);
  }
  template <class Stats, size_t kRows>
  void rows(const MetricRow<Stats> (&table)[kRows], const Stats& stats) {
    for (const MetricRow<Stats>& row : table)
      if (!row.name.empty()) line(row.kind, row.name, row.help, stats.*row.field);
  }
  std::string text;

 private:
  void line(MetricKind kind, std::string_view name, std::string_view help, uint64_t value) {
    fmt::format_to(std::back_inserter(text),
                   "# HELP fractalbits_{0} {1}\n# TYPE fractalbits_{0} {2}\nfractalbits_{0} {3}\n", name,
                   help, kind == MetricKind::counter ? "counter" : "gauge", value);
  }
};

inline constexpr MetricRow<EnvStats> kIoRows[] = {
    {&EnvStats::io_enters, MetricKind::counter, "io_enters_total",
     "Calls of io_uring_enter, or system calls for I/O in the portable environment."},
    {&EnvStats::io_submitted, MetricKind::counter, "io_submitted_total", "I/O operations begun."},
    {&EnvStats::io_completed, MetricKind::counter, "io_completed_total", "I/O operations ended."},
    {&EnvStats::io_errors, MetricKind::counter, "io_errors_total", "I/O operations that failed."},
    {&EnvStats::turns, MetricKind::counter, "loop_turns_total", "Turns of the event loops."},
    {&EnvStats::busy_ns, MetricKind::counter, "loop_busy_nanoseconds_total",
     "Time the event loops did not wait."},
    {&EnvStats::messages_sent, MetricKind::counter, "core_messages_total", "Messages between cores."},
    {&EnvStats::file_reads, MetricKind::counter, "disk_reads_total", "Reads of files."},
    {&EnvStats::file_read_bytes, MetricKind::counter, "disk_read_bytes_total", "Bytes read from files."},
    {&EnvStats::file_writes, MetricKind::counter, "disk_writes_total", "Writes to files."},
    {&EnvStats::file_write_bytes, MetricKind::counter, "disk_write_bytes_total", "Bytes written to files."},
    {&EnvStats::file_durable_writes, MetricKind::counter, "disk_durable_writes_total",
     "Writes that ended on stable media."},
    {&EnvStats::file_syncs, MetricKind::counter, "disk_syncs_total", "Flushes of files and directories."},
    {&EnvStats::net_receives, MetricKind::counter, "net_receives_total", "Receives from sockets."},
    {&EnvStats::net_received_bytes, MetricKind::counter, "net_received_bytes_total", "Bytes received."},
    {&EnvStats::net_sends, MetricKind::counter, "net_sends_total", "Sends to sockets."},
    {&EnvStats::net_sent_bytes, MetricKind::counter, "net_sent_bytes_total", "Bytes sent."},
    {&EnvStats::accepts, MetricKind::counter, "net_accepts_total", "Connections taken from the kernel."},
    {&EnvStats::bytes_copied, MetricKind::counter, "bytes_copied_total", "Payload bytes copied in memory."},
    {&EnvStats::receive_buffers, MetricKind::gauge, "", ""},  // AdmissionCounters
};
static_assert(covers(kIoRows));

inline constexpr MetricRow<HttpStats> kHttpRows[] = {
    {&HttpStats::requests, MetricKind::counter, "http_requests_total", "Requests received."},
    {&HttpStats::connections_active, MetricKind::gauge, "http_connections", "Open connections."},
    {&HttpStats::connections_accepted, MetricKind::counter, "http_connections_total",
     "Connections accepted."},
    {&HttpStats::accept_errors, MetricKind::counter, "http_accept_errors_total",
     "Connections that could not be accepted."},
    {&HttpStats::body_received_bytes, MetricKind::counter, "http_body_received_bytes_total",
     "Bytes of the bodies of requests."},
    {&HttpStats::body_sent_bytes, MetricKind::counter, "http_body_sent_bytes_total",
     "Bytes of the bodies of answers."},
    {&HttpStats::protocol_errors, MetricKind::counter, "http_protocol_errors_total",
     "Requests that were not HTTP, or beyond its limits."},
    {&HttpStats::timeouts, MetricKind::counter, "http_timeouts_total",
     "Connections closed for being idle or slow."},
    {&HttpStats::tls_handshakes, MetricKind::counter, "tls_handshakes_total",
     "TLS handshakes that succeeded."},
    {&HttpStats::tls_handshake_errors, MetricKind::counter, "tls_handshake_errors_total",
     "TLS handshakes that failed."},
    // AdmissionCounters
    {&HttpStats::connections_max, MetricKind::gauge, "", ""},
    {&HttpStats::connections_shed, MetricKind::counter, "", ""},
    {&HttpStats::bodies_cut, MetricKind::counter, "", ""},
    {&HttpStats::answers_cut, MetricKind::counter, "", ""},
    {&HttpStats::requests_refused, MetricKind::counter, "", ""},
};
// The answers by class are an array; ApiMetrics shows them by operation.
static_assert(covers(kHttpRows, std::tuple_size_v<decltype(HttpStats::responses_by_class)>));

inline constexpr MetricRow<bss::BlobStats> kBlobRows[] = {
    {&bss::BlobStats::puts, MetricKind::counter, "blob_puts_total", "Blobs written."},
    {&bss::BlobStats::put_bytes, MetricKind::counter, "blob_put_bytes_total", "Bytes of those."},
    {&bss::BlobStats::gets, MetricKind::counter, "blob_gets_total", "Blobs read."},
    {&bss::BlobStats::get_bytes, MetricKind::counter, "blob_get_bytes_total", "Bytes of those."},
    {&bss::BlobStats::cache_hits, MetricKind::counter, "blob_cache_hits_total", "Blobs read from memory."},
    {&bss::BlobStats::erases, MetricKind::counter, "blob_erases_total", "Blobs erased."},
    {&bss::BlobStats::batches, MetricKind::counter, "blob_batches_total", "Durable batches written."},
    {&bss::BlobStats::batch_bytes, MetricKind::counter, "blob_batch_bytes_total", "Bytes of those batches."},
    {&bss::BlobStats::write_errors, MetricKind::counter, "blob_write_errors_total",
     "Batches the device refused."},
    {&bss::BlobStats::damaged, MetricKind::counter, "blob_damaged_total",
     "Blobs found damaged; none of them was served."},
    {&bss::BlobStats::reread, MetricKind::counter, "blob_rereads_total",
     "Reads of blobs begun again, since what came did not match."},
    {&bss::BlobStats::damaged_batches, MetricKind::counter, "blob_damaged_batches_total",
     "Batches found missing or damaged at start."},
    {&bss::BlobStats::torn_entries, MetricKind::counter, "blob_torn_entries_total",
     "Blobs of the last batches before a crash that did not match and were dropped at start."},
    {&bss::BlobStats::checkpoints, MetricKind::counter, "blob_checkpoints_total",
     "Index checkpoints written."},
    {&bss::BlobStats::checkpoint_bytes, MetricKind::counter, "blob_checkpoint_bytes_total",
     "Bytes of those."},
    {&bss::BlobStats::checkpoints_lost, MetricKind::counter, "blob_checkpoints_lost_total",
     "Index checkpoints found damaged or missing at start; every descriptor was read instead."},
    {&bss::BlobStats::compacted_segments, MetricKind::counter, "blob_compacted_segments_total",
     "Segments emptied by compaction."},
    {&bss::BlobStats::compacted_bytes, MetricKind::counter, "blob_compacted_bytes_total",
     "Live bytes moved by compaction."},
    {&bss::BlobStats::puts_refused_full, MetricKind::counter, "blob_puts_refused_total",
     "Blobs refused for want of space."},
};
// kScrubRows has the scrubber's.
static_assert(covers(kBlobRows, sizeof(bss::ScrubCounts) / sizeof(uint64_t)));

inline constexpr MetricRow<bss::ScrubCounts> kScrubRows[] = {
    {&bss::ScrubCounts::passes, MetricKind::counter, "blob_scrubs_total",
     "Shards read from end to end by the scrubber."},
    {&bss::ScrubCounts::payloads, MetricKind::counter, "blob_scrub_payloads_total",
     "Blobs that the scrubber verified."},
    {&bss::ScrubCounts::bytes, MetricKind::counter, "blob_scrub_bytes_total",
     "Bytes that the scrubber read."},
    {&bss::ScrubCounts::damaged, MetricKind::counter, "blob_scrub_damaged_total",
     "Things that the scrubber found damaged, each time it found them."},
};
static_assert(covers(kScrubRows));

using NamespaceStatistics = Partition::Statistics;
inline constexpr MetricRow<NamespaceStatistics> kNamespaceRows[] = {
    {&NamespaceStatistics::objects, MetricKind::gauge, "namespace_objects", "Objects of all buckets."},
    {&NamespaceStatistics::trees, MetricKind::gauge, "namespace_buckets",
     "Trees of buckets, the system's included."},
    {&NamespaceStatistics::memory_bytes, MetricKind::gauge, "namespace_memory_bytes",
     "Memory for pages, at most."},
    {&NamespaceStatistics::dirty_pages, MetricKind::gauge, "namespace_dirty_pages",
     "Pages that hold what the store lacks."},
    {&NamespaceStatistics::pages, MetricKind::gauge, "", ""},  // StoreUsage
    {&NamespaceStatistics::page_loads, MetricKind::counter, "namespace_page_loads_total", "Pages read."},
    {&NamespaceStatistics::pages_written, MetricKind::counter, "namespace_pages_written_total",
     "Pages written."},
    {&NamespaceStatistics::evictions, MetricKind::counter, "namespace_page_evictions_total",
     "Pages that gave their memory to others."},
    {&NamespaceStatistics::pages_damaged, MetricKind::counter, "namespace_pages_damaged_total",
     "Pages found damaged; nothing of them was served."},
    {&NamespaceStatistics::ledger_blobs, MetricKind::gauge, "namespace_ledger_blobs",
     "Blobs that wait to be freed."},
    {&NamespaceStatistics::held_blobs, MetricKind::gauge, "namespace_held_blobs",
     "Blobs among these that long reads still need."},
    {&NamespaceStatistics::freed_blobs, MetricKind::counter, "namespace_freed_blobs_total",
     "Blobs freed from the ledger."},
    {&NamespaceStatistics::swept_blobs, MetricKind::counter, "namespace_swept_blobs_total",
     "Blobs of ended processes that no record named."},
    {&NamespaceStatistics::compact_walks, MetricKind::counter, "namespace_compact_walks_total",
     "Walks over a tree that came to their end."},
    {&NamespaceStatistics::compact_looks, MetricKind::counter, "namespace_compact_looks_total",
     "Pages that walks looked at."},
    {&NamespaceStatistics::compact_reads, MetricKind::counter, "namespace_compact_reads_total",
     "Pages that walks read."},
    {&NamespaceStatistics::compact_joined, MetricKind::counter, "namespace_compact_joined_total",
     "Sparse pages joined with others by walks."},
    {&NamespaceStatistics::compact_split, MetricKind::counter, "namespace_compact_split_total",
     "Pages divided by walks to join what is beneath."},
    {&NamespaceStatistics::compact_laid_out, MetricKind::counter, "namespace_compact_laid_out_total",
     "Pages laid out anew by walks."},
    {&NamespaceStatistics::checkpoints, MetricKind::counter, "namespace_checkpoints_total",
     "Checkpoints written."},
    {&NamespaceStatistics::redo_pages, MetricKind::gauge, "namespace_redo_pages",
     "Pages that lack changes of the journal as yet, after a start."},
    {&NamespaceStatistics::replayed_records, MetricKind::counter, "namespace_replayed_records_total",
     "Records of the journal redone at start."},
    {&NamespaceStatistics::journal_bytes, MetricKind::gauge, "namespace_replay_bytes",
     "Bytes of journal that a start would redo."},
};
// Two flags share a word.
static_assert(covers(kNamespaceRows, 1));

inline constexpr MetricRow<PageFileStats> kPageRows[] = {
    {&PageFileStats::reads, MetricKind::counter, "page_reads_total", "Pages read from the metadata volume."},
    {&PageFileStats::read_bytes, MetricKind::counter, "page_read_bytes_total", "Bytes of those."},
    {&PageFileStats::writes, MetricKind::counter, "page_writes_total",
     "Pages written to the metadata volume."},
    {&PageFileStats::write_bytes, MetricKind::counter, "page_write_bytes_total", "Bytes of those."},
    {&PageFileStats::erases, MetricKind::counter, "page_erases_total",
     "Pages erased from the metadata volume."},
    {&PageFileStats::log_groups, MetricKind::counter, "page_log_groups_total",
     "Groups of changes in the log of where pages are."},
    {&PageFileStats::log_bytes, MetricKind::counter, "page_log_bytes_total",
     "Bytes of the log of where pages are."},
    {&PageFileStats::tables, MetricKind::counter, "page_tables_total",
     "Tables of where pages are that were written."},
    {&PageFileStats::table_bytes, MetricKind::counter, "page_table_bytes_total", "Bytes of those."},
    {&PageFileStats::damaged, MetricKind::counter, "page_damaged_total",
     "Reads of pages that found damage; nothing of it was served."},
    {&PageFileStats::tables_damaged, MetricKind::counter, "page_tables_damaged_total",
     "Tables of where pages are found damaged at start; an older one was used."},
    {&PageFileStats::log_copies_damaged, MetricKind::counter, "page_log_copies_damaged_total",
     "Copies of the log found damaged at start; the other copy was used."},
    {&PageFileStats::refused_full, MetricKind::counter, "page_writes_refused_total",
     "Pages refused for want of space."},
    {&PageFileStats::write_errors, MetricKind::counter, "page_write_errors_total",
     "Pages that the device did not take."},
    {&PageFileStats::changes_replayed, MetricKind::counter, "page_changes_replayed_total",
     "Changes of the log redone at start."},
};
static_assert(covers(kPageRows));

using MetadataStats = bss::MetadataStore::Stats;
inline constexpr MetricRow<MetadataStats> kMetadataRows[] = {
    {&MetadataStats::scrubs, MetricKind::counter, "metadata_scrubs_total",
     "Times that all pages and the journal were read and verified."},
    {&MetadataStats::scrub_pages, MetricKind::counter, "metadata_scrub_pages_total",
     "Pages that the scrubber verified."},
    {&MetadataStats::scrub_frames, MetricKind::counter, "metadata_scrub_frames_total",
     "Frames of the journal that the scrubber verified."},
    {&MetadataStats::scrub_bytes, MetricKind::counter, "metadata_scrub_bytes_total",
     "Bytes of pages and journal that the scrubber read."},
    {&MetadataStats::scrub_damaged, MetricKind::counter, "metadata_scrub_damaged_total",
     "Pages, frames and checkpoints that the scrubber found damaged, each time it found them."},
};
static_assert(covers(kMetadataRows));

using DeviceStats = bss::Device::Stats;
inline constexpr MetricRow<DeviceStats> kDeviceRows[] = {
    {&DeviceStats::tables, MetricKind::counter, "device_tables_total",
     "Copies written of the device's table of files."},
    {&DeviceStats::table_bytes, MetricKind::counter, "device_table_bytes_total", "Bytes of those."},
    {&DeviceStats::tables_damaged, MetricKind::counter, "device_tables_damaged_total",
     "Copies of the table found damaged at start."},
    {&DeviceStats::superblocks_damaged, MetricKind::counter, "device_superblocks_damaged_total",
     "Superblocks found damaged at start."},
};
static_assert(covers(kDeviceRows));

using tier::TierStats;
inline constexpr MetricRow<TierStats> kTierRows[] = {
    {&TierStats::requests, MetricKind::counter, "tier_requests_total",
     "Requests to the cloud, each attempt of one."},
    {&TierStats::retries, MetricKind::counter, "tier_retries_total", "Attempts that were not the first."},
    {&TierStats::failures, MetricKind::counter, "tier_failures_total",
     "Requests that did not succeed in the end."},
    {&TierStats::sent_bytes, MetricKind::counter, "tier_sent_bytes_total",
     "Bytes of content sent to the cloud."},
    {&TierStats::received_bytes, MetricKind::counter, "tier_received_bytes_total",
     "Bytes of content received from it."},
    {&TierStats::stored_objects, MetricKind::counter, "tier_stored_objects_total", "Objects stored there."},
    {&TierStats::stored_bytes, MetricKind::counter, "tier_stored_bytes_total", "Bytes of these."},
    {&TierStats::copied_objects, MetricKind::counter, "tier_copied_objects_total",
     "Objects that the cloud copied by itself."},
    {&TierStats::deleted_objects, MetricKind::counter, "tier_deleted_objects_total",
     "Objects deleted there."},
    {&TierStats::damaged_blocks, MetricKind::counter, "tier_damaged_blocks_total",
     "Blocks that did not arrive as they were stored; none was served."},
    {&TierStats::slow_clients, MetricKind::counter, "tier_slow_clients_total",
     "Uploads that were stopped since they came too slowly while others waited."},
    {&TierStats::cores_down, MetricKind::gauge, "", ""},  // tier_up
};
static_assert(covers(kTierRows));

}  // namespace fb
