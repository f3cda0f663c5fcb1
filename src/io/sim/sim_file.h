// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "io/io_request.h"
#include "io/sim/fault.h"
#include "io/sim/random.h"

namespace fb::sim {

inline constexpr size_t kSectorSize = 512;
inline constexpr size_t kPageSize = 4096;
inline constexpr size_t kSectorsPerPage = kPageSize / kSectorSize;

// A file or directory of a simulated disk. A file has one content that the programs see, and, for every
// sector that is not yet durable, the older bytes that are. A power loss chooses between the two. Sectors are
// atomic, pages are not.
class SimFile {
 public:
  using Sector = std::array<std::byte, kSectorSize>;

  SimFile(uint64_t id_in, bool directory_in) : id(id_in), directory(directory_in) {}
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;

  const uint64_t id;
  const bool directory;
  FileRole role = FileRole::other;
  std::string name;  // the last name it was given; for reports
  // Held by open file descriptions (open_file.h).
  struct Locks {
    bool exclusive = false;
    unsigned shared = 0;
  };
  Locks locks;

  // Entries as the programs see them, and as they are on the medium.
  std::map<std::string, std::shared_ptr<SimFile>> entries;
  std::map<std::string, std::shared_ptr<SimFile>> durable_entries;

  uint64_t size() const { return size_; }
  uint64_t page_count() const { return pages_.size(); }
  bool has_page(uint64_t page) const { return pages_.contains(page); }
  // Every page of the range lies on the medium at a place that the file system has recorded: written once,
  // and synced since. Later writes there need nothing more from the file system.
  bool settled(uint64_t offset, uint64_t length) const;
  // Whether the sector was written and is durable since: media faults damage only such sectors.
  bool synced_sector(uint64_t sector) const;
  bool unreadable(uint64_t offset, uint64_t length) const;
  void make_unreadable(uint64_t sector) { unreadable_.insert(sector); }

  // Bytes past the end are not given; holes are zeros.
  size_t read(uint64_t offset, std::span<std::byte> out) const;
  // Extends the size if needed. `durable`: these sectors, and the size if it grew, are on the medium
  // afterwards.
  void write(uint64_t offset, std::span<const std::byte> data, bool durable, Random& random);
  // Applies a write under way at a crash: each sector reaches the medium or does not. A sector that does not
  // may be unreadable from then on.
  void write_torn(uint64_t offset, std::span<const std::byte> data, uint32_t unreadable_ppm, Random& random,
                  FaultCounts& counts);
  void flip_bit(uint64_t byte_offset, unsigned bit);
  // Reserves pages of zeros and extends the size.
  void allocate(uint64_t offset, uint64_t length);
  void truncate(uint64_t size);
  void sync();
  // A sync failed: nothing it covered ever becomes durable, unless it is written again.
  void lose_unsynced();
  // Returns how many sectors fell back.
  size_t lose_power(Random& random, FaultCounts& counts);

 private:
  using Page = std::array<std::byte, kPageSize>;
  struct Unsynced {
    Sector durable;
    uint64_t write_number;
    bool lost = false;
  };

  std::span<std::byte> sector_bytes(uint64_t sector);
  Sector copy_of(uint64_t sector) const;
  void change(uint64_t sector, size_t offset, std::span<const std::byte> data, bool durable, Random& random);
  void remember_durable(uint64_t sector);
  void set_size(uint64_t size, bool durable);

  uint64_t size_ = 0;
  uint64_t durable_size_ = 0;
  uint64_t write_number_ = 0;
  std::map<uint64_t, std::unique_ptr<Page>> pages_;  // null: reserved, never written
  std::map<uint64_t, Unsynced> unsynced_;            // by sector
  std::set<uint64_t> unsettled_;   // pages written, and no sync or durable write of them since
  std::set<uint64_t> unreadable_;  // sectors
};

}  // namespace fb::sim
