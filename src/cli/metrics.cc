// SPDX-License-Identifier: Apache-2.0
#include "cli/metrics.h"

#include <fmt/format.h>

#include <iterator>

#include "cli/version.h"
#include "io/allocations.h"

namespace fb {
namespace {

class Page {
 public:
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    line(name, help, "counter", value);
  }
  void gauge(std::string_view name, std::string_view help, uint64_t value) {
    line(name, help, "gauge", value);
  }
  std::string text;

 private:
  void line(std::string_view name, std::string_view help, std::string_view type, uint64_t value) {
    fmt::format_to(std::back_inserter(text),
                   "# HELP fractalbits_{0} {1}\n# TYPE fractalbits_{0} {2}\nfractalbits_{0} {3}\n", name,
                   help, type, value);
  }
};

void add(EnvStats& to, const EnvStats& from) {
  to.io_enters += from.io_enters;
  to.io_submitted += from.io_submitted;
  to.io_completed += from.io_completed;
  to.turns += from.turns;
  to.file_reads += from.file_reads;
  to.file_read_bytes += from.file_read_bytes;
  to.file_writes += from.file_writes;
  to.file_write_bytes += from.file_write_bytes;
  to.file_durable_writes += from.file_durable_writes;
  to.file_syncs += from.file_syncs;
  to.net_receives += from.net_receives;
  to.net_received_bytes += from.net_received_bytes;
  to.net_sends += from.net_sends;
  to.net_sent_bytes += from.net_sent_bytes;
  to.accepts += from.accepts;
  to.messages_sent += from.messages_sent;
  to.io_errors += from.io_errors;
  to.bytes_copied += from.bytes_copied;
  to.busy_ns += from.busy_ns;
}

void add(HttpStats& to, const HttpStats& from) {
  to.requests += from.requests;
  for (size_t i = 0; i < to.responses_by_class.size(); ++i)
    to.responses_by_class[i] += from.responses_by_class[i];
  to.connections_accepted += from.connections_accepted;
  to.connections_active += from.connections_active;
  to.accept_errors += from.accept_errors;
  to.body_received_bytes += from.body_received_bytes;
  to.body_sent_bytes += from.body_sent_bytes;
  to.protocol_errors += from.protocol_errors;
  to.timeouts += from.timeouts;
  to.tls_handshakes += from.tls_handshakes;
  to.tls_handshake_errors += from.tls_handshake_errors;
}

void add(bss::BlobStats& to, const bss::BlobStats& from) {
  to.puts += from.puts;
  to.put_bytes += from.put_bytes;
  to.gets += from.gets;
  to.get_bytes += from.get_bytes;
  to.cache_hits += from.cache_hits;
  to.erases += from.erases;
  to.batches += from.batches;
  to.batch_bytes += from.batch_bytes;
  to.write_errors += from.write_errors;
  to.damaged += from.damaged;
  to.reread += from.reread;
  to.damaged_batches += from.damaged_batches;
  to.torn_entries += from.torn_entries;
  to.checkpoints += from.checkpoints;
  to.compacted_segments += from.compacted_segments;
  to.compacted_bytes += from.compacted_bytes;
  to.puts_refused_full += from.puts_refused_full;
  to.scrub.passes += from.scrub.passes;
  to.scrub.payloads += from.scrub.payloads;
  to.scrub.bytes += from.scrub.bytes;
  to.scrub.damaged += from.scrub.damaged;
}

void write_io(Page& page, const EnvStats& io) {
  page.counter("io_enters_total",
               "Calls of io_uring_enter, or system calls for I/O in the portable environment.", io.io_enters);
  page.counter("io_submitted_total", "I/O operations begun.", io.io_submitted);
  page.counter("io_completed_total", "I/O operations ended.", io.io_completed);
  page.counter("io_errors_total", "I/O operations that failed.", io.io_errors);
  page.counter("loop_turns_total", "Turns of the event loops.", io.turns);
  page.counter("loop_busy_nanoseconds_total", "Time the event loops did not wait.", io.busy_ns);
  page.counter("core_messages_total", "Messages between cores.", io.messages_sent);
  page.counter("disk_reads_total", "Reads of files.", io.file_reads);
  page.counter("disk_read_bytes_total", "Bytes read from files.", io.file_read_bytes);
  page.counter("disk_writes_total", "Writes to files.", io.file_writes);
  page.counter("disk_write_bytes_total", "Bytes written to files.", io.file_write_bytes);
  page.counter("disk_durable_writes_total", "Writes that ended on stable media.", io.file_durable_writes);
  page.counter("disk_syncs_total", "Flushes of files and directories.", io.file_syncs);
  page.counter("net_received_bytes_total", "Bytes received.", io.net_received_bytes);
  page.counter("net_sent_bytes_total", "Bytes sent.", io.net_sent_bytes);
  page.counter("bytes_copied_total", "Payload bytes copied in memory.", io.bytes_copied);
}

void write_http(Page& page, const HttpStats& http) {
  page.counter("http_requests_total", "Requests received.", http.requests);
  page.gauge("http_connections", "Open connections.", http.connections_active);
  page.counter("http_connections_total", "Connections accepted.", http.connections_accepted);
  page.counter("http_protocol_errors_total", "Requests that were not HTTP, or beyond its limits.",
               http.protocol_errors);
  page.counter("http_timeouts_total", "Connections closed for being idle or slow.", http.timeouts);
  page.counter("tls_handshakes_total", "TLS handshakes that succeeded.", http.tls_handshakes);
  page.counter("tls_handshake_errors_total", "TLS handshakes that failed.", http.tls_handshake_errors);
}

void write_blobs(Page& page, const bss::BlobStats& blobs) {
  page.counter("blob_puts_total", "Blobs written.", blobs.puts);
  page.counter("blob_gets_total", "Blobs read.", blobs.gets);
  page.counter("blob_cache_hits_total", "Blobs read from memory.", blobs.cache_hits);
  page.counter("blob_erases_total", "Blobs erased.", blobs.erases);
  page.counter("blob_batches_total", "Durable batches written.", blobs.batches);
  page.counter("blob_batch_bytes_total", "Bytes of those batches.", blobs.batch_bytes);
  page.counter("blob_write_errors_total", "Batches the device refused.", blobs.write_errors);
  page.counter("blob_damaged_total", "Blobs found damaged; none of them was served.", blobs.damaged);
  page.counter("blob_rereads_total", "Reads of blobs begun again, since what came did not match.",
               blobs.reread);
  page.counter("blob_damaged_batches_total", "Batches found missing or damaged at start.",
               blobs.damaged_batches);
  page.counter("blob_torn_entries_total",
               "Blobs of the last batches before a crash that did not match and were dropped at start.",
               blobs.torn_entries);
  page.counter("blob_checkpoints_total", "Index checkpoints written.", blobs.checkpoints);
  page.counter("blob_compacted_bytes_total", "Live bytes moved by compaction.", blobs.compacted_bytes);
  page.counter("blob_puts_refused_total", "Blobs refused for want of space.", blobs.puts_refused_full);
  page.counter("blob_scrubs_total", "Shards read from end to end by the scrubber.", blobs.scrub.passes);
  page.counter("blob_scrub_payloads_total", "Blobs that the scrubber verified.", blobs.scrub.payloads);
  page.counter("blob_scrub_bytes_total", "Bytes that the scrubber read.", blobs.scrub.bytes);
  page.counter("blob_scrub_damaged_total", "Things that the scrubber found damaged, each time it found them.",
               blobs.scrub.damaged);
}

void write_names(Page& page, const Partition::Statistics& names) {
  page.gauge("namespace_objects", "Objects of all buckets.", names.objects);
  page.gauge("namespace_buckets", "Trees of buckets, the system's included.", names.trees);
  page.gauge("namespace_memory_bytes", "Memory for pages, at most.", names.memory_bytes);
  page.gauge("namespace_dirty_pages", "Pages that hold what the store lacks.", names.dirty_pages);
  page.counter("namespace_page_loads_total", "Pages read.", names.page_loads);
  page.counter("namespace_pages_written_total", "Pages written.", names.pages_written);
  page.counter("namespace_page_evictions_total", "Pages that gave their memory to others.", names.evictions);
  page.counter("namespace_pages_damaged_total", "Pages found damaged; nothing of them was served.",
               names.pages_damaged);
  page.gauge("namespace_ledger_blobs", "Blobs that wait to be freed.", names.ledger_blobs);
  page.gauge("namespace_held_blobs", "Of these, blobs that reads which last still need.", names.held_blobs);
  page.counter("namespace_freed_blobs_total", "Blobs freed from the ledger.", names.freed_blobs);
  page.counter("namespace_swept_blobs_total", "Blobs of ended processes that no record named.",
               names.swept_blobs);
  page.gauge("namespace_compacting", "1 while a walk joins sparse pages.", names.compacting ? 1 : 0);
  page.counter("namespace_compact_walks_total", "Walks over a tree that came to their end.",
               names.compact_walks);
  page.counter("namespace_compact_looks_total", "Pages that walks looked at.", names.compact_looks);
  page.counter("namespace_compact_reads_total", "Pages that walks read.", names.compact_reads);
  page.counter("namespace_compact_joined_total", "Sparse pages joined with others by walks.",
               names.compact_joined);
  page.counter("namespace_compact_split_total", "Pages divided by walks to join what is beneath.",
               names.compact_split);
  page.counter("namespace_compact_laid_out_total", "Pages laid out anew by walks.", names.compact_laid_out);
  page.counter("namespace_checkpoints_total", "Checkpoints written.", names.checkpoints);
  page.gauge("namespace_redo_pages", "Pages that lack changes of the journal as yet, after a start.",
             names.redo_pages);
  page.counter("namespace_replayed_records_total", "Records of the journal redone at start.",
               names.replayed_records);
  page.gauge("namespace_replay_bytes", "Bytes of journal that a start would redo.", names.journal_bytes);
}

void write_metadata(Page& page, const ServerCounters& counters) {
  const PageFileStats& pages = counters.pages;
  page.counter("page_reads_total", "Pages read from the metadata volume.", pages.reads);
  page.counter("page_writes_total", "Pages written to the metadata volume.", pages.writes);
  page.counter("page_erases_total", "Pages erased from the metadata volume.", pages.erases);
  page.counter("page_log_bytes_total", "Bytes of the log of where pages are.", pages.log_bytes);
  page.counter("page_damaged_total", "Reads of pages that found damage; nothing of it was served.",
               pages.damaged);
  page.counter("page_write_errors_total", "Pages that the device did not take.", pages.write_errors);
  page.counter("journal_written_bytes_total", "Bytes written to the journal volume.",
               counters.journal_written_bytes);
  page.gauge("journal_unreadable_blocks",
             "Blocks of the journal that the device could not read at the start, and that nobody needed.",
             counters.journal_unreadable_blocks);
  page.counter("metadata_scrubs_total", "Times that all pages and the journal were read and verified.",
               counters.metadata.scrubs);
  page.counter("metadata_scrub_bytes_total", "Bytes of pages and journal that the scrubber read.",
               counters.metadata.scrub_bytes);
  page.counter("metadata_scrub_damaged_total",
               "Pages, frames and checkpoints that the scrubber found damaged, each time it found them.",
               counters.metadata.scrub_damaged);
  if (!counters.device) return;
  page.counter("device_tables_total", "Copies written of the device's table of files.",
               counters.device->tables);
  page.counter("device_table_bytes_total", "Bytes of those.", counters.device->table_bytes);
}

void write_tier(Page& page, const tier::TierStats& tier, tier::GuardState guard) {
  page.gauge("tier_up", "1 while the cloud bucket answers and may be written to.",
             guard == tier::GuardState::good && tier.cores_down == 0 ? 1 : 0);
  page.gauge("tier_mismatch", "1 where the marker in the cloud bucket is not this store's.",
             guard == tier::GuardState::mismatch ? 1 : 0);
  page.counter("tier_requests_total", "Requests to the cloud, each attempt of one.", tier.requests);
  page.counter("tier_retries_total", "Attempts that were not the first.", tier.retries);
  page.counter("tier_failures_total", "Requests that did not succeed in the end.", tier.failures);
  page.counter("tier_sent_bytes_total", "Bytes of content sent to the cloud.", tier.sent_bytes);
  page.counter("tier_received_bytes_total", "Bytes of content received from it.", tier.received_bytes);
  page.counter("tier_stored_objects_total", "Objects stored there.", tier.stored_objects);
  page.counter("tier_stored_bytes_total", "Bytes of these.", tier.stored_bytes);
  page.counter("tier_copied_objects_total", "Objects that the cloud copied by itself.", tier.copied_objects);
  page.counter("tier_deleted_objects_total", "Objects deleted there.", tier.deleted_objects);
  page.counter("tier_damaged_blocks_total",
               "Blocks that did not arrive as they were stored; none was served.", tier.damaged_blocks);
  page.counter("tier_slow_clients_total",
               "Uploads that were stopped since they came too slowly while others waited.",
               tier.slow_clients);
}

}  // namespace

