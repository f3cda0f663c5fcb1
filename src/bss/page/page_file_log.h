// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "bss/aligned_bytes.h"
#include "bss/page/page_file_format.h"
#include "io/file.h"

namespace fb {

// What changed in the table of a page store since its last checkpoint. Two files of fixed size, allocated
// when the store is made, take turns: a checkpoint begins a new generation in the one that is no longer
// needed. Each file holds everything twice, in its two halves, so that one damaged or lost sector costs
// nothing. One group is written at a time; what was written before is durable by then.
//
//     0        4096                    log_bytes                        2 * log_bytes
//     | header | group | group | ...   | header | group | group | ...   |
//
// Recovery reads groups until neither half has the next one. It may be the torn end, that nobody was told
// about; a group behind it proves that it was durable, and then the log is damaged. Owned by PageFile.
class PageLog {
 public:
  PageLog(Env& env, std::string directory, Durability durability = Durability::strict)
      : env_(env), directory_(std::move(directory)), durability_(durability) {}

  // Both files with zeros: durable but for their names.
  Task<Result<void>> create(uint64_t log_bytes);
  // Reads the headers; PageError::damaged, with a line in the log, for a file that is another store's.
  Task<Result<void>> open(const StoreId& store_id, uint64_t log_bytes);
  Task<void> close();

  // The newest generation, 0: none was begun yet.
  uint64_t generation() const { return std::max(files_[0].header.generation, files_[1].header.generation); }
  bool has(uint64_t generation) const;
  // Whether nothing has been appended to the newest generation and both halves say that it has begun.
  bool is_fresh() const { return end_bytes_ == kJournalBlock && files_[active_].header_copies == 2; }

  // Of a fresh log: the header of a killed process may be readable and not on the medium. Durable when it
  // returns.
  Task<Result<void>> prove();

  // Calls `visit` for every change in order, beginning with group `next_sequence`, which is moved on behind
  // the last one. It may refuse; that is damage.
  using Visit = std::function<bool(const PageLogEntry&)>;
  Task<Result<void>> replay(uint64_t generation, uint64_t& next_sequence, uint64_t& sealed_epoch,
                            const Visit& visit);

  // Begins a generation in the file that does not hold the newest one: durable when it returns.
  Task<Result<void>> begin(uint64_t generation);
  uint64_t used_bytes() const { return end_bytes_ - kJournalBlock; }
  uint64_t capacity_bytes() const { return log_bytes_ - kJournalBlock; }
  bool has_room(size_t entries) const { return end_bytes_ + page_log_group_bytes(entries) <= log_bytes_; }
  // Durable when it returns; after an error nothing may be appended any more.
  Task<Result<void>> append(std::span<const PageLogEntry> entries, uint64_t sequence, uint64_t epoch);

  // Sectors or groups of one half that were only in the other one.
  uint64_t copies_damaged() const { return copies_damaged_; }

 private:
  struct LogFile {
    File file;
    SegmentHeader header;  // of the newest generation of both halves; generation 0: blank
    int header_copies = 0;
  };
  struct Half;
  std::string path_of(size_t index) const;
  OpenOptions options() const;
  Task<Result<void>> read_header(size_t index);
  bool later_group(std::array<Half, 2>& halves, uint64_t seed, uint64_t from_bytes, uint64_t sequence) const;
  Error damaged(size_t index, uint64_t offset, std::string_view what) const;
  Task<Result<void>> write_header(size_t index, const SegmentHeader& header);
  Task<Result<void>> write_both(File& file, std::span<const std::byte> bytes, uint64_t offset);

  Env& env_;
  std::string directory_;
  Durability durability_;
  StoreId store_id_{};
  uint64_t log_bytes_ = 0;
  std::array<LogFile, 2> files_;
  size_t active_ = 0;
  uint64_t seed_ = 0;
  uint64_t end_bytes_ = kJournalBlock;
  uint64_t copies_damaged_ = 0;
  AlignedBytes group_;
};

// Makes the file at least `to_bytes` long with zeros behind `from_bytes`. Space that was got before a failure
// stays with the file.
Task<Result<void>> write_zeros(File& file, uint64_t from_bytes, uint64_t to_bytes);
// Does the same, and syncs the file: the zeros are durable when it returns.
Task<Result<void>> extend_with_zeros(File& file, uint64_t from_bytes, uint64_t to_bytes);

}  // namespace fb
