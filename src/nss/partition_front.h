// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "art/cursor.h"
#include "art/tree.h"
#include "client/unnamed_blobs.h"
#include "nss/commit_plan.h"
#include "nss/partition.h"

namespace fb {

// The namespace as one core sees it, and the way in which it is changed: every core descends and changes the
// shared trees itself. Only buckets come and go by a call on core 0. Any number of calls may be under way.
class PartitionFront final : public NamespaceClient, public UnnamedBlobs, public ReadPin::Owner {
 public:
  static Task<std::unique_ptr<PartitionFront>> open(Env& env, Partition& partition);
  ~PartitionFront() override;
  // Where records too large for a page go: of this core, before the first call.
  void use_blobs(BlobClient& blobs) { blobs_ = &blobs; }
  // On every core before the partition closes; all pins must have been given back.
  Task<void> close();

  Task<Result<Found>> get(const CallContext& context, BucketId bucket, Space space,
                          std::string_view key) override;
  Task<Result<MutationResult>> apply(const CallContext& context, BucketId bucket,
                                     const Mutation& mutation) override;
  Task<Result<std::vector<MutationResult>>> commit(const CallContext& context, BucketId bucket,
                                                   std::span<const Mutation> mutations) override;
  Task<std::vector<Result<MutationResult>>> apply_each(const CallContext& context, BucketId bucket,
                                                       std::span<const Mutation> mutations) override;
  Task<Result<ListPage>> list(const CallContext& context, const ListRequest& request) override;
  Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) override;
  Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) override;
  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override;
  Task<Result<TreeStatistics>> tree_statistics(const CallContext& context, BucketId bucket) override;
  // A blob for a record that was not kept: the ledger frees it.
  void discard_blob(BlobId blob, uint32_t block_count) override;

  // Every tree, by id: for the root service, which clears away trees of buckets that were never made.
  Task<Result<std::vector<BucketId>>> trees(const CallContext& context);

  unsigned core() const { return env_.core(); }
  void unpin(uint64_t epoch) override;
  void begin_long(LongRead& read) override;
  void end_long(LongRead& read) override;
  void unname(const BlobId& blob) override;
  // UINT64_MAX where no read is under way.
  uint64_t oldest_read_epoch() const { return pins_.empty() ? UINT64_MAX : pins_.front().epoch; }
  // Has long reads that began up to this epoch name what they still need: kNarrowedMax of them at most.
  void narrow_reads(uint64_t epoch);
  static constexpr unsigned kNarrowedMax = 64;
  bool names_any() const { return !named_.empty(); }
  bool names(const BlobId& blob) const { return named_.contains(blob); }

 private:
  friend class Partition;
  // The tree's pages, as long as the journal's credit lasts.
  class Source : public TreeSource {
   public:
    Source(BufferPort& port, BufferFrame& root, const CommitJournal& journal)
        : TreeSource(port, root), journal_(&journal) {}
    art::Frame* create() { return journal_->may_create() ? TreeSource::create() : nullptr; }

   private:
    const CommitJournal* journal_;
  };
  using Tree = art::Tree<Source, CommitJournal>;
  // One tree on this core. Lives as long as some operation uses it, or the tree is there.
  struct Handle {
    Handle(std::shared_ptr<TreeState> state_in, BufferPort& port, CommitJournal& journal, unsigned core)
        : state(std::move(state_in)),
          source(port, *state->root, journal),
          tree(source, journal, state->gate, {.core = core}),
          renames(source, journal, state->gate,
                  {.core = core,
                   .key_bytes_max = 1 + kKeySizeMax,
                   .pages_beneath_max = Partition::pages_beneath_max(port.frame_count())}) {}
    std::shared_ptr<TreeState> state;
    Source source;
    Tree tree;
    Tree renames;  // refuses to make keys longer than an object's
  };
  using HandleRef = std::shared_ptr<Handle>;
  struct Pins {
    uint64_t epoch;
    uint64_t count;
  };
  struct Commit;
  struct Renaming;
  class Lookup;
  enum class Step : uint8_t { done, again };

  PartitionFront(Env& env, Partition& partition, Partition::CorePorts ports);
  ReadPin pin();
  // The tree, once no one is deciding whether it goes. NamespaceError::no_such_tree when that is durable.
  Task<Result<HandleRef>> find(const CallContext& context, BucketId bucket);
  HandleRef find_open(BucketId bucket) const;
  Task<Result<HandleRef>> find_slowly(const CallContext& context, BucketId bucket);
  void forget(BucketId bucket) { handles_.erase(bucket.value); }
  // Until the journal is durable up to `position`.
  Task<Result<void>> durable(const CallContext& context, uint64_t position);
  // What a change answers whose record, or the state that refused it, is not durable.
  static Error not_durable(bool made, const Error& journal);
  static Error from_journal(const Error& error);

  // Before each attempt at a change: room in the journal and for new pages; and for one that adds, that the
  // disk has room. All that follows without suspension may count on it.
  bool ready(uint64_t bytes) const;
  Task<Result<void>> make_ready(const CallContext& context, uint64_t bytes, bool adds);
  // Whether make_ready() would have nothing to do.
  bool may_begin(uint64_t bytes, bool adds) const {
    const bool open = !partition_.closing() && !closed_ && !(adds && partition_.refuses_puts());
    return open && !partition_.journal_buffer().failed() && ready(bytes);
  }
  // What stands in the way of another attempt is put right; `again`, or the error that ends the operation.
  // `gone`, of the operation: the last page that the tree led to and the store did not have. It has left the
  // tree since, or it is lost: then the tree, asked again, leads to it still.
  Task<Result<Step>> after(const CallContext& context, const art::Answer& answer, PageId& gone);
  // The same behind an attempt at a change: success where there is to be another one.
  Task<Result<void>> after_attempt(const CallContext& context, const art::Answer& answer, PageId& gone);
  // Before an operation begins anew: others get a turn, and the caller's bounds are looked at.
  Task<Result<void>> begin_again(const CallContext& context);

  // Gets: partition_get.cc.
  void look_up_gathered();
  using ListedSpilled = std::pair<size_t, SpilledRecord>;  // of which entry
  Task<Result<void>> read_listed(const CallContext& context, ReadPin held,
                                 std::span<const ListedSpilled> spilled, ListPage& page);
  Task<Result<std::string>> read_spilled(const CallContext& context, const SpilledRecord& spilled);

  // Changes: partition_commit.cc.
  Task<Result<void>> commit_into(const CallContext& context, BucketId bucket,
                                 std::span<const Mutation> mutations, std::span<MutationResult> results);
  Task<Result<void>> change(const CallContext& context, BucketId bucket, std::span<const Mutation> mutations,
                            std::span<MutationResult> results, uint64_t& position);
  Task<Result<void>> look_beneath(const CallContext& context, Commit& commit);
  Result<void> measure(Commit& commit) const;
  bool is_spilled(const Mutation& mutation) const;
  art::Answer attempt(Commit& commit);
  art::Answer attempt_in_section(Commit& commit);
  void leave_marks(Handle& handle, uint64_t generation, const art::Answer& answer);
  Task<Result<Step>> learn(const CallContext& context, CommitKnowledge& knowledge);
  Task<Result<void>> spill(const CallContext& context, std::span<const Mutation> mutations,
                           CommitKnowledge& knowledge);
  void unspill(const CommitKnowledge& knowledge);
  Task<Result<void>> look_beneath(const CallContext& context, Handle& handle, Space space,
                                  std::string_view prefix, CommitKnowledge& knowledge);
  uint64_t round_to_tell(const Commit& commit) const;
  Task<void> tell_sweep(std::vector<Garbage> blobs);

  // partition_rename.cc
  art::Answer attempt(Renaming& renaming);
  bool decide_key(Renaming& renaming, std::span<art::KeyEdit> edits);

  Env& env_;
  Partition& partition_;
  Partition::CorePorts ports_;
  BlobClient* blobs_ = nullptr;
  CommitJournal journal_;
  std::unordered_map<uint64_t, HandleRef> handles_;
  std::deque<Pins> pins_;  // ascending by epoch
  LongRead* long_reads_ = nullptr;
  std::unordered_map<BlobId, uint32_t> named_;  // by long reads, and how many of them
  std::vector<Garbage> garbage_;                // for the ledger; fetched by core 0
  CommitPlan plan_;                             // of the attempt that is being made
  std::string key_;                             // the same
  std::vector<Lookup*> lookups_;  // of this turn of the loop, the first of which will look all of them up
  struct {
    std::vector<Lookup*> lookups, of_tree;
    std::vector<std::string_view> keys;
    std::vector<art::Answer> answers;
  } batch_;  // that is being looked up
  bool closed_ = false;
};

}  // namespace fb
