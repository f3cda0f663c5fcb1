// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "art/page_op.h"
#include "art/rename_gate.h"
#include "client/blob_client.h"
#include "client/checkpoint_client.h"
#include "client/journal_client.h"
#include "client/namespace_client.h"
#include "client/page_client.h"
#include "nss/buffer_manager.h"
#include "nss/checkpoint.h"
#include "nss/commit_record.h"
#include "nss/tree_value.h"

// The namespace engine: the trees of all buckets over one page store and one journal. Every core works on
// the trees by itself (PartitionFront); this is what they share, and what goes on beside them on core 0:
// write-behind, checkpoints, freeing garbage, the sweep, compaction. docs/namespace_engine.md has the whole.
//
// Invariants
// - A page is changed only by operations of the record that is appended under the same latches.
// - Everything between an operation's decision and the marks it leaves (dirty pages, counts, garbage) is one
//   *section* of its core, without suspension. Who has waited until no core is in a section that began before
//   (wait_for_sections) sees all that records before that moment have left.
// - A checkpoint's position is a record's first byte, below the first record of every page that the store
//   lacks and below every record whose marks were not seen.
// - No answer is given before the journal is durable up to what it saw.
// - A blob that a record stops naming is in that commit's head, in the ledger until it is erased, and erased
//   only when the record is durable and every read begun before has ended.

namespace fb {

class PartitionFront;

// One bucket's tree, shared by all cores.
struct TreeState {
  TreeState(BucketId bucket_in, PageId root_in, unsigned cores)
      : bucket(bucket_in), root_page(root_in), gate(cores) {}

  enum class State : uint8_t { open, closing, dropped };
  const BucketId bucket;
  const PageId root_page;
  BufferFrame* root = nullptr;  // pinned; null: the root page is damaged
  art::RenameGate gate;
  std::atomic<State> state{State::open};  // closing: operations wait until it is decided
  std::atomic<bool> has_detached{false};  // something may lie in its ledger space
  // Core 0's: after a failure that is not touched before `detached_retry`.
  Instant detached_retry;
  Duration detached_pause;

  // What commits have added since the last checkpoint, by the parity of their generation.
  struct Counts {
    // A cache line of its own, lest every change takes from the other cores what their reads look at.
    char before[64];
    std::atomic<int64_t> objects{0}, bytes{0}, uploads{0};
    char behind[64];
    void add(const CountChange& change);
    CountChange now() const;
    CountChange take();
  };
  Counts counts[2];
  CountChange base;                // core 0's: what is in neither
  CountChange counts_now() const;  // on core 0
  // Keys, since the last walk of compaction began, or since the start.
  std::atomic<uint64_t> erased{0};
};

class Partition {
 public:
  struct Options {
    uint64_t memory_bytes = 256 * kMiB;    // of page frames
    uint64_t sweep_blobs_max = 2'000'000;  // marked in memory at a time
    bool sweep_always = false;  // also after an end in order: where writes may arrive after their time
    Duration free_delay = Duration::milliseconds(200);     // between rounds that free garbage
    Duration read_epoch_max = kReadEpochMax;               // before a long read names what it needs
    Duration checkpoint_tick = Duration::milliseconds(5);  // how often is looked whether one is due
    uint64_t compact_erased_min = 1000;                    // keys, before a tree is walked over,
    uint64_t compact_erased_share = 4;                     // and this share of those it holds: a quarter
    Duration compact_tick = Duration::milliseconds(100);   // in which a walk takes its share
    Duration compact_delay = Duration::seconds(1);         // between looks at which trees are due
    uint64_t first_version = 1;                            // of an epoch; tests begin near the end
    // What erased prefixes covered goes to the ledger until that has so many blobs, not counting those that
    // could not be freed.
    size_t ledger_detached_max = 65'536;
  };
  // A checkpoint is due when the journal has come to half its bound. It writes the pages whose first changes
  // are the oldest, until this share of that half is behind them.
  static constexpr uint64_t kCheckpointShare = 8;
  // Records in memory, at most, that are not durable yet; a power of two.
  static constexpr uint64_t kRingBytes = 16 * kMiB;
  // What one split appends at most, and what one operation may append at least: several splits.
  static constexpr uint64_t kSplitBytes = 5 * 64 * kKiB / 2;
  static constexpr uint64_t kOperationBytes = 512 * kKiB;
  // New pages one operation may need at first.
  static constexpr uint32_t kOperationFrames = 8;
  static constexpr size_t kFreeBatchMax =
      1024;  // blobs erased in one call: some 64 a shard, as many as a block of a batch takes
  // Versions of one epoch. What changes that have been let in may take at most, on all cores, is kept back.
  static constexpr uint64_t kVersionCounterEnd = uint64_t{1} << kVersionCounterBits;
  static constexpr uint64_t kVersionsKept = uint64_t{1} << 24;
  // And never when it has so many times that many.
  static constexpr size_t kLedgerStuckShare = 16;
  // What a walk of compaction does in one tick at most: pages looked at, read, and changed (joined with
  // others or laid out anew).
  static constexpr int kCompactLooks = 200;
  static constexpr int kCompactReads = 20;
  static constexpr int kCompactChanges = 10;
  // It lays out anew a page of which so large a share is garbage.
  static constexpr uint32_t kCompactGarbageShare = 4;