void ServerCounters::add_core(Env& env, const api::ApiMetrics& api_core, const HttpStats& http_core,
                              const bss::BlobStats& blobs_core, const bss::BlobUsage& blob_usage) {
  ++cores;
  add(io, env.stats());
  allocations += allocations_on_this_thread();
  request_buffers_bytes += env.buffers().used_bytes();
  api.add(api_core);
  add(http, http_core);
  add(blobs, blobs_core);
  usage.blobs.add(blob_usage);
}

std::string ServerCounters::to_prometheus() const {
  Page page;
  page.text = fmt::format(
      "# HELP fractalbits_info Version and mode.\n# TYPE fractalbits_info gauge\n"
      "fractalbits_info{{version=\"{}\",durability=\"{}\"}} 1\n",
      kVersion, to_string(durability));
  page.gauge("cores", "Worker threads.", cores);
  page.counter("allocations_total", "Calls of the memory allocator on worker threads.", allocations);
  page.gauge("request_buffer_bytes", "Memory of bodies on their way.", request_buffers_bytes);
  write_io(page, io);
  write_http(page, http);
  admission.append_to(page.text);
  write_blobs(page, blobs);
  write_names(page, names);
  write_metadata(page, *this);
  if (tier) write_tier(page, *tier, tier_guard);
  for (const UsageRow& row : usage_rows(usage)) page.gauge(row.name, row.help, row.value);
  api.append_to(page.text);
  return page.text;
}

}  // namespace fb
