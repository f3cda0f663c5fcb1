// SPDX-License-Identifier: Apache-2.0
// Checkpoints: they bound what a start replays, and let the journal be trimmed. Continuous; no operation
// waits for one, unless the journal has come to its bound.
#include <algorithm>

#include "base/safeguard.h"
#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr Duration kRetryDelay = Duration::milliseconds(500);
constexpr size_t kBoundariesMax = 4096;
constexpr size_t kEraseBatch = 1000;  // pages
constexpr uint64_t kCheckpointOverhead = 4 * kKiB;
constexpr uint64_t kCheckpointTreeBytes = 40;
constexpr uint64_t kCheckpointGarbageBytes = 20;
constexpr Duration kDeadlineTick = Duration::milliseconds(20);
constexpr unsigned kStalledTicksMax = 100;
constexpr Duration kSpaceTick = Duration::milliseconds(20);

}  // namespace

Task<void> Partition::run_journal(Partition* self) {
  co_await JournalBuffer::run(self->env_, *self->journal_, self->journal_store_);
}

Task<void> Partition::run_buffers(Partition* self) {
  co_await BufferManager::run(self->env_, *self->buffers_, *self->ports_[0].journal);
}

// Who waits for the journal or for a page waits no longer than it wants to, however long a drive takes: so
// they are all made to look at their deadlines. Nobody needs a timer of its own.
Task<void> Partition::run_deadlines(Partition* self) {
  bool told = false;
  unsigned stalled = 0;  // ticks in a row, while it closes
  while (!self->stopping_) {
    (void)co_await sleep_for(self->env_, kDeadlineTick);
    // Nobody makes room in the journal any more: what waits for it would wait for ever.
    stalled = self->closing() && self->journal_->stalled() ? stalled + 1 : 0;
    if (stalled == kStalledTicksMax) {
      log(self->env_, LogLevel::warn, "namespace: the journal is full at the end, and is closed as it is");
      self->journal_->stop();
    }
    self->journal_->look_at_deadlines(self->env_);
    self->buffers_->look_at_deadlines();
    if (told || self->versions_left()) continue;
    told = true;
    log(self->env_, LogLevel::error,
        "namespace: the versions of this epoch are used up; puts are refused until the server is restarted");
  }
}

// What a start would read, with the padding of its frames.
uint64_t Partition::journal_used() const {
  if (journal_ == nullptr) return 0;
  return journal_written() - checkpoint_written_ + (journal_->tail() - journal_->durable());
}

// How much larger its files become before checkpoints stop that.
uint64_t Partition::journal_growth() const {
  const JournalClient::Bounds bounds = journal_store_.bounds();
  const uint64_t most =
      std::min(journal_target() + 3 * journal_store_.segment_bytes(), bounds.size_bytes_max);
  return most - std::min(most, bounds.size_bytes);
}

void Partition::note_boundary() {
  const uint64_t tail = journal_->tail();
  if (boundaries_.back().position == tail) return;
  boundaries_.push_back({.position = tail, .written_bytes = journal_written()});
  // Fewer, further apart: what is dropped only makes a replay begin somewhat earlier.
  if (boundaries_.size() <= kBoundariesMax) return;
  std::deque<Boundary> fewer;
  for (size_t i = 0; i < boundaries_.size(); i += 2) fewer.push_back(boundaries_[i]);
  boundaries_ = std::move(fewer);
}

Task<void> Partition::run_checkpoints(Partition* self) {
  while (!self->stopping_ && !self->closing()) {
    (void)co_await sleep_for(self->env_, self->options_.checkpoint_tick, &self->stop_sleeps_);
    if (self->stopping_ || self->closing() || self->journal_->failed()) continue;
    self->note_boundary();
    co_await self->look_at_space();
    const uint64_t used = self->journal_used();
    const bool asked = self->checkpoint_due_ || self->journal_tight();
    // Not again until something has come since the last one, which may have left more than it should.
    const bool due =
        used > self->journal_target() && used > self->checkpoint_base_ + self->journal_share() / 4;
    if (!due && !asked) continue;
    // As long as any page lacks what the journal has, that cannot be trimmed.
    if (!self->redo_.empty()) continue;
    self->checkpoint_due_ = false;
    const Result<void> taken = co_await self->take_checkpoint(asked);
    self->checkpoint_base_ = self->journal_used();
    if (taken || self->closing()) continue;
    log(self->env_, LogLevel::warn, "namespace: no checkpoint could be written, trying again",
        {{"error", taken.error().to_string()}});
    (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeps_);
  }
}

// Puts are refused while pages, journal or checkpoint would find no room.
Task<void> Partition::look_at_space() {
  const Instant now = env_.now();
  if (now < next_look_) co_return;
  next_look_ = now + kSpaceTick;
  const uint64_t ledger_bytes = ledger_.size() * kCheckpointGarbageBytes;
  const uint64_t wanted = kCheckpointOverhead + trees_.size() * kCheckpointTreeBytes + ledger_bytes;
  bool refuses = journal_->stalled() || journal_store_.low();
  if (2 * wanted > checkpoints_.checkpoint_bytes_reserved() &&
      !(co_await checkpoints_.reserve_checkpoint({}, 4 * wanted)))
    refuses = true;
  const Result<PageClient::Space> space = co_await page_store_.space({});
  // Of what the disk has, the journal may take its next segment before this is looked at again; slots that
  // are there are the pages'.
  const uint64_t available = space ? space->available : 0;
  const uint64_t on_disk = space ? space->unallocated : 0;
  const uint64_t for_journal = std::min(journal_growth(), journal_store_.segment_bytes());
  const uint64_t left = available - std::min(on_disk, for_journal / buffers_->page_bytes());
  const uint64_t dirty = buffers_->dirty_count();
  if (left <= dirty) refuses = true;
  // Pages that are written already need no room any more, or less than was kept for them.
  if (left <= 2 * dirty && dirty != 0) checkpoint_due_ = true;
  if (refuses && !refuses_puts_.load()) {
    log(env_, LogLevel::warn, "namespace: the disk is full; puts are refused until space is freed");
  }
  refuses_puts_.store(refuses, std::memory_order_relaxed);
}