  // NamespaceError::damaged with a line in the log that says what, or an error of a client.
  static Task<Result<std::unique_ptr<Partition>>> open(Env& env, const Options& options,
                                                       const MetadataClients& stores);
  ~Partition();
  // Pages that a rename of a prefix may keep latched: a share of the frames, and not too many.
  static constexpr uint32_t pages_beneath_max(uint32_t frame_count) {
    return std::min(frame_count / 4, kPagesBeneathMax);
  }
  static constexpr uint32_t kPagesBeneathMax = 1024;
  // Pages that the store should keep for what must be written on a full disk, as many as fit the frames.
  static uint32_t reserve_pages(uint64_t memory_bytes, uint32_t page_bytes, unsigned cores);

  // Freeing of garbage, compaction and, after an unclean end, the sweep. `blobs` is core 0's.
  void start_background(BlobClient& blobs);
  // After every front was closed: ends the background work, writes everything.
  Task<Result<void>> close();

  Incarnation incarnation() const { return incarnation_; }
  // Blobs of this incarnation are left that no record names: the next start has to sweep. Before close().
  void leave_to_sweep() { unnamed_left_ = true; }
  uint32_t page_bytes() const { return buffers_->page_bytes(); }

  struct Statistics {
    uint64_t objects = 0;
    uint64_t trees = 0;
    uint64_t memory_bytes = 0;  // of frames
    uint64_t dirty_pages = 0;
    uint64_t pages = 0;  // in the store
    uint64_t page_loads = 0, pages_written = 0, evictions = 0, pages_damaged = 0;
    uint64_t ledger_blobs = 0;
    uint64_t held_blobs = 0;  // of these, that long reads still need
    uint64_t freed_blobs = 0;
    uint64_t swept_blobs = 0;
    uint64_t checkpoints = 0;
    uint64_t replayed_records = 0;
    uint64_t redo_pages = 0;     // that still lack changes of replayed records
    uint64_t journal_bytes = 0;  // that a start would replay
    bool sweep_done = false;
    bool compacting = false;                        // a walk is under way
    uint64_t compact_walks = 0;                     // that came to their end
    uint64_t compact_looks = 0, compact_reads = 0;  // pages
    uint64_t compact_joined = 0, compact_split = 0, compact_laid_out = 0;
  };
  Statistics statistics() const;

