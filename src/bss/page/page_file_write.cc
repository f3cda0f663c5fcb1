// SPDX-License-Identifier: Apache-2.0
// Writing and erasing pages: admission, slots, the writes themselves.
#include <algorithm>
#include <cstring>

#include "bss/page/page_file.h"

namespace fb {

// Pages that one call is changing: others that want to change them wait.
class PageFile::Locked {
 public:
  explicit Locked(PageFile& owner) : owner_(owner), env_(owner.env_) {}
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() {
    if (env_.abandoned()) return;
    for (const uint64_t id : ids_) owner_.busy_.erase(id);
    owner_.unlocked_.notify_all();
  }
  // All at once, so that no two calls wait for each other.
  template <class Item>
  Task<void> acquire(std::span<Item> items) {
    const auto busy = [&](const Item& item) { return owner_.busy_.contains(item.id.value); };
    while (std::ranges::any_of(items, busy)) co_await owner_.unlocked_.wait();
    for (const Item& item : items) {
      FB_ASSERT(item.id.value != 0 && item.id.value <= kPageIdMax, item.id.value);
      const bool fresh = owner_.busy_.insert(item.id.value).second;
      FB_ASSERT(fresh, item.id.value);  // each at most once in a call
      ids_.push_back(item.id.value);
    }
  }

 private:
  PageFile& owner_;
  Env& env_;
  std::vector<uint64_t> ids_;
};

// What is written side by side.
struct PageFile::Round {
  std::span<Write*> writes;
  std::span<const uint32_t> slots;
  std::vector<std::byte*> images;  // whole slots
  std::vector<bool> written;
  bool durable = true;  // when written
};

struct PageFile::Commit {
  PageFile& owner;
  Change& change;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    change.waiter = waiter;
    owner.changes_.push_back(&change);
    owner.commit_wake_.notify_all();
  }
  void await_resume() const noexcept {}
};

namespace {

template <class Item>
Result<void> first_error(std::span<Item> items) {
  for (const Item& item : items) {
    if (!item.result) return item.result;
  }
  return {};
}

}  // namespace

Result<void> PageFile::admit(const CallContext& context, uint64_t epoch, PageId id, Lsn version) const {
  if (failed_ || stopping_) return PageError::unavailable;
  if (epoch < sealed_epoch_) return PageError::sealed;
  const bool cancelled = context.cancel != nullptr && context.cancel->cancelled();
  if (cancelled || context.deadline <= env_.now()) return PageError::timed_out;
  const std::optional<uint32_t> slot = table_.find(id);
  if (slot && table_.version_of(*slot) > version) return PageError::stale_version;
  return {};
}

Task<Result<void>> PageFile::write_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Write> writes) {
  for (size_t at = 0; at < writes.size(); at += kBatchPages) {
    const size_t count = std::min(kBatchPages, writes.size() - at);
    co_await write_batch(context, epoch, writes.subspan(at, count));
  }
  co_return first_error(writes);
}

Task<void> PageFile::write_batch(const CallContext& context, uint64_t epoch, std::span<Write> batch) {
  Locked locked(*this);
  co_await locked.acquire(batch);
  std::vector<Write*> admitted;
  for (Write& write : batch) {
    FB_ASSERT(write.page.length <= page_length_max(), write.page.length);
    write.result = admit(context, epoch, write.id, write.page.version);
    if (write.result) admitted.push_back(&write);
  }
  const auto is_urgent = [&](const Write* write) { return write->uses_reserve || table_.find(write->id); };
  const auto others_begin = std::ranges::partition(admitted, is_urgent).begin();
  auto urgent = static_cast<size_t>(others_begin - admitted.begin());
  std::span<Write*> rest(admitted);
  std::vector<uint32_t> slots;
  while (!rest.empty()) {
    const size_t count = co_await wait_for_slots(urgent, rest.size() - urgent);
    if (count == 0) {
      const PageError why = failed_ || stopping_ ? PageError::unavailable : PageError::full;
      for (Write* write : rest) write->result = why;
      if (why == PageError::full) stats_.refused_full += rest.size();
      co_return;
    }
    slots.clear();
    table_.take(count, slots);
    FB_ASSERT(slots.size() == count, slots.size(), count);
    co_await write_round(epoch, rest.first(count), slots);
    rest = rest.subspan(count);
    urgent -= std::min(urgent, count);
  }
}

