// SPDX-License-Identifier: Apache-2.0
// What nothing names any more is freed, in the background: the ledger's blobs, and what erased prefixes left
// detached; and after an unclean end, by mark and sweep, what a process that
// died had written and not named.
#include <algorithm>

#include "base/safeguard.h"
#include "client/record.h"
#include "io/call_on.h"
#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kMarkSlice = 512;  // keys between two turns of others
constexpr Duration kReaderPoll = Duration::milliseconds(20);
constexpr Duration kRetryDelay = Duration::seconds(1);
constexpr Duration kDurableSlice = Duration::seconds(1);  // between two looks whether the process ends
constexpr Duration kMoveTimeout = Duration::seconds(10);  // of one batch of what lies detached
constexpr unsigned kCloudFailuresMax = 3;  // batches of a round: each may take as long as a request's tries
constexpr Duration kMovePauseMax = Duration::seconds(60);
// When the walk of a mark has ended, renames go on as before for so many rounds; then each is held back, for
// twice as long in each round.
constexpr unsigned kRenameRoundsFree = 2;
constexpr Duration kRenameHoldMin = Duration::seconds(1);
constexpr Duration kRenameHoldMax = Duration::seconds(60);
constexpr Duration kRenamePoll = Duration::milliseconds(2);

}  // namespace

// Until every read that may have looked before this call has ended, or has named what it still needs; whether
// any blobs are named so. The epoch moves first: a read that notes the old one is then seen by the question,
// which reaches its core later; one that notes the new one looks at the tree later still.
Task<bool> Partition::wait_for_readers() {
  struct Readers {
    uint64_t oldest_epoch;
    bool name_any;
  };
  const uint64_t old_epoch = read_epoch_.fetch_add(1, std::memory_order_acq_rel);
  const Instant patient_until = env_.now() + options_.read_epoch_max;
  while (!closing()) {
    const bool narrows = env_.now() >= patient_until;
    bool reading = false;
    bool named = false;
    {
      const auto held = co_await fronts_mutex_.acquire();
      for (PartitionFront* front : fronts_) {
        const Readers readers =
            co_await call_on(env_, front->core(), [front, narrows, old_epoch](Env&) -> Task<Readers> {
              if (narrows) front->narrow_reads(old_epoch);
              co_return Readers{front->oldest_read_epoch(), front->names_any()};
            });
        reading |= readers.oldest_epoch <= old_epoch;
        named |= readers.name_any;
      }
    }
    if (!reading) co_return named;
    (void)co_await sleep_for(env_, kReaderPoll, &stop_sleeps_);
  }
  co_return true;
}

// Only what is garbage for good is freed, and only once nobody can be reading it.
Task<Result<void>> Partition::free_round() {
  const Result<void> moved = co_await move_detached();
  co_await collect_from_fronts();
  if (ledger_.empty()) co_return moved;
  std::vector<BlobExtent> round;
  round.reserve(ledger_.size());
  for (const auto& [blob, block_count] : ledger_) round.push_back({blob, block_count});
  FB_CO_CHECK(co_await wait_durable_or_closing(journal_->tail()));
  const bool named = co_await wait_for_readers();
  FB_CO_CHECK(co_await free_blobs(round, named));
  co_return moved;
}

// A journal that is full at the end lets nobody wait for ever.
Task<Result<void>> Partition::wait_durable_or_closing(uint64_t position) {
  for (;;) {
    const Result<void> written =
        co_await ports_[0].journal->wait_durable(position, env_.now() + kDurableSlice);
    if (written) co_return Result<void>();
    if (closing() || !written.error().is(JournalError::timed_out)) co_return NamespaceError::unavailable;
  }
}