  // Every invariant of all trees, the counts and the ledger. Core 0. Compaction stands still. With `in_use`
  // it does not, and others may change them meanwhile: what such a change explains is no problem, and counts
  // are compared only where nothing came between. What the report names may be garbage by now.
  struct VerifyReport {
    std::vector<std::string> problems;  // at most kVerifyProblemsMax
    uint64_t trees = 0, pages = 0, keys = 0;
    uint64_t live_bytes = 0, capacity_bytes = 0;
    uint64_t depth_max = 0;                      // pages
    uint64_t counts_not_compared = 0;            // trees that were changed meanwhile
    std::unordered_map<BlobId, uint32_t> named;  // every blob that a record names, and its blocks
    std::unordered_set<BlobId> garbage;          // the ledger's
    double fill() const {
      return capacity_bytes == 0 ? 0 : static_cast<double>(live_bytes) / static_cast<double>(capacity_bytes);
    }
  };
  static constexpr size_t kVerifyProblemsMax = 1000;
  Task<Result<VerifyReport>> verify(bool in_use = false);
  // Which keys name any of these blobs: bucket and key as a person reads them.
  Task<Result<std::vector<std::string>>> keys_naming(const std::unordered_set<BlobId>& blobs);
  // Where records too large for a page are read from, by verify() without start_background().
  void use_blobs(BlobClient& blobs);

  // --- core 0 ---
  Task<Result<void>> create_tree(CallContext context, BucketId bucket);
  Task<Result<void>> drop_tree(CallContext context, BucketId bucket);
  Task<Result<TreeStatistics>> tree_statistics(CallContext context, BucketId bucket);
  std::shared_ptr<TreeState> find_tree(BucketId bucket) const;
  std::vector<BucketId> trees() const;
  Task<Result<void>> take_checkpoint(bool everything);
  Task<void> add_front(PartitionFront& front);
  Task<void> remove_front(PartitionFront& front);
  BufferManager& buffers() { return *buffers_; }
  // A commit or rename carries blobs of ended incarnations to another key while the sweep marks: told before.
  void mark_moved(std::span<const Garbage> blobs);
  // Held back for a while when the mark comes to its end: NamespaceError::timed_out or unavailable then.
  struct Renamed {
    BucketId bucket;
    std::string destination;
    bool prefix = false;
    auto operator<=>(const Renamed&) const = default;
  };
  Task<Result<void>> rename_begins(Instant deadline, const Renamed& rename);
  void rename_ends(const Renamed& rename);
  // Blobs that are garbage, by a record that is in the journal's buffer.
  void add_garbage(std::span<const Garbage> garbage);

  // --- any core ---
  struct CorePorts {
    JournalPort* journal = nullptr;
    BufferPort* buffers = nullptr;
  };
  // Made at the first call on a core.
  CorePorts ports(Env& env);
  JournalBuffer& journal_buffer() { return *journal_; }
  uint64_t read_epoch() const { return read_epoch_.load(std::memory_order_acquire); }
  // Once versions_left() has said so since the last suspension.
  Version next_version() {
    const uint64_t counter = version_counter_.value.fetch_add(1, std::memory_order_relaxed);
    FB_ASSERT(counter < kVersionCounterEnd, counter);
    return {(uint64_t{incarnation_.value} << kVersionCounterBits) + counter};
  }
  // NamespaceError::unavailable where this epoch has given all of its versions: a restart begins another one.
  Result<void> versions_left() const {
    if (version_counter_.value.load(std::memory_order_relaxed) < kVersionCounterEnd - kVersionsKept)
      return {};
    return NamespaceError::unavailable;
  }
  uint64_t generation() const { return generation_.load(); }
  // Records up to here ended the trees that are gone.
  uint64_t last_drop() const { return last_drop_.load(std::memory_order_acquire); }
  // Each time the sweep marks has a number of its own; 0: it does not mark now.
  uint64_t sweep_round() const { return sweep_round_.load(); }
  bool sweeping() const { return sweep_round() != 0; }
  bool refuses_puts() const { return refuses_puts_.load(std::memory_order_relaxed); }
  // What is in the ring must fit what the journal has ready, with half a segment to spare: a page can be
  // written, and so room be made by a checkpoint, only when its records are in the journal.
  bool journal_tight() const {
    const uint64_t in_flight = journal_->tail() - journal_->durable();
    return journal_store_.room_bytes() < in_flight + journal_store_.segment_bytes() / 2;
  }
  bool closing() const { return closing_.load(std::memory_order_relaxed); }

