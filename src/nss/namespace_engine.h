// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/blob_client.h"
#include "client/namespace_client.h"
#include "io/scope.h"
#include "io/sync.h"
#include "nss/change.h"
#include "nss/entry_map.h"
#include "nss/journal_file.h"
#include "nss/listing.h"

// The first namespace engine: every tree an ordered map in memory, changes in a journal, now and then a
// snapshot of everything (docs/namespace.md). Capacity is bounded by memory; the seam is that of the engine
// to come.
//
// Invariants
// - A change is validated, written to the journal's buffer and made in the map without suspension between, so
// maps
//   change in the journal's order. A version is the number of its frame and its place in it.
// - No answer is given before the journal is durable up to everything the answer shows: the version of a
// record, the
//   last erase where a key is absent, the last change where a range was read.
// - A blob that a record stops naming goes to the ledger in the frame that stops it, and is erased only after
// every
//   read that began before has given back its pin.
// - A snapshot is taken while changes go on: it holds all frames up to its first number and perhaps some of
// those up to its
//   last; replaying from the first makes it exact, because a change never undoes a later version.
// - Blobs of ended incarnations pass from record to record only within a commit of one tree; so the sweep at
// start,
//   which is told of every commit while it marks, cannot miss one.
//
// Owned by core 0 and used there only; NamespaceFront (namespace_front.h) carries calls from other cores.

namespace fb {

class NamespaceFront;

class NamespaceEngine {
 public:
  struct Options {
    std::string directory;  // made where missing
    StoreId store_id{};
    uint64_t keys_max = 20'000'000;
    uint64_t memory_bytes_max = 8 * kGiB;               // of keys, records and nodes
    uint64_t segment_bytes = 16 * kMiB;                 // of the journal
    uint64_t journal_bytes_max = 256 * kMiB;            // bounds the replay at start
    uint64_t snapshot_journal_bytes = 64 * kMiB;        // journal size that starts a snapshot
    uint64_t snapshot_reserve_step = 1 * kMiB;          // least growth of the space kept for a snapshot
    uint64_t sweep_blobs_max = 2'000'000;               // marked in memory at a time
    Duration free_delay = Duration::milliseconds(200);  // between rounds that free the ledger's blobs
  };
  static constexpr size_t kFreeBatchMax = 256;  // blobs erased in one call

  // Loads the snapshot, replays the journal, and begins an incarnation. NamespaceError::damaged or
  // unsupported with a line in the log that names file and offset, or an IoError.
  static Task<Result<std::unique_ptr<NamespaceEngine>>> open(Env& env, const Options& options);
  ~NamespaceEngine();

  // Snapshots, freeing of garbage, and the sweep for what dead writers left. `blobs` is core 0's.
  void start_background(Scope& scope, BlobClient& blobs);
  // After every front was closed: ends the background work, takes a last snapshot, closes the journal.
  Task<Result<void>> close();

  // NamespaceClient on core 0; `pin` guards what get() finds.
  Task<Result<Found>> get(CallContext context, BucketId bucket, Space space, std::string_view key,
                          ReadPin pin);
  Task<Result<MutationResult>> apply(CallContext context, BucketId bucket, Mutation mutation);
  Task<Result<std::vector<MutationResult>>> commit(CallContext context, BucketId bucket,
                                                   std::span<const Mutation> mutations);
  Task<Result<ListPage>> list(CallContext context, ListRequest request);
  Task<Result<void>> create_tree(CallContext context, BucketId bucket);
  Task<Result<void>> drop_tree(CallContext context, BucketId bucket);
  Task<Result<TreeStatistics>> tree_statistics(CallContext context, BucketId bucket);
  Task<Result<uint64_t>> next_unique_number(CallContext context);
  Task<Result<std::vector<BucketId>>> trees(CallContext context);
  void discard(std::span<const Garbage> garbage);
  Incarnation incarnation() const { return incarnation_; }

  // Any core: the epoch that a read begun now is counted in.
  uint64_t read_epoch() const { return read_epoch_.load(std::memory_order_acquire); }
  Task<void> add_front(NamespaceFront& front);
  Task<void> remove_front(NamespaceFront& front);

  struct Statistics {
    uint64_t keys = 0;
    uint64_t memory_bytes = 0;
    uint64_t ledger_blobs = 0;
    uint64_t freed_blobs = 0;
    uint64_t swept_blobs = 0;
    uint64_t snapshots = 0;
    uint64_t replayed_frames = 0;
    bool sweep_done = false;
  };
  Statistics statistics() const;
  JournalFile& journal() { return *journal_; }
  Task<Result<void>> take_snapshot();
  // Asserts the maps' invariants and that counts are exact.
  void verify() const;

 private:
  struct Tree {
    EntryMap map;
    TreeStatistics statistics;
    uint64_t last_change = 0;  // frame
    uint64_t last_erase = 0;
  };
  struct Plan {
    uint64_t seen = 0;  // frame up to which the journal must be durable before an error is told
    bool frees_only = true;
    std::vector<Garbage> released;
    std::vector<Garbage> named;
    std::vector<Garbage> superseded_named;  // by puts that a later mutation of the commit undoes
    std::vector<Garbage> garbage;
    std::vector<uint8_t> superseded;  // by mutation
    int64_t keys_added = 0;
    int64_t bytes_added = 0;
  };