// In the order of their volumes: what is not on this machine, and may not be reachable, comes last, and holds
// up nothing else. What a long read has named stays in the ledger for another round: nobody can begin to need
// a blob of this one any more. What cannot be erased now (a part of the store is full or out of reach) stays
// as well, and does not hold up the others; the first such error is the answer.
Task<Result<void>> Partition::free_blobs(const std::vector<BlobExtent>& round, bool named) {
  uint64_t held = 0;
  size_t failed = 0;
  unsigned cloud_failures = 0;
  Result<void> result;
  for (size_t i = 0, count = 0; i < round.size() && !closing(); i += count) {
    for (count = 1; count < kFreeBatchMax && i + count < round.size(); ++count) {
      if (round[i + count].id.volume != round[i].id.volume) break;
    }
    const auto place = round.begin() + static_cast<ptrdiff_t>(i);
    std::vector<BlobExtent> batch(place, place + static_cast<ptrdiff_t>(count));
    if (named) co_await leave_out_named(batch);
    held += count - batch.size();
    if (batch.empty()) continue;
    const Result<void> erased = co_await blobs_->erase({}, batch);
    if (!erased) {
      failed += batch.size();
      if (result) result = erased;
      if (!is_cloud(batch.front().id) || ++cloud_failures < kCloudFailuresMax) continue;
      failed += round.size() - (i + count);
      break;
    }
    // Not in the journal: a start that finds them in the ledger again erases them again, which does nothing.
    for (const BlobExtent& extent : batch) ledger_.erase(extent.id);
    statistics_.freed_blobs += batch.size();
  }
  statistics_.held_blobs = held;
  stuck_blobs_ = held + failed;
  co_return result;
}

Task<void> Partition::leave_out_named(std::vector<BlobExtent>& batch) {
  const auto held = co_await fronts_mutex_.acquire();
  for (PartitionFront* front : fronts_) {
    co_await call_on(env_, front->core(), [front, &batch](Env&) -> Task<void> {
      std::erase_if(batch, [front](const BlobExtent& extent) { return front->names(extent.id); });
      co_return;
    });
  }
}

// What the last round could not free, since a long read needs it or it is out of reach, may stay long: it
// does not count, else it would stop the others; but there is an end to that, too.
bool Partition::may_move_detached() const {
  const size_t max = options_.ledger_detached_max;
  return ledger_.size() < max + std::min(stuck_blobs_, (kLedgerStuckShare - 1) * max);
}

// What erased prefixes covered goes to the ledger, by commits that erase the keys: from there it is freed as
// everything else. A tree in which that fails is left alone for a while, longer each time.
Task<Result<void>> Partition::move_detached() {
  std::vector<std::shared_ptr<TreeState>> detached;
  for (const auto& [bucket, tree] : trees_) {
    if (tree->root != nullptr && tree->has_detached.load() && tree->detached_retry <= env_.now())
      detached.push_back(tree);
  }
  Result<void> result;
  for (const std::shared_ptr<TreeState>& tree : detached) {
    tree->has_detached.store(false);
    Result<bool> more = true;
    while (more && *more && !closing() && may_move_detached()) {
      more = co_await erase_some({.deadline = env_.now() + kMoveTimeout}, tree->bucket, Space::ledger);
      co_await collect_from_fronts();
    }
    if (more) tree->detached_pause = {};
    if (more && !*more) continue;
    if (!more && more.error().is(NamespaceError::no_such_tree)) continue;  // dropped meanwhile
    tree->has_detached.store(true);
    if (more || closing()) continue;
    tree->detached_pause = std::min(std::max(tree->detached_pause * 2, kRetryDelay), kMovePauseMax);
    tree->detached_retry = env_.now() + tree->detached_pause;
    log(env_, LogLevel::warn, "namespace: what lies detached could not be freed, trying again later",
        {{"bucket", tree->bucket.value}, {"error", more.error().to_string()}});
    if (result) result = more.error();
  }
  co_return result;
}

Task<void> Partition::run_freeing(Partition* self) {
  while (!self->closing() && !self->journal_->failed()) {
    const Result<void> freed = co_await self->free_round();
    if (!freed && !self->closing()) {
      log(self->env_, LogLevel::warn, "namespace: garbage could not be freed, trying again",
          {{"error", freed.error().to_string()}});
    }
    const Duration pause = freed ? self->options_.free_delay : kRetryDelay;
    (void)co_await sleep_for(self->env_, pause, &self->stop_sleeps_);
  }
}

// --- sweep ---

void Partition::mark_moved(std::span<const Garbage> blobs) {
  for (const Garbage& item : blobs) {
    if (marks(item.id)) marked_.insert(item.id);
  }
}

// As long as renames begin, the mark has something left to do: so they wait a moment at its end.
Task<Result<void>> Partition::rename_begins(Instant deadline, const Renamed& rename) {
  const Instant began = env_.now();
  while (rename_hold_ > Duration() && env_.now() < began + rename_hold_) {
    if (closing()) co_return NamespaceError::unavailable;
    if (deadline <= env_.now()) co_return NamespaceError::timed_out;
    (void)co_await sleep_for(env_, kRenamePoll, &stop_sleeps_);
  }
  renames_under_way_.insert(rename);
  co_return Result<void>();
}