  // Marks that the core is between a decision and what it leaves; never across a suspension.
  class Section {
   public:
    Section(Partition& partition, unsigned core) : mark_(partition.marks_[core].value) {
      mark_.fetch_add(1, std::memory_order_seq_cst);
    }
    Section(const Section&) = delete;
    ~Section() { mark_.fetch_add(1, std::memory_order_seq_cst); }

   private:
    std::atomic<uint64_t>& mark_;
  };

 private:
  friend class PartitionFront;
  friend struct Verifier;
  struct Mark {
    std::atomic<uint64_t> value{0};  // odd inside a section
    char padding[56];
  };

  Partition(Env& env, const Options& options, const MetadataClients& stores);

  // Opening: partition_recovery.cc.
  Task<Result<void>> recover();
  Task<Result<uint64_t>> find_end();
  void make_memory(uint64_t end_position);
  Task<Result<void>> replay(uint64_t from_generation);
  Result<void> replay_record(const JournalRecord& record, uint64_t from_generation);
  static Task<void> run_redo(Partition* self);
  Task<Result<void>> open_trees();
  Error refuse(std::string_view what) const;

  // Checkpoints: partition_checkpoint.cc.
  static Task<void> run_checkpoints(Partition* self);
  static Task<void> run_journal(Partition* self);
  static Task<void> run_buffers(Partition* self);
  static Task<void> run_deadlines(Partition* self);
  Task<void> wait_for_sections();
  Task<void> collect_from_fronts();
  Task<void> collect_from(PartitionFront& front);
  Task<Result<Checkpoint>> make_checkpoint(bool everything);
  Task<Result<void>> write_checkpoint(const Checkpoint& checkpoint);
  Task<Result<void>> finish_checkpoint(const Checkpoint& checkpoint);
  Task<Result<void>> erase_retired();
  Task<void> look_at_space();
  uint64_t journal_used() const;
  uint64_t journal_growth() const;
  // To the journal, by this process and, as far as it was replayed, by those before.
  uint64_t journal_written() const { return journal_before_ + journal_store_.written_bytes(); }
  uint64_t journal_target() const { return journal_store_.bounds().size_bytes_max / 2; }
  uint64_t journal_share() const { return journal_target() / kCheckpointShare; }
  void note_boundary();

  // Trees: partition_trees.cc.
  Task<Result<void>> wait_empty(const CallContext& context, TreeState& tree, bool& retry);
  Task<Result<bool>> any_key(const CallContext& context, TreeState& tree, Space space);
  Task<Result<void>> erase_uploads(const CallContext& context, BucketId bucket);
  Task<Result<void>> end_tree(const CallContext& context, const std::shared_ptr<TreeState>& tree);
  Task<void> forget_tree(BucketId bucket);

  // Garbage: partition_garbage.cc.
  static Task<void> run_freeing(Partition* self);
  static Task<void> run_sweep(Partition* self);
  Task<bool> wait_for_readers();
  Task<Result<void>> free_round();
  Task<Result<void>> free_blobs(const std::vector<BlobExtent>& round, bool named);
  Task<void> leave_out_named(std::vector<BlobExtent>& batch);
  Task<Result<void>> move_detached();
  Task<Result<void>> wait_durable_or_closing(uint64_t position);
  bool may_move_detached() const;
  Task<Result<bool>> erase_some(const CallContext& context, BucketId bucket, Space space);
  Task<Result<uint64_t>> sweep_shard(uint16_t shard);
  Task<Result<void>> sweep_shards();
  Task<Result<void>> mark(unsigned pass, unsigned passes);
  Task<Result<void>> mark_all();
  Task<Result<void>> mark_renamed();
  struct Marking {
    std::string prefix;       // a space byte and what follows it
    bool only_itself{false};  // and no key that goes on behind it
  };
  Task<Result<void>> mark_tree(BucketId bucket, Marking what);
  Task<Result<bool>> mark_slice(TreeState& tree, const Marking& what, std::string& next);
  Task<Result<void>> mark_record(uint8_t flags, std::string_view value);
  bool marks(const BlobId& id) const {
    return id.incarnation < incarnation_ && id.shard % sweep_passes_ == sweep_pass_;
  }

