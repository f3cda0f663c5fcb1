// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "io/io_request.h"

namespace fb::sim {

// Everything that can go wrong in a simulation. Each is counted when it happens, not when it is drawn.
enum class Fault : uint8_t {
  // crash faults: the fate of work that no flush has covered
  power_loss,         // a node lost its power
  kill,               // a process was killed
  sector_kept,        // an unsynced sector survived
  sector_dropped,     // an unsynced sector fell back to its durable bytes
  write_torn,         // some sectors of one write survived and some did not
  sector_unreadable,  // a sector of such a write that did not survive cannot be read
  write_in_flight,    // a write was under way at the crash; some, all or none of it was applied
  write_landed_late,  // a direct write of a killed process landed after its end
  size_dropped,       // an unsynced file size fell back
  entry_kept,         // an unsynced directory operation survived
  entry_dropped,      // an unsynced directory operation was undone
  // media faults
  rot,                // a bit of a synced sector flipped
  misdirected_write,  // acknowledged, but written somewhere else
  lost_write,         // acknowledged, but never written
  read_error,
  write_error,
  sync_error,  // and the data it covered never becomes durable
  name_error,  // a change of a name or size, or a sync of a directory, failed; it may have happened
  stall,       // an operation took seconds
  disk_full,   // ENOSPC, or a write cut short by the end of space
  // network faults
  connection_reset,
  segment_dropped,  // lost on the wire and sent again
  connect_refused,
  half_open,      // a connection went silent in both directions
  partition,      // a link was cut between two nodes
  lookup_failed,  // a look-up of a name's addresses failed
  count,
};
inline constexpr size_t kFaultCount = static_cast<size_t>(Fault::count);
std::string_view to_string(Fault fault);

class FaultCounts {
 public:
  void add(Fault fault, uint64_t count = 1) { counts_[static_cast<size_t>(fault)] += count; }
  uint64_t operator[](Fault fault) const { return counts_[static_cast<size_t>(fault)]; }
  uint64_t total() const;
  void merge(const FaultCounts& other);
  std::string to_string() const;

 private:
  std::array<uint64_t, kFaultCount> counts_{};
};

// Chances of media faults, in millionths of operations of their kind.
struct DiskFaults {
  uint32_t rot_ppm = 0;                // of reads
  uint32_t misdirected_write_ppm = 0;  // of writes
  uint32_t lost_write_ppm = 0;         // of writes
  uint32_t read_error_ppm = 0;
  uint32_t write_error_ppm = 0;
  bool failed_writes_do_nothing = false;  // otherwise any part of them may be on the medium
  uint32_t torn_unreadable_ppm = 0;       // of the sectors that a torn or failed write did not reach
  uint32_t sync_error_ppm = 0;            // of syncs and durable writes
  uint32_t name_error_ppm =
      0;                   // of renames, removals, new folders, truncations, reservations, syncs of folders
  uint32_t stall_ppm = 0;  // of all file operations
  Duration stall_max = Duration::seconds(5);
  // A bit a FileRole (1 << role): only files of these roles suffer rot, misdirected, lost and failed
  // operations.
  uint32_t roles = 0xff;
};

// Chances of network faults, in millionths.
struct NetworkFaults {
  uint32_t reset_ppm = 0;            // of segments
  uint32_t segment_dropped_ppm = 0;  // of segments
  uint32_t half_open_ppm = 0;        // of segments
  uint32_t connect_refused_ppm = 0;  // of connects
  uint32_t lookup_failed_ppm = 0;    // of look-ups of names
};

struct FaultPlan {
  DiskFaults disk;
  NetworkFaults network;
};

// A flush that the simulated disk acknowledges but does not do: it simulates a forgotten flush in the engine.
enum class OmitFlush : uint8_t {
  none,
  data,       // durable writes and syncs of files of FileRole::data and FileRole::snapshot
  journal,    // durable writes and syncs of files of FileRole::journal
  directory,  // directory syncs, for entries that were created
  rename,     // directory syncs, for renames
};
std::string_view to_string(OmitFlush omit);

enum class CrashKind : uint8_t {
  power_loss,  // unsynced data may be kept, dropped or torn
  kill,        // data that reached the kernel survives
};

}  // namespace fb::sim
