// SPDX-License-Identifier: Apache-2.0
// What goes on beside the traffic: snapshots, freeing what the ledger names, and once after the start the
// sweep.
#include <algorithm>

#include "client/record.h"
#include "io/call_on.h"
#include "io/log.h"
#include "nss/namespace_engine.h"
#include "nss/namespace_front.h"
#include "nss/snapshot_file.h"

namespace fb {
namespace {

constexpr size_t kMarkSlice = 512;  // entries between yields
constexpr Duration kReaderPoll = Duration::milliseconds(20);
constexpr Duration kRetryDelay = Duration::seconds(1);
constexpr Duration kReserveRetryDelay = Duration::milliseconds(500);
// Of a snapshot, at most: an entry's framing is less than what it takes in memory beside key and record.
constexpr uint64_t kSnapshotBytesPerTree = 16;
constexpr uint64_t kSnapshotBytesPerGarbage = 24;
constexpr uint64_t kSnapshotPaddingShare = 64;  // a block of 256 KiB is padded by less than 4 KiB
constexpr uint64_t kSnapshotBytesMin = 64 * kKiB;
constexpr uint64_t kReserveHeadroomShare = 8;

}  // namespace

void NamespaceEngine::start_background(Scope& scope, BlobClient& blobs) {
  FB_ASSERT(blobs_ == nullptr);
  blobs_ = &blobs;
  background_tasks_ = 3;
  journal_->set_low_handler([this] {
    snapshot_pending_ = true;
    snapshot_wanted_.notify_all();
  });
  scope.spawn(&run_snapshots, this);
  scope.spawn(&run_freeing, this);
  scope.spawn(&run_sweep, this);
}

void NamespaceEngine::background_ended() {
  --background_tasks_;
  background_ended_.notify_all();
  snapshot_wanted_.notify_all();
}

// --- snapshots ---

// Ends last: the others may be waiting for the room in the journal that a snapshot makes.
Task<void> NamespaceEngine::run_snapshots(NamespaceEngine* self) {
  while ((!self->closing_ || self->background_tasks_ > 1) && !self->journal_->failed()) {
    if (!self->closing_ && self->reserve_wanted() && !self->reserve_failed_) co_await self->grow_reserve();
    if (!self->snapshot_pending_) {
      if (self->closing_) {
        // grow_reserve() may have let the others end meanwhile.
        if (self->background_tasks_ > 1) co_await self->snapshot_wanted_.wait();
      } else if (self->reserve_failed_) {
        (void)co_await sleep_for(self->env_, kReserveRetryDelay, &self->stop_sleeps_);
        self->reserve_failed_ = false;
      } else if (!self->reserve_wanted()) {
        co_await self->snapshot_wanted_.wait();
      }
      continue;
    }
    const Result<void> taken = co_await self->take_snapshot();
    self->snapshot_pending_ = !taken;
    self->journal_->set_trim_stalled(!taken);
    if (taken || self->closing_) continue;
    log(self->env_, LogLevel::warn, "namespace: no snapshot could be written",
        {{"error", taken.error().to_string()}});
    (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeps_);
  }
  self->reserve_grew_.notify_all();
  self->background_ended();
}

Task<Result<void>> NamespaceEngine::take_snapshot() {
  const auto held = co_await snapshot_mutex_.acquire();
  snapshot_running_ = true;
  const uint64_t taken_before = statistics_.snapshots;
  const Result<void> written = co_await write_snapshot();
  snapshot_running_ = false;
  if (statistics_.snapshots != taken_before) reserve_bytes_ = 0;  // it has become the snapshot
  reserve_failed_ = false;
  snapshot_wanted_.notify_all();  // for a new reserve
  co_return written;
}

uint64_t NamespaceEngine::snapshot_bytes(int64_t bytes_added) const {
  const uint64_t items = memory_bytes_ + static_cast<uint64_t>(std::max<int64_t>(bytes_added, 0)) +
                         trees_.size() * kSnapshotBytesPerTree + ledger_.size() * kSnapshotBytesPerGarbage;
  return kSnapshotBytesMin + items + items / kSnapshotPaddingShare;
}

Task<void> NamespaceEngine::grow_reserve() {
  {
    const auto held = co_await snapshot_mutex_.acquire();
    const uint64_t needed = snapshot_bytes(0);
    const uint64_t wanted = align_up(needed + needed / kReserveHeadroomShare + options_.snapshot_reserve_step,
                                     kDirectIoAlignment);
    const Result<void> reserved =
        co_await reserve_snapshot_space(env_, options_.directory + "/snapshot", wanted);
    reserve_failed_ = !reserved;
    if (reserved) {
      reserve_bytes_ = wanted;
    } else {
      log(env_, LogLevel::warn, "namespace: no space can be kept for the next snapshot",
          {{"error", reserved.error().to_string()}});
    }
  }
  reserve_grew_.notify_all();
}

// Until the reserve may cover what is to be added; NamespaceError::full where the disk refuses it.
Task<Result<void>> NamespaceEngine::wait_for_reserve(const CallContext& context) {
  if (closing_) co_return NamespaceError::unavailable;
  if (context.deadline <= env_.now()) co_return NamespaceError::timed_out;
  if (reserve_failed_) co_return NamespaceError::full;
  snapshot_wanted_.notify_all();
  co_await reserve_grew_.wait();
  if (reserve_failed_) co_return NamespaceError::full;
  co_return Result<void>();
}

// In slices: where it goes on is a key, since the map changes meanwhile.
Task<Result<void>> NamespaceEngine::write_entries(SnapshotWriter& writer, uint64_t tree_id) {
  std::string last;
  Space space{};
  writer.add_tree({tree_id});
  while (true) {
    const Tree* tree = find_tree({tree_id});
    if (tree == nullptr) co_return Result<void>();
    auto next = tree->map.lower_bound({space, last});
    const bool again = !next.at_end() && space != Space{} && compare(next->key(), {space, last}) == 0;
    if (again) next.next();
    for (; !next.at_end(); next.next()) {
      writer.add_entry(*next);
      if (!writer.block_full()) continue;
      space = next->space();
      last = next->path();
      break;
    }
    if (next.at_end()) co_return Result<void>();
    FB_CO_CHECK(co_await writer.flush());
  }
}

Task<Result<void>> NamespaceEngine::write_snapshot() {
  const uint64_t sequence_begun = journal_->last_sequence();
  SnapshotWriter writer(env_, options_.directory + "/snapshot", options_.store_id, sequence_begun);
  FB_CO_CHECK(co_await writer.open());
  Result<void> result;
  for (const uint64_t id : tree_ids()) {
    if (find_tree({id}) == nullptr) continue;
    result = co_await write_entries(writer, id);
    if (result && writer.block_full()) result = co_await writer.flush();
    if (!result) break;
  }
  const std::vector<std::pair<BlobId, uint32_t>> ledger(ledger_.begin(), ledger_.end());
  const uint64_t sequence_ended = journal_->last_sequence();
  for (const auto& [blob, block_count] : ledger) {
    if (!result) break;
    writer.add_garbage({blob, block_count});
    if (writer.block_full()) result = co_await writer.flush();
  }
  // What is in the snapshot must not be ahead of the journal.
  if (result) result = co_await journal_->durable(sequence_ended);
  if (result) result = co_await writer.finish(sequence_ended, journal_->bounds().epoch);
  co_await writer.close();
  FB_CO_CHECK(result);
  ++statistics_.snapshots;
  co_return co_await journal_->trim({}, sequence_begun + 1);
}

// --- garbage ---

Task<void> NamespaceEngine::add_front(NamespaceFront& front) {
  const auto held = co_await fronts_mutex_.acquire();
  fronts_.push_back(&front);
}

Task<void> NamespaceEngine::remove_front(NamespaceFront& front) {
  const auto held = co_await fronts_mutex_.acquire();
  std::erase(fronts_, &front);
}

// Until every read that may have looked before this call has ended. The epoch moves first: a read that notes
// the old one is then seen by the question, which reaches its core later; one that notes the new one looks at
// the map later still.
Task<void> NamespaceEngine::wait_for_readers() {
  const uint64_t old_epoch = read_epoch_.fetch_add(1, std::memory_order_acq_rel);
  while (!closing_) {
    bool reading = false;
    {
      const auto held = co_await fronts_mutex_.acquire();
      for (NamespaceFront* front : fronts_) {
        const uint64_t oldest = co_await call_on(
            env_, front->core(), [front](Env&) -> Task<uint64_t> { co_return front->oldest_read_epoch(); });
        reading |= oldest <= old_epoch;
      }
    }
    if (!reading) co_return;
    (void)co_await sleep_for(env_, kReaderPoll, &stop_sleeps_);
  }
}

Task<Result<void>> NamespaceEngine::free_batch(std::span<const Garbage> batch) {
  std::vector<BlobExtent> extents;
  extents.reserve(batch.size());
  for (const Garbage& item : batch) extents.push_back({item.id, item.block_count});
  FB_CO_CHECK(co_await blobs_->erase({}, extents));
  uint64_t sequence = 0;
  FB_CO_CHECK(co_await write_change({}, ChangeKind::freed, {}, true, batch, sequence));
  finish_change(ChangeKind::freed, batch);
  statistics_.freed_blobs += batch.size();
  co_return Result<void>();
}

Task<void> NamespaceEngine::run_freeing(NamespaceEngine* self) {
  while (!self->closing_ && !self->journal_->failed()) {
    if (self->ledger_.empty()) {
      co_await self->ledger_grew_.wait();
      continue;
    }
    std::vector<Garbage> round;
    round.reserve(self->ledger_.size());
    for (const auto& [blob, block_count] : self->ledger_) round.push_back({blob, block_count});
    // Only what is garbage for good.
    Result<void> freed = co_await self->journal_->durable(self->journal_->last_sequence());
    if (freed) co_await self->wait_for_readers();
    for (size_t i = 0; i < round.size() && freed && !self->closing_; i += kFreeBatchMax) {
      freed =
          co_await self->free_batch(std::span(round).subspan(i, std::min(kFreeBatchMax, round.size() - i)));
    }
    if (!freed) {
      log(self->env_, LogLevel::warn, "namespace: blobs could not be freed, trying again",
          {{"error", freed.error().to_string()}});
    }
    const Duration pause = freed ? self->options_.free_delay : kRetryDelay;
    (void)co_await sleep_for(self->env_, pause, &self->stop_sleeps_);
  }
  self->background_ended();
}

// --- sweep ---

void NamespaceEngine::mark_blobs(std::string_view record) {
  const auto visit = [](void* context, const BlobId& id, uint32_t) {
    auto* self = static_cast<NamespaceEngine*>(context);
    if (self->marks(id)) self->marked_.insert(id);
  };
  (void)for_each_blob(record, visit, this);
}

// Every blob of an ended incarnation that a record or the ledger names. Commits add what they move meanwhile.
Task<void> NamespaceEngine::mark(unsigned pass, unsigned passes) {
  sweep_pass_ = pass;
  sweep_passes_ = passes;
  marked_.clear();
  sweeping_ = true;
  for (const auto& [blob, block_count] : ledger_) {
    if (marks(blob)) marked_.insert(blob);
  }
  for (const uint64_t id : tree_ids()) {
    Space space{};
    std::string last;
    while (!closing_) {
      const Tree* tree = find_tree({id});
      if (tree == nullptr) break;
      auto next = tree->map.lower_bound({space, last});
      size_t seen = 0;
      for (; !next.at_end() && seen < kMarkSlice; next.next(), ++seen) mark_blobs(next->record());
      if (next.at_end()) break;
      space = next->space();
      last = next->path();
      co_await yield(env_);
    }
  }
}

// One walk over a shard; the number of blobs erased.
Task<Result<uint64_t>> NamespaceEngine::sweep_shard(uint16_t shard) {
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
    if (closing_) co_return NamespaceError::unavailable;
  } while (cursor != 0);
  co_return swept;
}