// What moved may have gone from where the mark had not come yet to where it had been. Once the mark has
// ended, all that has a name is marked, and may move as it likes.
void Partition::rename_ends(const Renamed& rename) {
  const auto found = renames_under_way_.find(rename);
  FB_ASSERT(found != renames_under_way_.end());
  renames_under_way_.erase(found);
  if (marking_) renamed_.insert(rename);
}

Task<Result<void>> Partition::mark_record(uint8_t flags, std::string_view bytes) {
  const std::optional<TreeValue> value = decode_value(flags, bytes);
  if (!value) co_return NamespaceError::damaged;
  std::vector<Garbage> named;
  if (value->spilled) {
    named.push_back({value->spilled->blob, 1});
    FB_CO_TRY(const std::string record, co_await own_front_->read_spilled({}, *value->spilled));
    if (!collect_blobs(record, named)) co_return NamespaceError::damaged;
  } else if (!collect_blobs(value->record, named)) {
    co_return NamespaceError::damaged;
  }
  mark_moved(named);
  co_return Result<void>();
}

// Every key that begins so, or the one key, in slices. A rename tells of itself.
Task<Result<void>> Partition::mark_tree(BucketId bucket, Marking what) {
  std::string next = what.prefix;
  bool more = true;
  while (more && !closing()) {
    const std::shared_ptr<TreeState> tree = find_tree(bucket);
    if (tree == nullptr) co_return Result<void>();
    if (tree->root == nullptr) co_return NamespaceError::damaged;
    const Result<bool> marked = co_await mark_slice(*tree, what, next);
    // A tree that went meanwhile has given its root's frame away: what was read may be anything.
    if (tree->state.load() == TreeState::State::dropped) co_return Result<void>();
    FB_CO_TRY(more, marked);
    co_await yield(env_);
  }
  co_return Result<void>();
}

// From `next` on, which it moves on; whether there may be more. The pin keeps what spilled records are in
// until they have been read.
Task<Result<bool>> Partition::mark_slice(TreeState& tree, const Marking& what, std::string& next) {
  const ReadPin held = own_front_->pin();
  PageId gone;
  TreeSource source(*ports_[0].buffers, *tree.root);
  art::Cursor<TreeSource> cursor(source, tree.gate);
  cursor.begin();
  art::Answer answer = cursor.seek(next);
  for (size_t seen = 0; seen < kMarkSlice;) {
    if (answer.outcome == art::Outcome::missing) {
      FB_CO_CHECK(co_await own_front_->after({}, answer, gone));
      answer = cursor.again();
      continue;
    }
    if (answer.outcome == art::Outcome::damaged) co_return NamespaceError::damaged;
    if (answer.outcome == art::Outcome::renamed) break;
    if (answer.outcome != art::Outcome::done || !cursor.key().starts_with(what.prefix)) co_return false;
    if (what.only_itself && cursor.key() != what.prefix) co_return false;
    const std::string value(cursor.value());
    next.assign(cursor.key());
    next.push_back('\0');
    FB_CO_CHECK(co_await mark_record(cursor.value_flags(), value));
    answer = cursor.next();
    ++seen;
  }
  co_return true;
}

// Every blob of an ended incarnation that was named at any time since this began: by a record, the ledger, or
// what a core holds for the ledger. docs/namespace_engine.md says why that is all of them.
Task<Result<void>> Partition::mark(unsigned pass, unsigned passes) {
  sweep_pass_ = pass;
  sweep_passes_ = passes;
  marked_.clear();
  renamed_.clear();
  marking_ = true;
  sweep_round_.store(++sweep_rounds_);
  Result<void> marked = co_await mark_all();
  if (marked) marked = co_await mark_renamed();
  marking_ = false;
  rename_hold_ = {};
  renamed_.clear();
  FB_CO_CHECK(marked);
  // A record that was replaced before the walk came to it has left its blobs with the core that replaced it.
  if (FB_SAFEGUARD(sweep_asks_cores)) co_await collect_from_fronts();
  co_return Result<void>();
}

Task<Result<void>> Partition::mark_all() {
  // Who did not know of the mark yet has left what it moved where the walk, or the ledger, finds it.
  co_await wait_for_sections();
  co_await collect_from_fronts();
  for (const auto& [blob, block_count] : ledger_) {
    if (marks(blob)) marked_.insert(blob);
  }
  for (const BucketId bucket : trees()) FB_CO_CHECK(co_await mark_tree(bucket, {}));
  co_return Result<void>();
}