Task<Result<void>> Partition::take_checkpoint(bool everything) {
  const auto held = co_await checkpoint_mutex_.acquire();
  FB_CO_TRY(const Checkpoint checkpoint, co_await make_checkpoint(everything));
  co_return co_await finish_checkpoint(checkpoint);
}

// The state as of a position: all pages up to it are stored, the counts are those of older generations, the
// ledger has at least what was garbage before it.
Task<Result<Checkpoint>> Partition::make_checkpoint(bool everything) {
  note_boundary();
  const uint64_t end = boundaries_.back().position;
  uint64_t target = end;
  if (!everything) {
    // Only the oldest share is written: the younger a page's first change is, the more may it still gather.
    const uint64_t kept = journal_target() - journal_share();
    const uint64_t oldest_share = journal_written() - std::min(kept, journal_used());
    for (const Boundary& boundary : boundaries_) {
      if (boundary.written_bytes <= oldest_share) target = boundary.position;
      if (boundary.written_bytes >= oldest_share) break;
    }
  }
  Result<void> flushed = co_await buffers_->flush(env_, *ports_[0].journal, target);
  if (!flushed) co_return flushed.error();

  // A number is not used again, even if this checkpoint is not written: it may be on the disk all the same.
  Checkpoint checkpoint{
      .number = ++checkpoint_number_, .epoch = journal_->epoch(), .generation = generation_.fetch_add(1) + 1};
  // Whoever is in a section now may still use the old generation, and may have changed pages, or left
  // garbage, of which nothing is to be seen yet.
  if (FB_SAFEGUARD(checkpoint_waits_for_sections)) {
    co_await wait_for_sections();
    // By a message to each core, which is heard between two sections: this waits for them, too.
    co_await collect_from_fronts();
  }
  note_boundary();
  uint64_t oldest = redo_.empty() ? UINT64_MAX : redo_.oldest_position();
  oldest = std::min(oldest, co_await buffers_->oldest_dirty(env_));
  checkpoint.position = boundaries_.front().position;
  for (const Boundary& boundary : boundaries_) {
    if (boundary.position < oldest && boundary.position <= end) checkpoint.position = boundary.position;
  }
  for (const auto& [bucket, tree] : trees_) {
    tree->base += tree->counts[(checkpoint.generation - 1) & 1].take();
    checkpoint.trees.push_back({{bucket}, tree->root_page, tree->base});
  }
  std::ranges::sort(checkpoint.trees, {}, &CheckpointTree::bucket);
  for (const auto& [blob, block_count] : ledger_) checkpoint.ledger.push_back({blob, block_count});
  for (const BufferPort::Retired& page : retired_) checkpoint.retired.push_back(page.id);
  checkpoint.next_page_id = buffers_->next_page_id();
  checkpoint.clean = ending_ && clean_;
  // What is in the checkpoint must not be ahead of the journal.
  if (!co_await ports_[0].journal->wait_durable(journal_->tail())) co_return NamespaceError::unavailable;
  checkpoint.sequence = journal_->trim_to(checkpoint.position).value_or(checkpoint_sequence_);
  co_return checkpoint;
}

Task<Result<void>> Partition::write_checkpoint(const Checkpoint& checkpoint) {
  std::string bytes;
  encode_checkpoint(bytes, checkpoint);
  co_return co_await checkpoints_.write_checkpoint({}, checkpoint.epoch, checkpoint.number, bytes);
}

Task<Result<void>> Partition::finish_checkpoint(const Checkpoint& checkpoint) {
  FB_CO_CHECK(co_await write_checkpoint(checkpoint));
  checkpoint_position_ = checkpoint.position;
  checkpoint_sequence_ = checkpoint.sequence;
  ++statistics_.checkpoints;
  while (boundaries_.size() > 1 && boundaries_[1].position <= checkpoint.position) boundaries_.pop_front();
  checkpoint_written_ = boundaries_.front().written_bytes;
  FB_CO_CHECK(co_await journal_store_.trim({}, checkpoint.sequence));
  co_return co_await erase_retired();
}

// Pages whose retirement no replay has to find any more.
Task<Result<void>> Partition::erase_retired() {
  const auto later = std::ranges::partition(
      retired_, [this](const auto& page) { return page.position > checkpoint_position_; });
  std::vector<PageClient::Erase> erases;
  for (const BufferPort::Retired& page : later) {
    erases.push_back(
        {.id = page.id, .version = {.epoch = journal_->epoch(), .position = page.position}, .result = {}});
  }
  retired_.erase(later.begin(), later.end());
  for (size_t i = 0; i < erases.size(); i += kEraseBatch) {
    const auto batch = std::span(erases).subspan(i, std::min(kEraseBatch, erases.size() - i));
    const Result<void> erased = co_await page_store_.erase_pages({}, journal_->epoch(), batch);
    if (erased) continue;
    // What is left is tried again after the next checkpoint.
    for (const PageClient::Erase& erase : batch) {
      if (!erase.result) retired_.push_back({erase.id, erase.version.position});
    }
    for (const PageClient::Erase& erase : std::span(erases).subspan(i + batch.size()))
      retired_.push_back({erase.id, erase.version.position});
    co_return erased;
  }
  co_return Result<void>();
}

}  // namespace fb
