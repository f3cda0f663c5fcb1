// SPDX-License-Identifier: Apache-2.0
// Reading, listing, and the life of a page store.
#include "bss/page/page_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/log.h"
#include "io/mount.h"

namespace fb {
namespace {

// A page that does not check is read again once: it may have been replaced twice in the meantime, or the
// device may do better.
constexpr int kReadTries = 2;
constexpr size_t kListedMin = 1000;  // pages of one part of an enumeration, where there are so many

bool ended_early(const Error& error) { return error.is(IoError::timed_out) || error.is(IoError::cancelled); }

}  // namespace

PageFile::PageFile(Env& env, const Options& options)
    : env_(env),
      options_(options),
      log_(env, options.directory, options.durability),
      unlocked_(env),
      space_(env),
      commit_wake_(env),
      checkpoint_wake_(env),
      checkpoint_done_(env),
      grow_wake_(env),
      pages_sync_(env),
      tables_mutex_(env),
      writes_in_flight_(env, kWritesInFlightMax),
      reads_in_flight_(env, kReadsInFlightMax),
      scope_(env) {}

PageFile::~PageFile() { FB_ASSERT(closed_ || env_.abandoned()); }

std::string PageFile::path_of(std::string_view name) const {
  return fmt::format("{}/{}", options_.directory, name);
}

bool PageFile::shares_syncs() const {
  return env_.mounted() != nullptr && env_.mounted()->holds(options_.directory);
}

std::string PageFile::table_path(size_t index) const { return path_of(fmt::format("table-{}", index)); }

Task<Result<std::unique_ptr<PageFile>>> PageFile::open(Env& env, const Options& options) {
  FB_ASSERT(options.slot_bytes >= kSlotBytesMin && options.slot_bytes <= kSlotBytesMax, options.slot_bytes);
  FB_ASSERT((options.slot_bytes & (options.slot_bytes - 1)) == 0, options.slot_bytes);
  FB_ASSERT(options.log_bytes >= 2 * kPageLogGroupBytesMax, options.log_bytes);
  FB_ASSERT(is_aligned(options.log_bytes, kJournalBlock), options.log_bytes);
  FB_ASSERT(options.reserve_pages > 0);
  std::unique_ptr<PageFile> store(new PageFile(env, options));
  const Result<void> recovered = co_await store->recover();
  if (!recovered) {
    co_await store->close_files();
    co_return recovered.error();
  }
  store->scope_.spawn(&PageFile::run_committer, store.get());
  store->scope_.spawn(&PageFile::run_checkpointer, store.get());
  store->scope_.spawn(&PageFile::run_grower, store.get());
  co_return store;
}

Task<void> PageFile::close_files() {
  for (File* file : {&pages_, &tables_[0], &tables_[1]}) {
    if (file->is_open()) (void)co_await file->close();
  }
  co_await log_.close();
  closed_ = true;
}

Task<Result<void>> PageFile::close() {
  FB_ASSERT(!closed_ && busy_.empty(), busy_.size());
  const Result<void> written = co_await checkpoint();
  stopping_ = true;
  stop_sleeping_.cancel();
  for (Notification* wake : {&commit_wake_, &checkpoint_wake_, &grow_wake_, &space_, &checkpoint_done_}) {
    wake->notify_all();
  }
  co_await scope_.join();
  co_await close_files();
  co_return written;
}

Task<Result<PageClient::Page>> PageFile::read_page(const CallContext& context, PageId id) {
  Page page{.buffer = co_await env_.buffers().allocate(slot_bytes()), .length = 0, .version = {}};
  FB_CO_TRY(const Found found, co_await read_page_into(context, id, page.buffer.span()));
  page.length = found.length;
  page.version = found.version;
  co_return page;
}

Task<Result<PageClient::Found>> PageFile::read_page_into(const CallContext& context, PageId id,
                                                         std::span<std::byte> memory) {
  FB_ASSERT(memory.size() >= slot_bytes(), memory.size());
  const std::span<std::byte> bytes = memory.first(slot_bytes());
  const Semaphore::Units unit = co_await reads_in_flight_.acquire();
  uint64_t offset = 0;
  for (int tries = 0; tries < kReadTries;) {
    const std::optional<uint32_t> slot = table_.find(id);
    if (!slot) co_return PageError::not_found;
    const Lsn version = table_.version_of(*slot);
    offset = offset_of(*slot);
    const Result<size_t> read =
        co_await pages_.read(bytes, offset, {.deadline = context.deadline, .cancel = context.cancel});
    if (!read && ended_early(read.error())) co_return PageError::timed_out;
    SlotTrailer trailer;
    const bool whole = read && *read == bytes.size() && read_slot(bytes, seed_, *slot, trailer);
    if (whole && trailer.id == id.value && Lsn{trailer.epoch, trailer.position} == version) {
      ++stats_.reads;
      stats_.read_bytes += bytes.size();
      co_return Found{.length = trailer.length, .version = version};
    }
    const std::optional<uint32_t> now = table_.find(id);
    const bool replaced = now != slot || table_.version_of(*now) != version;
    if (!replaced) ++tries;
  }
  ++stats_.damaged;
  log(env_, LogLevel::error, "page store: a page is damaged",
      {{"file", path_of("pages")}, {"page", id.value}, {"offset", offset}});
  co_return PageError::damaged;
}

Task<Result<PageClient::Listing>> PageFile::enumerate(const CallContext&, uint64_t cursor) {
  Listing listing;
  while (cursor < PageTable::kPartitionCount && listing.pages.size() < kListedMin) {
    table_.list(cursor++, listing.pages);
  }
  listing.next_cursor = cursor < PageTable::kPartitionCount ? cursor : 0;
  co_return listing;
}

Task<Result<PageClient::Space>> PageFile::space(const CallContext&) {
  FB_CO_TRY(const FileSystemSpace disk, co_await file_system_space(env_, options_.directory));
  const uint64_t free = table_.free_count();
  Space space{.used = table_.page_count(), .available = 0, .reserved = 0};
  space.reserved = std::min<uint64_t>(free, options_.reserve_pages);
  space.unallocated = std::min(disk.available_bytes / slot_bytes(), growth_left());
  space.available = free - space.reserved + space.unallocated;
  co_return space;
}

Task<Result<void>> PageFile::checkpoint() {
  const uint64_t target = log_.generation() + (log_.used_bytes() > 0 ? 1 : 0);
  while (table_number_ < target) {
    if (failed_ || checkpoint_failing_ || stopping_) co_return PageError::unavailable;
    checkpoint_wanted_ = target > log_.generation();
    commit_wake_.notify_all();
    co_await checkpoint_done_.wait();
  }
  co_return Result<void>();
}

}  // namespace fb