// How many can be written now, the urgent ones first, which may use the reserve; 0: none, and none will be.
Task<size_t> PageFile::wait_for_slots(size_t urgent, size_t others) {
  for (;;) {
    if (failed_ || stopping_) co_return 0;
    const uint64_t free = table_.free_count();
    const uint64_t for_urgent = std::min<uint64_t>(urgent, free);
    const uint64_t kept = for_urgent + options_.reserve_pages;
    const uint64_t for_others = free > kept ? std::min<uint64_t>(others, free - kept) : 0;
    const uint64_t count = for_urgent + for_others;
    if (count == urgent + others) co_return count;
    if (wants_growth() && !growth_failed_) {
      grow_wake_.notify_all();
    } else if (count > 0) {
      co_return count;
    } else if (urgent == 0 || slots_held_ == 0) {
      co_return 0;
    }
    co_await space_.wait();
  }
}

Task<void> PageFile::write_round(uint64_t epoch, std::span<Write*> writes, std::span<const uint32_t> slots) {
  Round round{.writes = writes, .slots = slots, .images = {}, .written = std::vector<bool>(writes.size())};
  std::vector<AlignedBytes> copies;
  for (size_t i = 0; i < writes.size(); ++i) {
    const Page& page = writes[i]->page;
    std::byte* image = page.buffer ? page.buffer.data() : nullptr;
    if (page.buffer.capacity() < slot_bytes()) {
      AlignedBytes& copy = copies.emplace_back(slot_bytes());
      if (page.length != 0) std::memcpy(copy.data(), image, page.length);
      image = copy.data();
    }
    seal_slot({image, slot_bytes()}, seed_, slots[i], writes[i]->id, page.version, page.length);
    round.images.push_back(image);
  }
  slots_held_ += slots.size();
  const uint64_t syncs_failed_before = syncs_failed_;
  co_await write_images(round);
  std::vector<PageLogEntry> entries;
  for (size_t i = 0; i < writes.size(); ++i) {
    if (!round.written[i]) continue;
    const Lsn version = writes[i]->page.version;
    entries.push_back(
        {.id = writes[i]->id.value, .epoch = version.epoch, .position = version.position, .slot = slots[i]});
  }
  Change change{.entries = entries,
                .epoch = epoch,
                .seal_epoch = 0,
                .needs_sync = !round.durable,
                .syncs_failed_before = syncs_failed_before,
                .error = {},
                .waiter = {}};
  if (!entries.empty()) co_await Commit{*this, change};
  slots_held_ -= slots.size();
  for (size_t i = 0; i < writes.size(); ++i) {
    if (!round.written[i]) {
      writes[i]->result = PageError::unavailable;
    } else if (change.error) {
      writes[i]->result = *change.error;
      if (!failed_) table_.give_back(slots[i]);
    }
  }
  space_.notify_all();
}

