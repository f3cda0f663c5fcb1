// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bss/page/page_file_log.h"
#include "bss/page/page_file_table.h"
#include "client/page_client.h"
#include "io/file.h"
#include "io/scope.h"
#include "io/sync.h"

// A page store in files of one directory: slots of one size, a table of which page is in which slot, a log of
// the table's changes. docs/formats/page_store.md has the bytes, docs/namespace.md the reasons.
//
// A change: the pages go into free slots, neighbours in one write; when they are durable, one group of the
// log, shared by all that waits, makes them the stored ones; then the table is changed in memory and the
// slots they replace are free. So nothing that is live is ever written over, and a torn write loses nothing.
//
// A checkpoint: at a group's end the other log begins a new generation and the table as of that moment is
// written into the older of two files, in the background. Recovery: the newest table that is whole, and the
// logs since.
//
// Invariants
// - A page whose change is acknowledged stands whole in the slot that table and log name: anything else there
//   is damage, and is reported when the page is read.
// - All space of logs and tables is allocated before the slots it speaks for exist: erases and checkpoints
//   never need any.
// - The last `reserve_pages` free slots are for pages that exist already, which so can always be written
//   again, and for new ones that say that they may use them.
// - After a failed write of the log, or sync of slots, nothing is written any more, and everything that would
//   is PageError::unavailable until the next open(): what is on the disk is not known. Reads go on.
//
// Owned by one core. Any number of reads and writes may be under way.

namespace fb {

struct PageFileStats {
  uint64_t reads = 0, read_bytes = 0;
  uint64_t writes = 0, write_bytes = 0;
  uint64_t erases = 0;
  uint64_t log_groups = 0, log_bytes = 0;
  uint64_t tables = 0, table_bytes = 0;  // written
  uint64_t damaged = 0;                  // pages that could not be read, or not as they were written
  uint64_t tables_damaged = 0;           // at start: an older one and more of the log were used
  uint64_t log_copies_damaged = 0;       // at start: the other copy was used
  uint64_t refused_full = 0;
  uint64_t write_errors = 0;      // their slots are not used again before the next start
  uint64_t changes_replayed = 0;  // at start
};

class PageFile final : public PageClient {
 public:
  struct Options {
    std::string directory;
    StoreId store_id{};
    // Of a new store; an existing one keeps its own.
    uint32_t slot_bytes = 16 * kKiB;  // power of two from kSlotBytesMin to kSlotBytesMax
    uint64_t log_bytes = 8 * kMiB;    // of each of two copies of each of two logs

    uint64_t growth_bytes = 64 * kMiB;  // how much is allocated at a time
    uint64_t size_bytes_max = 0;        // of all slots; 0: what the file system gives
    uint32_t reserve_pages = 256;
    Durability durability = Durability::strict;
  };
  static constexpr size_t kBatchPages = 64;  // written side by side, then made stored together
  static constexpr size_t kBatchErases = 1000;
  static constexpr size_t kDurableRunsMax = 4;        // of a batch that needs no sync
  static constexpr uint64_t kWritesInFlightMax = 64;  // slots, or runs of them
  static constexpr uint64_t kReadsInFlightMax = 256;
  static constexpr uint32_t kGrowthSlotsMin = 8;  // on a full disk smaller steps are tried down to this
  static constexpr uint32_t kSlotCountMax = 0xffff'0000;
  static constexpr uint32_t kEpochsAhead = 1024;                        // room kept in the tables' files
  static constexpr Duration kRetryDelay = Duration::milliseconds(500);  // of growth and table

  // Makes the store where there is none. PageError::damaged or an IoError, with a line in the log.
  static Task<Result<std::unique_ptr<PageFile>>> open(Env& env, const Options& options);
  ~PageFile() override;

  uint32_t page_length_max() const override { return page_length_max_of(superblock_.slot_bytes); }
  uint32_t page_memory_bytes() const override { return superblock_.slot_bytes; }
  Task<Result<Page>> read_page(const CallContext& context, PageId id) override;
  Task<Result<Found>> read_page_into(const CallContext& context, PageId id,
                                     std::span<std::byte> memory) override;
  Task<Result<void>> write_pages(const CallContext& context, uint64_t epoch,
                                 std::span<Write> writes) override;
  Task<Result<void>> erase_pages(const CallContext& context, uint64_t epoch,
                                 std::span<Erase> erases) override;
  Task<Result<void>> seal(const CallContext& context, uint64_t epoch) override;
  Task<Result<Listing>> enumerate(const CallContext& context, uint64_t cursor) override;
  Task<Result<Space>> space(const CallContext& context) override;

  // Writes the table as it is now, so that the next start has no log to read.
  Task<Result<void>> checkpoint();
  // Ends the background work, with a checkpoint where anything has changed. Nothing else may be under way.
  Task<Result<void>> close();

  const PageFileStats& stats() const { return stats_; }
  uint64_t sealed_epoch() const override { return sealed_epoch_; }
  uint64_t page_count() const override { return table_.page_count(); }
  // Of the pages' file.
  uint64_t file_bytes() const { return uint64_t{table_.slot_count()} * superblock_.slot_bytes; }
  uint64_t memory_bytes() const { return table_.memory_bytes(); }
  // The table in memory agrees with itself.
  bool verify() const { return table_.verify(); }