// Until no rename is under way, and each that has ended since the mark began is marked at its destination.
// Each round marks what came in the one before. Clients that rename without a pause would keep that from ever
// ending, so they are held back from the third round on: at last for long enough.
Task<Result<void>> Partition::mark_renamed() {
  for (unsigned round = 0; !closing() && (!renames_under_way_.empty() || !renamed_.empty()); ++round) {
    if (round >= kRenameRoundsFree && FB_SAFEGUARD(sweep_holds_renames))
      rename_hold_ = std::min(std::max(rename_hold_ * 2, kRenameHoldMin), kRenameHoldMax);
    const Instant patient_until = env_.now() + kReaderPoll;
    while (!renames_under_way_.empty() && env_.now() < patient_until && !closing())
      (void)co_await sleep_for(env_, kRenamePoll, &stop_sleeps_);
    for (const Renamed& rename : std::exchange(renamed_, {})) {
      for (const Space space : {Space::objects, Space::versions}) {
        if (!rename.prefix && space != Space::objects) continue;
        std::string prefix(1, static_cast<char>(space));
        prefix += rename.destination;
        FB_CO_CHECK(
            co_await mark_tree(rename.bucket, {.prefix = std::move(prefix), .only_itself = !rename.prefix}));
      }
    }
  }
  co_return Result<void>();
}

// One walk over a shard; the number of blobs erased.
Task<Result<uint64_t>> Partition::sweep_shard(uint16_t shard) {
  uint64_t swept = 0;
  uint64_t cursor = 0;
  do {
    FB_CO_TRY(const BlobPage page, co_await blobs_->enumerate({}, shard, cursor));
    std::map<BlobId, uint32_t> unnamed;
    for (const BlobKey& key : page.keys) {
      if (!marks(key.id) || marked_.contains(key.id)) continue;
      uint32_t& block_count = unnamed[key.id];
      block_count = std::max(block_count, key.block + 1);
    }
    std::vector<BlobExtent> extents;
    for (const auto& [blob, block_count] : unnamed) extents.push_back({blob, block_count});
    if (!extents.empty()) FB_CO_CHECK(co_await blobs_->erase({}, extents));
    swept += extents.size();
    cursor = page.next_cursor;
    if (closing()) co_return NamespaceError::unavailable;
  } while (cursor != 0);
  co_return swept;
}

// A walk that erases may pass over something, so each shard is walked until nothing is left to erase. Every
// shard, since a long blob has blocks in shards that its id does not name.
Task<Result<void>> Partition::sweep_shards() {
  for (unsigned shard = 0; shard < blobs_->shard_count(); ++shard) {
    uint64_t swept = 1;
    while (swept != 0) {
      FB_CO_TRY(swept, co_await sweep_shard(static_cast<uint16_t>(shard)));
      statistics_.swept_blobs += swept;
    }
  }
  co_return Result<void>();
}

Task<void> Partition::run_sweep(Partition* self) {
  const uint64_t wanted = 1 + self->statistics().objects / self->options_.sweep_blobs_max;
  const auto passes =
      static_cast<unsigned>(std::min<uint64_t>(wanted, std::max<uint16_t>(self->blobs_->shard_count(), 1)));
  // The last process ended in order if it, and none after it that came to no checkpoint, wrote the one found.
  const bool in_order = self->clean_ && self->incarnation_.value == self->found_epoch_ + 1;
  bool needed = !in_order || self->options_.sweep_always;
  for (unsigned pass = 0; needed && pass < passes && !self->closing();) {
    Result<void> swept = co_await self->mark(pass, passes);
    if (swept && !self->closing()) swept = co_await self->sweep_shards();
    self->sweep_round_.store(0);
    self->marked_ = {};
    if (swept) {
      ++pass;
    } else if (swept.error().is(NamespaceError::damaged)) {
      // What the damaged records name cannot be known: nothing is freed.
      log(self->env_, LogLevel::error,
          "namespace: no sweep for unnamed blobs, since some records are damaged");
      break;
    } else if (!self->closing()) {
      log(self->env_, LogLevel::warn, "namespace: the sweep for unnamed blobs failed, trying again",
          {{"error", swept.error().to_string()}});
      (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeps_);
    }
    if (pass == passes) needed = false;
  }
  self->statistics_.sweep_done = !needed && !self->closing();
}

}  // namespace fb