  // partition_compact.cc
  struct Compactor;
  static Task<void> run_compaction(Partition* self);

  // partition_verify.cc
  struct Verifier;

  Env& env_;
  Options options_;
  CheckpointClient& checkpoints_;
  JournalClient& journal_store_;
  PageClient& page_store_;
  std::unique_ptr<JournalBuffer> journal_;
  PageRedo redo_;  // what pages may lack; core 0's
  std::unique_ptr<BufferManager> buffers_;
  Scope scope_;  // journal and buffers
  Incarnation incarnation_;
  struct {
    char before[64];
    std::atomic<uint64_t> value{1};
    char behind[64];
  } version_counter_;  // changes with every put, and what lies beside it is read by every get
  std::atomic<uint64_t> generation_{1};
  std::atomic<uint64_t> last_drop_{0};
  std::atomic<uint64_t> read_epoch_{1};
  std::atomic<uint64_t> sweep_round_{0};
  std::atomic<bool> refuses_puts_{false};
  std::atomic<bool> closing_{false};
  std::unique_ptr<Mark[]> marks_;
  std::unique_ptr<CorePorts[]> ports_;

  // Core 0's.
  std::unordered_map<uint64_t, std::shared_ptr<TreeState>> trees_;
  std::map<BlobId, uint32_t> ledger_;  // garbage and its block counts
  std::vector<BufferPort::Retired> retired_;
  // A place in the stream where a record begins, and how much had been written to the journal then.
  struct Boundary {
    uint64_t position;
    uint64_t written_bytes;
  };
  std::deque<Boundary> boundaries_;  // ascending; the first one is the checkpoint's or before it
  uint64_t checkpoint_number_ = 0;
  uint64_t checkpoint_position_ = 0;
  uint64_t checkpoint_sequence_ = 1;
  uint64_t checkpoint_written_ = 0;  // to the journal, at its position
  uint64_t journal_before_ = 0;      // of the journal, replayed at start
  bool checkpoint_due_ = false;      // the journal asks for room
  uint64_t checkpoint_base_ = 0;     // bytes of journal that the last checkpoint left
  Instant next_look_{};
  uint64_t found_epoch_ = 0;   // in which the checkpoint was written that the start found
  bool clean_ = false;         // the last process ended in order
  bool unnamed_left_ = false;  // this one leaves blobs to the sweep of the next
  bool open_ = false;
  bool ending_ = false;
  bool stopping_ = false;
  std::vector<PartitionFront*> fronts_;
  // While somebody goes over them: held for a message to each core and its answer, which no core gives later
  // than at its next turn. Nobody waits for a reader, a disk or a client with it.
  AsyncMutex fronts_mutex_;
  AsyncMutex checkpoint_mutex_;
  Notification redo_ended_;
  bool redone_ = false;
  BlobClient* blobs_ = nullptr;
  std::unique_ptr<PartitionFront> own_front_;  // the background's way into the trees
  Scope background_;
  CancelSource stop_sleeps_;
  unsigned compaction_holds_ = 0;  // while not 0, no walk changes anything

  uint64_t sweep_rounds_ = 0;  // begun so far
  unsigned sweep_pass_ = 0;
  unsigned sweep_passes_ = 1;
  std::unordered_set<BlobId> marked_;
  bool marking_ = false;
  std::multiset<Renamed> renames_under_way_;
  std::set<Renamed> renamed_;  // since the mark began: to be marked once more
  Duration rename_hold_;       // how long a rename is held back; 0: it is not
  size_t stuck_blobs_ = 0;     // of the ledger, that the last round did not free
  Statistics statistics_;
};

}  // namespace fb