  NamespaceEngine(Env& env, const Options& options);

  // Opening: namespace_recovery.cc.
  Task<Result<void>> recover();
  Task<Result<uint64_t>> load_snapshot(uint64_t& epoch, uint64_t& sequence_ended);
  Task<Result<void>> replay(uint64_t from_sequence);
  void replay_change(const Change& change, uint64_t sequence);

  // Changes: namespace_commit.cc.
  Task<Result<void>> commit_into(const CallContext& context, BucketId bucket,
                                 std::span<const Mutation> mutations, std::span<MutationResult> results);
  Result<void> check_limits(std::span<const Mutation> mutations) const;
  Result<void> plan_commit(const Tree& tree, std::span<const Mutation> mutations);
  void plan_repetitions(std::span<const Mutation> mutations);
  Result<void> plan_mutation(const Tree& tree, const Mutation& mutation, bool superseded);
  Result<void> check_condition(const Tree& tree, const Mutation& mutation, const Entry* existing);
  Result<void> plan_garbage();
  void finish_change(ChangeKind kind, std::span<const Garbage> garbage);
  MutationResult make_change(Tree& tree, const Mutation& mutation, Version version, uint64_t sequence);
  void put_entry(Tree& tree, Entry* entry);
  bool remove_entry(Tree& tree, TreeKey key);
  size_t remove_prefix(Tree& tree, Space space, std::string_view prefix, Version below);
  void count(Tree& tree, const Entry& entry, int sign);
  void clear_tree(Tree& tree);
  Task<Result<void>> write_change(const CallContext& context, ChangeKind kind, BucketId bucket,
                                  bool frees_only, std::span<const Garbage> garbage, uint64_t& sequence);
  Task<Result<void>> erase_uploads(const CallContext& context, BucketId bucket);

  Tree* find_tree(BucketId bucket);
  Tree& make_tree(BucketId bucket);
  std::vector<uint64_t> tree_ids() const;
  Result<void> usable(const CallContext& context) const;
  static Error from_journal(const Error& error);

  // Background: namespace_background.cc.
  static Task<void> run_snapshots(NamespaceEngine* self);
  static Task<void> run_freeing(NamespaceEngine* self);
  static Task<void> run_sweep(NamespaceEngine* self);
  Task<Result<void>> write_snapshot();
  Task<Result<void>> write_entries(class SnapshotWriter& writer, uint64_t tree_id);
  void background_ended();
  // The space kept for the next snapshot: puts are refused where it cannot be had, so that a full disk never
  // keeps erases from being snapshot and the journal from being trimmed.
  uint64_t snapshot_bytes(int64_t bytes_added) const;
  bool reserve_covers(int64_t bytes_added) const {
    return snapshot_running_ || blobs_ == nullptr || snapshot_bytes(bytes_added) <= reserve_bytes_;
  }
  bool reserve_wanted() const {
    return !snapshot_running_ && snapshot_bytes(0) + options_.snapshot_reserve_step / 2 > reserve_bytes_;
  }
  Task<void> grow_reserve();
  Task<Result<void>> wait_for_reserve(const CallContext& context);
  Task<void> wait_for_readers();
  Task<Result<void>> free_batch(std::span<const Garbage> batch);
  Task<Result<uint64_t>> sweep_shard(uint16_t shard);
  Task<Result<void>> sweep_shards();
  Task<void> mark(unsigned pass, unsigned passes);
  void mark_blobs(std::string_view record);
  bool marks(const BlobId& id) const {
    return id.incarnation < incarnation_ && id.shard % sweep_passes_ == sweep_pass_;
  }

  Env& env_;
  Options options_;
  std::unique_ptr<JournalFile> journal_;
  std::unordered_map<uint64_t, std::unique_ptr<Tree>> trees_;
  std::map<BlobId, uint32_t> ledger_;  // garbage and its block counts
  Incarnation incarnation_;
  uint64_t keys_ = 0;
  uint64_t memory_bytes_ = 0;
  uint64_t last_drop_ = 0;  // frame
  bool open_ = false;
  bool closing_ = false;
  Plan plan_;
  std::string frame_;

  std::atomic<uint64_t> read_epoch_{1};
  std::vector<NamespaceFront*> fronts_;
  AsyncMutex fronts_mutex_;

  BlobClient* blobs_ = nullptr;
  unsigned background_tasks_ = 0;
  Notification background_ended_;
  Notification snapshot_wanted_;
  Notification ledger_grew_;
  AsyncMutex snapshot_mutex_;
  CancelSource stop_sleeps_;
  Notification reserve_grew_;
  bool snapshot_pending_ = false;
  bool snapshot_running_ = false;
  uint64_t reserve_bytes_ = 0;
  bool reserve_failed_ = false;

  bool sweeping_ = false;
  unsigned sweep_pass_ = 0;
  unsigned sweep_passes_ = 1;
  std::unordered_set<BlobId> marked_;
  Statistics statistics_;
};

}  // namespace fb
