// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "io/sim/sim_file.h"

namespace fb::sim {

// The file system of one simulated machine: it survives the processes that use it. Every operation here
// happens at one instant; latency, scheduling and crashes in between are the node's. Answers are those of the
// system calls: a count or -errno.
//
// Durable are the sectors of durable writes and of files that were synced; the size with the first of these
// that follows its change; an entry (created, renamed, removed) once its directory was synced. A power loss
// keeps or undoes each of the rest by chance (see docs/simulation.md).
class SimDisk {
 public:
  using FilePtr = std::shared_ptr<SimFile>;
  struct Options {
    uint64_t capacity_bytes = 1 * kGiB;
    bool direct_io = true;  // false: O_DIRECT is refused, as tmpfs does
    OmitFlush omit = OmitFlush::none;
    // A direct write to blocks that are settled (SimFile::settled) is durable when it has ended.
    bool power_loss_protection = false;
  };
  // A media fault that happened, for tests that check a program's report.
  struct Damage {
    Fault fault;
    FileRole role;
    std::string file;
    uint64_t offset;
    uint64_t length;
  };

  SimDisk(const Options& options, Random& random, FaultCounts& counts);
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  const Options& options() const { return options_; }
  DiskFaults& faults() { return faults_; }
  void set_capacity(uint64_t bytes) { options_.capacity_bytes = bytes; }
  void set_omit(OmitFlush omit) { options_.omit = omit; }
  const std::vector<Damage>& damages() const { return damages_; }

  struct OpenFlags {
    bool create = false;
    bool exclusive = false;
    bool truncate = false;
    bool directory = false;
  };
  int64_t open(std::string_view path, const OpenFlags& flags, FileRole role, FilePtr& out);
  int64_t read(SimFile& file, uint64_t offset, std::span<std::byte> out);
  int64_t write(SimFile& file, uint64_t offset, std::span<const std::byte> data, bool durable,
                bool direct = false);
  int64_t sync(SimFile& file);
  int64_t allocate(SimFile& file, uint64_t offset, uint64_t length);
  int64_t truncate(SimFile& file, uint64_t size);
  int64_t stat(std::string_view path, FileStat& out) const;
  int64_t rename(std::string_view from, std::string_view to);
  int64_t unlink(std::string_view path);
  int64_t make_directory(std::string_view path);
  int64_t list(std::string_view path, std::vector<std::string>& names) const;
  int64_t space(std::string_view path, FileSystemSpace& out) const;

  // Writes that were under way at a crash. At a power loss, each sector by itself:
  void tear_in_flight(SimFile& file, uint64_t offset, std::span<const std::byte> data);
  // A write through the page cache, at a kill: its first pages.
  void cut_in_flight(SimFile& file, uint64_t offset, std::span<const std::byte> data);
  // A direct write, after its process was killed.
  void land(SimFile& file, uint64_t offset, std::span<const std::byte> data);
  // Keeps or loses everything not durable; called with no process running. Returns the losses as lines for
  // the log.
  std::vector<std::string> lose_power();

  // For tests: the file, or null.
  FilePtr find(std::string_view path) const;
  uint64_t used_bytes() const;

 private:
  // A change of a directory that is not durable yet, in the order it was made.
  struct EntryChange {
    enum class Kind : uint8_t { link, rename, unlink } kind;
    FilePtr directory;  // its sync makes the change durable
    std::string name;
    FilePtr file;
    FilePtr from_directory;  // rename only
    std::string from_name;
  };
  struct Place {
    FilePtr directory;  // null: a folder on the way is missing
    std::string name;
    FilePtr file;  // null: no such entry
  };
  Place look_up(std::string_view path) const;
  FilePtr new_file(bool directory);
  void link(const Place& place, const FilePtr& file);
  void sync_directory(SimFile& directory);
  void make_durable(const EntryChange& change);
  bool omits(const SimFile& file) const;
  bool faulty(const SimFile& file) const {
    return ((faults_.roles >> static_cast<unsigned>(file.role)) & 1U) != 0;
  }
  bool draw(const SimFile& file, uint32_t ppm) { return faulty(file) && random_.chance(ppm); }
  uint32_t torn_unreadable_ppm(const SimFile& file) const {
    return faulty(file) ? faults_.torn_unreadable_ppm : 0;
  }
  void damage(Fault fault, const SimFile& file, uint64_t offset, uint64_t length);
  bool rot(SimFile& file, uint64_t offset, uint64_t length);
  void misdirect(SimFile& file, uint64_t offset, std::span<const std::byte> data);
  size_t fitting(const SimFile& file, uint64_t offset, size_t length) const;
  template <class Visit>
  static void walk(const FilePtr& directory, const Visit& visit);

  Options options_;
  Random& random_;
  FaultCounts& counts_;
  DiskFaults faults_;
  uint64_t next_id_ = 1;
  FilePtr root_;
  std::vector<EntryChange> changes_;
  std::vector<Damage> damages_;
};

}  // namespace fb::sim