// Neighbours go out in one durable write. Where slots are scattered, plain writes and a sync that they share
// are half as fast again.
Task<void> PageFile::write_images(Round& round) {
  const std::span<const uint32_t> slots = round.slots;
  std::vector<size_t> runs;  // where they begin
  uint64_t piece_end = 0;    // slot from which on another write is needed, whatever follows
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i != 0 && slots[i] == slots[i - 1] + 1 && slots[i] < piece_end) continue;
    runs.push_back(i);
    piece_end = slots[i] + pages_.bytes_in_one_piece(offset_of(slots[i])) / slot_bytes();
  }
  round.durable = pages_.keeps_overwrites() || shares_syncs() || runs.size() <= kDurableRunsMax;
  Scope scope(env_);
  for (size_t i = 0; round.durable && i < runs.size(); ++i) {
    const size_t end = i + 1 < runs.size() ? runs[i + 1] : slots.size();
    scope.spawn(&PageFile::write_run, this, &round, runs[i], end - runs[i]);
  }
  for (size_t i = 0; !round.durable && i < slots.size(); ++i) {
    scope.spawn(&PageFile::write_slot, this, &round, i);
  }
  co_await scope.join();
}

Task<void> PageFile::write_run(PageFile* self, Round* round, size_t first, size_t count) {
  const Semaphore::Units unit = co_await self->writes_in_flight_.acquire();
  std::array<iovec, kBatchPages> pieces;
  for (size_t i = 0; i < count; ++i) {
    pieces[i] = {.iov_base = round->images[first + i], .iov_len = self->slot_bytes()};
  }
  const Result<size_t> written = co_await self->pages_.overwrite_durable(
      std::span<const iovec>(pieces.data(), count), self->offset_of(round->slots[first]));
  self->note_written(*round, first, count, written);
}

Task<void> PageFile::write_slot(PageFile* self, Round* round, size_t index) {
  const Semaphore::Units unit = co_await self->writes_in_flight_.acquire();
  const Result<size_t> written = co_await self->pages_.write({round->images[index], self->slot_bytes()},
                                                             self->offset_of(round->slots[index]));
  self->note_written(*round, index, 1, written);
}

// Slots whose write failed are not used again: what they hold is not known, and the medium may be bad.
void PageFile::note_written(Round& round, size_t first, size_t count, const Result<size_t>& written) {
  const bool whole = written && *written == count * slot_bytes();
  for (size_t i = 0; i < count; ++i) round.written[first + i] = whole;
  if (!whole) {
    stats_.write_errors += count;
    return;
  }
  stats_.writes += count;
  stats_.write_bytes += *written;
}

Task<Result<void>> PageFile::erase_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Erase> erases) {
  for (size_t at = 0; at < erases.size(); at += kBatchErases) {
    const size_t count = std::min(kBatchErases, erases.size() - at);
    co_await erase_batch(context, epoch, erases.subspan(at, count));
  }
  co_return first_error(erases);
}

Task<void> PageFile::erase_batch(const CallContext& context, uint64_t epoch, std::span<Erase> batch) {
  Locked locked(*this);
  co_await locked.acquire(batch);
  std::vector<Erase*> admitted;
  std::vector<PageLogEntry> entries;
  for (Erase& erase : batch) {
    erase.result = admit(context, epoch, erase.id, erase.version);
    if (!erase.result || !table_.find(erase.id)) continue;
    admitted.push_back(&erase);
    entries.push_back({.id = erase.id.value,
                       .epoch = erase.version.epoch,
                       .position = erase.version.position,
                       .slot = 0,
                       .kind = PageLogEntry::Kind::erase});
  }
  if (entries.empty()) co_return;
  Change change{.entries = entries, .epoch = epoch, .error = {}, .waiter = {}};
  co_await Commit{*this, change};
  if (change.error) {
    for (Erase* erase : admitted) erase->result = *change.error;
  } else {
    stats_.erases += admitted.size();
  }
}

Task<Result<void>> PageFile::seal(const CallContext&, uint64_t epoch) {
  if (epoch < sealed_epoch_) co_return PageError::sealed;
  if (epoch == sealed_epoch_) co_return Result<void>();
  if (failed_ || stopping_) co_return PageError::unavailable;
  Change change{.entries = {}, .epoch = epoch, .seal_epoch = epoch, .error = {}, .waiter = {}};
  co_await Commit{*this, change};
  if (change.error) co_return *change.error;
  co_return Result<void>();
}

}  // namespace fb
