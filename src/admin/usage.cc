// SPDX-License-Identifier: Apache-2.0
#include "admin/usage.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "io/file.h"

namespace fb {
namespace {

struct Field {
  std::string_view name;
  std::string_view help;
  uint64_t& (*of)(StoreUsage& usage);
};

#define FB_USAGE(name, member, help)                                        \
  Field {                                                                   \
    name, help, [](StoreUsage& usage) -> uint64_t& { return usage.member; } \
  }

constexpr std::array kFields = {
    FB_USAGE("blob_capacity_bytes", blobs.capacity_bytes, "Bytes the blobs may take."),
    FB_USAGE("blob_used_bytes", blobs.live_bytes, "Bytes of live blobs, with padding."),
    FB_USAGE("blob_garbage_bytes", blobs.garbage_bytes,
             "Bytes of segments written and not live: erased blobs, descriptors, ends that took no batch."),
    FB_USAGE("blob_unwritten_bytes", blobs.unwritten_bytes, "Bytes left in the segments that take batches."),
    FB_USAGE("blob_free_bytes", blobs.free_bytes, "Bytes of segments that hold nothing."),
    FB_USAGE("blob_unallocated_bytes", blobs.unallocated_bytes, "Bytes of segments not made yet."),
    FB_USAGE("blob_lost_bytes", blobs.lost_bytes,
             "Bytes of segments that are not used, their headers being lost."),
    FB_USAGE("blob_reserve_bytes", blobs.reserve_bytes, "Bytes that puts leave to erases and compaction."),
    FB_USAGE("blob_available_bytes", blobs.available_bytes, "Bytes that can still be put."),
    FB_USAGE("blob_segments", blobs.segments, "Segments made."),
    FB_USAGE("blob_segments_free", blobs.segments_free, "Segments that hold nothing."),
    FB_USAGE("blob_segments_max", blobs.segments_max, "Segments that there may be."),
    FB_USAGE("blob_live_blobs", blobs.blobs, "Live blobs."),
    FB_USAGE("blob_tombstones", blobs.tombstones, "Marks of erased blobs, kept while segments hold these."),
    FB_USAGE("blob_index_bytes", blobs.index_bytes, "Memory of the blobs' index."),
    FB_USAGE("blob_checkpoint_bytes", blobs.checkpoint_bytes, "Bytes of the index's checkpoints."),
    FB_USAGE("namespace_pages", namespace_pages, "Pages in the store."),
    FB_USAGE("namespace_used_bytes", namespace_used_bytes, "Bytes of the pages' slots in use."),
    FB_USAGE("namespace_store_bytes", namespace_store_bytes, "Bytes of the pages' file."),
    FB_USAGE("journal_bytes", journal_bytes, "Bytes of the journal's files."),
    FB_USAGE("journal_max_bytes", journal_bytes_max, "Bytes the journal may take."),
    FB_USAGE("disk_bytes", disk_bytes, "Bytes of the file system."),
    FB_USAGE("disk_available_bytes", disk_available_bytes, "Bytes the file system has left."),
};

#undef FB_USAGE

constexpr std::string_view kMetricPrefix = "fractalbits_";

std::string human(uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace

void StoreUsage::add_metadata(bss::MetadataStore& store) {
  namespace_pages = store.pages().page_count();
  namespace_used_bytes = namespace_pages * store.pages().page_memory_bytes();
  namespace_store_bytes = store.pages().file_bytes();
  const JournalClient::Bounds bounds = store.journal().bounds();
  journal_bytes = bounds.size_bytes;
  journal_bytes_max = bounds.size_bytes_max;
}

Task<void> StoreUsage::add_disk(Env& env, const std::string& directory) {
  const auto space = co_await file_system_space(env, directory);
  if (!space) co_return;
  disk_bytes = space->total_bytes;
  disk_available_bytes = space->available_bytes;
}

std::vector<UsageRow> usage_rows(const StoreUsage& usage) {
  StoreUsage copy = usage;
  std::vector<UsageRow> rows;
  for (const Field& field : kFields) rows.push_back({field.name, field.help, field.of(copy)});
  return rows;
}

bool read_usage(std::string_view metrics, StoreUsage& out) {
  for (const Field& field : kFields) {
    const std::string start = fmt::format("\n{}{} ", kMetricPrefix, field.name);
    const size_t at = metrics.find(start);
    if (at == std::string_view::npos) return false;
    const char* begin = metrics.data() + at + start.size();
    const char* end = metrics.data() + metrics.size();
    if (std::from_chars(begin, end, field.of(out)).ec != std::errc()) return false;
  }
  return true;
}

std::string usage_table(const StoreUsage& usage) {
  const bss::BlobUsage& blobs = usage.blobs;
  std::string text;
  const auto line = [&](std::string_view name, uint64_t bytes, std::string_view note) {
    text += fmt::format("  {:<20}{:>12}{:>22}  {}\n", name, human(bytes), bytes, note);
  };
  text += fmt::format("blobs                 {} live in {} of {} segments\n", blobs.blobs, blobs.segments,
                      blobs.segments_max);
  line("capacity", blobs.capacity_bytes, "");
  line("= live", blobs.live_bytes, "with padding");
  line("+ garbage", blobs.garbage_bytes, "erased blobs, descriptors, ends of segments");
  line("+ unwritten", blobs.unwritten_bytes, "of segments that take batches");
  line("+ free", blobs.free_bytes, fmt::format("{} segments that hold nothing", blobs.segments_free));
  line("+ not allocated", blobs.unallocated_bytes, "segments not made yet");
  line("+ lost", blobs.lost_bytes, "segments whose headers are damaged");
  line("reserve", blobs.reserve_bytes, "which puts leave to erases and compaction");
  line("available", blobs.available_bytes, "for puts");
  line("checkpoints", blobs.checkpoint_bytes, "of the index, beside the capacity");
  text += fmt::format("namespace             {} pages\n", usage.namespace_pages);
  line("pages", usage.namespace_used_bytes, "in use");
  line("pages' file", usage.namespace_store_bytes, "never shrinks");
  line("journal", usage.journal_bytes, fmt::format("of at most {}", human(usage.journal_bytes_max)));
  text += "file system\n";
  line("size", usage.disk_bytes, "");
  line("available", usage.disk_available_bytes, "");
  text.pop_back();
  return text;
}

std::string usage_json(const StoreUsage& usage) {
  std::string text = "{";
  for (const UsageRow& row : usage_rows(usage))
    text += fmt::format("{}\"{}\": {}", text.size() == 1 ? "" : ", ", row.name, row.value);
  return text + "}";
}

}  // namespace fb
