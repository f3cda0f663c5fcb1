// SPDX-License-Identifier: Apache-2.0
#include "io/sim/fault.h"

#include <fmt/core.h>

namespace fb::sim {

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::power_loss:
      return "power_loss";
    case Fault::kill:
      return "kill";
    case Fault::sector_kept:
      return "sector_kept";
    case Fault::sector_dropped:
      return "sector_dropped";
    case Fault::write_torn:
      return "write_torn";
    case Fault::sector_unreadable:
      return "sector_unreadable";
    case Fault::write_in_flight:
      return "write_in_flight";
    case Fault::write_landed_late:
      return "write_landed_late";
    case Fault::size_dropped:
      return "size_dropped";
    case Fault::entry_kept:
      return "entry_kept";
    case Fault::entry_dropped:
      return "entry_dropped";
    case Fault::rot:
      return "rot";
    case Fault::misdirected_write:
      return "misdirected_write";
    case Fault::lost_write:
      return "lost_write";
    case Fault::read_error:
      return "read_error";
    case Fault::write_error:
      return "write_error";
    case Fault::sync_error:
      return "sync_error";
    case Fault::name_error:
      return "name_error";
    case Fault::stall:
      return "stall";
    case Fault::disk_full:
      return "disk_full";
    case Fault::connection_reset:
      return "connection_reset";
    case Fault::segment_dropped:
      return "segment_dropped";
    case Fault::connect_refused:
      return "connect_refused";
    case Fault::half_open:
      return "half_open";
    case Fault::partition:
      return "partition";
    case Fault::lookup_failed:
      return "lookup_failed";
    case Fault::count:
      break;
  }
  return "unknown";
}

std::string_view to_string(OmitFlush omit) {
  switch (omit) {
    case OmitFlush::none:
      return "none";
    case OmitFlush::data:
      return "data";
    case OmitFlush::journal:
      return "journal";
    case OmitFlush::directory:
      return "directory";
    case OmitFlush::rename:
      return "rename";
  }
  return "unknown";
}

uint64_t FaultCounts::total() const {
  uint64_t sum = 0;
  for (const uint64_t count : counts_) sum += count;
  return sum;
}

void FaultCounts::merge(const FaultCounts& other) {
  for (size_t i = 0; i < kFaultCount; ++i) counts_[i] += other.counts_[i];
}

std::string FaultCounts::to_string() const {
  std::string text;
  for (size_t i = 0; i < kFaultCount; ++i) {
    if (counts_[i] == 0) continue;
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : ", ", sim::to_string(static_cast<Fault>(i)), counts_[i]);
  }
  return text;
}

}  // namespace fb::sim
