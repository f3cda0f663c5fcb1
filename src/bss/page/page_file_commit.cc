// SPDX-License-Identifier: Apache-2.0
// What turns written slots into stored pages, and what keeps free slots ahead.
#include <fmt/format.h>

#include <algorithm>

#include "base/safeguard.h"
#include "bss/page/page_file.h"
#include "io/log.h"

namespace fb {

void PageFile::finish(Change& change, std::optional<Error> error) {
  change.error = error;
  env_.schedule(change.waiter);
}

void PageFile::fail(const Error& error) {
  failed_ = true;
  log(env_, LogLevel::error, "page store: a write failed, so nothing is written until the next start",
      {{"directory", options_.directory}, {"error", error.to_string()}});
  space_.notify_all();
  checkpoint_done_.notify_all();
}

void PageFile::refuse_changes() {
  while (!changes_.empty()) {
    finish(*changes_.front(), Error(PageError::unavailable));
    changes_.pop_front();
  }
}

bool PageFile::wants_checkpoint() const {
  if (table_write_ || log_.used_bytes() == 0 || failed_) return false;
  return checkpoint_wanted_ || log_.used_bytes() > log_.capacity_bytes() / 2;
}

// All changes of the table and of the log are made here, one group after the other.
Task<void> PageFile::run_committer(PageFile* self) {
  for (;;) {
    if (self->failed_) self->refuse_changes();
    if (self->wants_checkpoint()) {
      co_await self->begin_checkpoint();
    } else if (self->changes_.empty()) {
      if (self->stopping_) co_return;
      co_await self->commit_wake_.wait();
    } else if (self->log_.has_room(kPageLogEntriesMax)) {
      co_await self->commit_group();
    } else if (self->checkpoint_failing_) {
      self->refuse_changes();
    } else {
      co_await self->checkpoint_done_.wait();
    }
  }
}

// The older log is not needed any more, because the newest table has all of it.
Task<void> PageFile::begin_checkpoint() {
  FB_ASSERT(table_number_ == log_.generation(), table_number_, log_.generation());
  const Result<void> begun = co_await log_.begin(log_.generation() + 1);
  if (!begun) {
    fail(begun.error());
    co_return;
  }
  table_write_ = table_now(log_.generation(), true);
  checkpoint_wanted_ = false;
  checkpoint_wake_.notify_all();
}

Task<void> PageFile::commit_group() {
  uint64_t epoch = sealed_epoch_;
  std::vector<Change*> taken;
  group_.clear();
  while (!changes_.empty()) {
    Change& change = *changes_.front();
    if (group_.size() + change.entries.size() > kPageLogEntriesMax) break;
    changes_.pop_front();
    // Admitted before a seal that came first.
    if (change.epoch < epoch) {
      finish(change, Error(PageError::sealed));
      continue;
    }
    const auto fits = [&](const PageLogEntry& entry) {
      return entry.kind == PageLogEntry::Kind::erase || table_.add_epoch(entry.epoch);
    };
    if (!std::ranges::all_of(change.entries, fits)) {
      finish(change, Error(PageError::full));
      continue;
    }
    epoch = std::max(epoch, change.seal_epoch);
    group_.insert(group_.end(), change.entries.begin(), change.entries.end());
    taken.push_back(&change);
  }
  if (taken.empty()) co_return;
  // One sync at a time, of what was written before it began: after one that failed nothing is believed.
  Result<void> appended;
  if (std::ranges::any_of(taken, &Change::needs_sync)) appended = co_await sync_pages();
  const auto lost = [&](const Change* change) {
    return change->needs_sync && change->syncs_failed_before != syncs_failed_ &&
           FB_SAFEGUARD(heed_syncs_of_others);
  };
  if (appended && std::ranges::any_of(taken, lost)) appended = Error(IoError::media);
  PageError why = PageError::unavailable;  // nothing of it is in the log
  if (appended) {
    appended = co_await log_.append(group_, next_sequence_, epoch);
    why = PageError::outcome_unknown;  // the next start finds the group in the log, or not
  }
  if (!appended) fail(appended.error());
  if (appended) {
    ++next_sequence_;
    sealed_epoch_ = epoch;
    apply(group_);
    ++stats_.log_groups;
    stats_.log_bytes += 2 * page_log_group_bytes(group_.size());
  }
  for (Change* change : taken) {
    finish(*change, appended ? std::nullopt : std::optional<Error>(why));
  }
}

// A failed sync gives up all that was written before it, and says so once: to committer or grower, whichever
// asked. So they ask in turn, and it is counted for those who had written.
Task<Result<void>> PageFile::sync_pages() {
  const auto turn = co_await pages_sync_.acquire();
  const Result<void> synced = co_await pages_.sync();
  if (!synced) ++syncs_failed_;
  co_return synced;
}

void PageFile::apply(std::span<const PageLogEntry> entries) {
  for (const PageLogEntry& entry : entries) {
    if (entry.kind == PageLogEntry::Kind::erase) {
      table_.erase({entry.id});
    } else {
      table_.put({entry.id}, {entry.epoch, entry.position}, entry.slot);
    }
  }
  space_.notify_all();
}

uint64_t PageFile::growth_left() const {
  const uint64_t limit = options_.size_bytes_max == 0
                             ? kSlotCountMax
                             : std::min<uint64_t>(kSlotCountMax, options_.size_bytes_max / slot_bytes());
  return limit - std::min<uint64_t>(limit, table_.slot_count());
}

uint32_t PageFile::growth_step() const {
  const uint64_t step = std::max<uint64_t>(options_.growth_bytes / slot_bytes(), kGrowthSlotsMin);
  return static_cast<uint32_t>(std::min(step, growth_left()));
}

// A quarter of a step is kept ahead of the reserve, so that writers need not wait for it.
bool PageFile::wants_growth() const {
  const uint32_t step = growth_step();
  return step > 0 && table_.free_count() < options_.reserve_pages + kBatchPages + step / 4;
}

Task<void> PageFile::run_grower(PageFile* self) {
  while (!self->stopping_) {
    if (!self->wants_growth()) {
      self->growth_failed_ = false;
      co_await self->grow_wake_.wait();
      continue;
    }
    uint32_t slots = self->growth_step();
    Result<void> grown = co_await self->grow(slots);
    while (!grown && grown.error().is(IoError::no_space) && slots / 2 >= kGrowthSlotsMin) {
      slots /= 2;
      grown = co_await self->grow(slots);
    }
    if (!grown && !self->growth_failed_) {
      log(self->env_, LogLevel::warn, "page store: no more space",
          {{"file", self->path_of("pages")}, {"error", grown.error().to_string()}});
    }
    self->growth_failed_ = !grown;
    self->space_.notify_all();
    if (!grown) (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeping_);
  }
}

Task<Result<void>> PageFile::grow(uint32_t slots) {
  const uint32_t slot_count = table_.slot_count() + slots;
  FB_CO_CHECK(co_await reserve_table(slot_count));
  Result<void> extended = co_await write_zeros(pages_, offset_of(table_.slot_count()), offset_of(slot_count));
  if (extended) extended = co_await sync_pages();
  if (!extended) {
    (void)co_await pages_.truncate(offset_of(table_.slot_count()));
    co_return extended;
  }
  table_.grow(slot_count);
  co_return Result<void>();
}

}  // namespace fb