// A walk that erases may pass over something, so each shard is walked until nothing is left to erase. Every
// shard, since a long blob has blocks in shards that its id does not name.
Task<Result<void>> NamespaceEngine::sweep_shards() {
  for (unsigned shard = 0; shard < blobs_->shard_count(); ++shard) {
    uint64_t swept = 1;
    while (swept != 0) {
      FB_CO_TRY(swept, co_await sweep_shard(static_cast<uint16_t>(shard)));
      statistics_.swept_blobs += swept;
    }
  }
  co_return Result<void>();
}

Task<void> NamespaceEngine::run_sweep(NamespaceEngine* self) {
  const uint64_t wanted = 1 + self->keys_ / self->options_.sweep_blobs_max;
  const auto passes =
      static_cast<unsigned>(std::min<uint64_t>(wanted, std::max<uint16_t>(self->blobs_->shard_count(), 1)));
  for (unsigned pass = 0; pass < passes && !self->closing_;) {
    co_await self->mark(pass, passes);
    const Result<void> swept = self->closing_ ? Result<void>() : co_await self->sweep_shards();
    self->sweeping_ = false;
    self->marked_ = {};
    if (swept) {
      ++pass;
    } else if (!self->closing_) {
      log(self->env_, LogLevel::warn, "namespace: the sweep for unnamed blobs failed, trying again",
          {{"error", swept.error().to_string()}});
      (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeps_);
    }
  }
  self->statistics_.sweep_done = !self->closing_;
  self->background_ended();
}

}  // namespace fb