 private:
  // Changes that become durable together. Lives in the waiting coroutine's frame.
  struct Change {
    std::span<const PageLogEntry> entries;
    uint64_t epoch = 0;                // of the writer
    uint64_t seal_epoch = 0;           // 0: not a seal
    bool needs_sync = false;           // its slots are written, but not durable
    uint64_t syncs_failed_before = 0;  // when the first of them was written
    std::optional<Error> error;
    std::coroutine_handle<> waiter;
  };
  struct Commit;
  struct Round;
  class Locked;

  PageFile(Env& env, const Options& options);
  uint32_t slot_bytes() const { return superblock_.slot_bytes; }
  uint64_t offset_of(uint32_t slot) const { return uint64_t{slot} * slot_bytes(); }
  std::string path_of(std::string_view name) const;
  std::string table_path(size_t index) const;
  // On a device all files have one handle, and a sync that fails tells only the file that asked for it: there
  // every write is durable by itself.
  bool shares_syncs() const;

  // Opening: page_file_recovery.cc.
  Task<Result<void>> create();
  Task<Result<void>> recover();
  Task<Result<void>> read_superblock();
  Task<Result<void>> open_files(bool creates);
  Task<std::optional<PageTableHead>> read_head(size_t index, AlignedBytes& bytes, HeaderState& state);
  Task<Result<void>> load_newest_table();
  Task<Result<void>> load_table(size_t index, const PageTableHead& head, const AlignedBytes& head_bytes);
  bool has_logs_since(const PageTableHead& head) const;
  Task<Result<void>> replay_logs();
  bool replay(const PageLogEntry& entry);
  Task<Result<void>> begin_life();
  Error refuse(const std::string& path, std::string_view what, PageError code) const;
  Task<void> close_files();

  // The table's files: page_file_checkpoint.cc.
  Task<Result<void>> reserve_table(uint32_t slot_count);
  struct TableWrite {
    PageTable::Snapshot table;
    uint64_t number = 0;
    uint64_t next_sequence = 0;
    uint64_t sealed_epoch = 0;
    bool log_started = false;
  };
  TableWrite table_now(uint64_t number, bool log_started) const;
  Task<Result<void>> write_table(const TableWrite& write);
  static Task<void> run_checkpointer(PageFile* self);

  // Writing: page_file_write.cc.
  Result<void> admit(const CallContext& context, uint64_t epoch, PageId id, Lsn version) const;
  Task<void> write_batch(const CallContext& context, uint64_t epoch, std::span<Write> batch);
  Task<size_t> wait_for_slots(size_t urgent, size_t others);
  Task<void> write_round(uint64_t epoch, std::span<Write*> writes, std::span<const uint32_t> slots);
  Task<void> write_images(Round& round);
  static Task<void> write_run(PageFile* self, Round* round, size_t first, size_t count);
  static Task<void> write_slot(PageFile* self, Round* round, size_t index);
  void note_written(Round& round, size_t first, size_t count, const Result<size_t>& written);
  Task<void> erase_batch(const CallContext& context, uint64_t epoch, std::span<Erase> batch);

  // The log and growth: page_file_commit.cc.
  static Task<void> run_committer(PageFile* self);
  Task<void> begin_checkpoint();
  Task<void> commit_group();
  void refuse_changes();
  void apply(std::span<const PageLogEntry> entries);
  void finish(Change& change, std::optional<Error> error);
  void fail(const Error& error);
  bool wants_checkpoint() const;
  static Task<void> run_grower(PageFile* self);
  bool wants_growth() const;
  uint64_t growth_left() const;
  uint32_t growth_step() const;
  Task<Result<void>> grow(uint32_t slots);
  Task<Result<void>> sync_pages();

  Env& env_;
  Options options_;
  PageSuperblock superblock_;
  uint64_t seed_ = 0;
  File pages_;
  std::array<File, 2> tables_;
  size_t newest_table_ = 0;    // which of the two
  uint64_t table_number_ = 0;  // of the newest one
  PageLog log_;
  PageTable table_;
  uint64_t next_sequence_ = 1;
  uint64_t sealed_epoch_ = 0;

  std::set<uint64_t> busy_;  // pages that are being changed
  uint64_t slots_held_ = 0;  // taken by changes that are not stored yet
  std::deque<Change*> changes_;
  std::vector<PageLogEntry> group_;
  std::optional<TableWrite> table_write_;  // what the checkpointer is to write
  bool checkpoint_wanted_ = false;
  bool checkpoint_failing_ = false;
  bool growth_failed_ = false;
  bool failed_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  PageFileStats stats_;
  Notification unlocked_;
  Notification space_;
  Notification commit_wake_;
  Notification checkpoint_wake_;
  Notification checkpoint_done_;
  Notification grow_wake_;
  AsyncMutex pages_sync_;
  AsyncMutex tables_mutex_;    // one writes them, or makes room in them, and syncs
  uint64_t syncs_failed_ = 0;  // of pages_
  Semaphore writes_in_flight_;
  Semaphore reads_in_flight_;
  CancelSource stop_sleeping_;
  Scope scope_;
};

}  // namespace fb
