// SPDX-License-Identifier: Apache-2.0
// Making and opening a page store: the newest whole table, then the logs since.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/safeguard.h"
#include "bss/page/page_file.h"
#include "io/claim.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr const char* kSuperblockName = "superblock";
constexpr size_t kLoadChunks = 16;  // read at a time

OpenOptions file_options(FileRole role, bool create, Durability durability = Durability::strict) {
  return {
      .write = true, .create = create, .direct = true, .role = role, .mode = 0600, .durability = durability};
}

}  // namespace

Error PageFile::refuse(const std::string& path, std::string_view what, PageError code) const {
  log(env_, LogLevel::error, fmt::format("page store: {}", what), {{"file", path}});
  return code;
}

Task<Result<void>> PageFile::recover() {
  FB_CO_CHECK(co_await ensure_directory(env_, options_.directory));
  Result<void> read = co_await read_superblock();
  if (!read && read.error().is(IoError::not_found)) {
    FB_CO_CHECK(co_await create());
    read = co_await read_superblock();
  }
  FB_CO_CHECK(read);
  // A killed process may have left names that are not durable.
  FB_CO_CHECK(co_await sync_directory(env_, options_.directory));
  FB_CO_CHECK(co_await open_files(false));
  FB_CO_CHECK(co_await log_.open(options_.store_id, superblock_.log_bytes));
  FB_CO_CHECK(co_await load_newest_table());
  FB_CO_CHECK(co_await replay_logs());
  FB_CO_TRY(const FileStat stat, co_await pages_.stat());
  const uint64_t slots_in_file = std::min<uint64_t>(stat.size_bytes / slot_bytes(), kSlotCountMax);
  // A growth that a crash cut short may have made the file long and not written it; where writes rely on
  // that, it is written now.
  if (pages_.keeps_overwrites() && slots_in_file > table_.slot_count()) {
    FB_CO_CHECK(co_await extend_with_zeros(pages_, offset_of(table_.slot_count()), stat.size_bytes));
  }
  table_.grow(std::max(table_.slot_count(), static_cast<uint32_t>(slots_in_file)));
  FB_CO_CHECK(co_await reserve_table(table_.slot_count()));
  co_return co_await begin_life();
}

// A life begins with nothing in its log, so that a torn end is looked at once and never again. The numbers of
// tables and logs never go back: a table that is newer than every log is not given up for an older number,
// since the next start would believe it, and pass over what the log of that number then holds.
Task<Result<void>> PageFile::begin_life() {
  const uint64_t newest_log = log_.generation();
  if (newest_log == table_number_ && log_.is_fresh()) co_return co_await log_.prove();
  if (newest_log + 1 != table_number_) {
    // If the table is newer, the log that led to it was readable and not on the medium, and is gone: the
    // table is written once more, since the other one is of no use any more.
    const TableWrite write = table_now(std::max(newest_log + 1, table_number_), false);
    FB_CO_CHECK(co_await write_table(write));
  }
  co_return co_await log_.begin(table_number_);
}

Task<Result<void>> PageFile::read_superblock() {
  const std::string path = path_of(kSuperblockName);
  FB_CO_TRY(const std::string bytes, co_await read_small_file(env_, path, kDirectIoAlignment));
  const HeaderState state = parse_page_superblock(bytes, options_.store_id, superblock_);
  if (state == HeaderState::not_ours) {
    co_return refuse(path, "it is not a page store of FractalBits, or damaged", PageError::damaged);
  }
  if (state == HeaderState::damaged) co_return refuse(path, describe(state), PageError::damaged);
  if (state != HeaderState::valid) co_return refuse(path, describe(state), PageError::unavailable);
  seed_ = page_store_seed(options_.store_id);
  co_return Result<void>();
}

// The superblock comes last: where it is, the rest is. Until then there are no slots, so that slots without a
// superblock are another's, or a damaged store, and are left alone.
Task<Result<void>> PageFile::create() {
  superblock_ = PageSuperblock();
  superblock_.slot_bytes = options_.slot_bytes;
  superblock_.store_id = options_.store_id;
  superblock_.log_bytes = options_.log_bytes;
  seed_ = page_store_seed(options_.store_id);
  FB_CO_CHECK(co_await open_files(true));
  FB_CO_TRY(const FileStat stat, co_await pages_.stat());
  if (stat.size_bytes != 0) {
    co_return refuse(path_of("pages"), "there are pages without a superblock: not opened",
                     PageError::damaged);
  }
  FB_CO_CHECK(co_await log_.create(options_.log_bytes));
  FB_CO_CHECK(co_await reserve_table(0));
  // Into both files, so that a store that never came to a checkpoint has two as well.
  const TableWrite first = table_now(1, false);
  for (size_t i = 0; i < tables_.size(); ++i) FB_CO_CHECK(co_await write_table(first));
  FB_CO_CHECK(co_await sync_directory(env_, options_.directory));
  FB_CO_CHECK(co_await replace_small_file(env_, path_of(kSuperblockName), encode_page_superblock(superblock_),
                                          0600, FileRole::other));
  for (File* file : {&pages_, &tables_[0], &tables_[1]}) FB_CO_CHECK(co_await file->close());
  co_return Result<void>();
}

Task<Result<void>> PageFile::open_files(bool creates) {
  FB_CO_TRY(pages_, co_await open_claimed(env_, path_of("pages"),
                                          file_options(FileRole::data, creates, options_.durability)));
  for (size_t index = 0; index < tables_.size(); ++index) {
    FB_CO_TRY(tables_[index],
              co_await open_claimed(env_, table_path(index), file_options(FileRole::snapshot, creates)));
  }
  co_return Result<void>();
}

// The head with all that belongs to it, where it is whole.
Task<std::optional<PageTableHead>> PageFile::read_head(size_t index, AlignedBytes& bytes,
                                                       HeaderState& state) {
  PageTableHead head;
  state = HeaderState::damaged;
  bytes.resize(kDirectIoAlignment);
  if (!co_await tables_[index].read_exactly(bytes.span(), 0)) co_return std::nullopt;
  state = read_table_head(bytes.span(), options_.store_id, slot_bytes(), head);
  if (state != HeaderState::valid) co_return std::nullopt;
  state = HeaderState::damaged;
  bytes.resize(table_head_bytes(head.epoch_count, head.chunk_count));
  if (!co_await tables_[index].read_exactly(bytes.span(), 0)) co_return std::nullopt;
  bytes.resize(sizeof(head) + 8 * (uint64_t{head.epoch_count} + head.chunk_count));
  if (!table_head_intact(bytes.span(), seed_)) co_return std::nullopt;
  state = HeaderState::valid;
  co_return head;
}

bool PageFile::has_logs_since(const PageTableHead& head) const {
  if (log_.generation() < head.number) return head.log_started == 0;
  for (uint64_t number = head.number; number <= log_.generation(); ++number) {
    if (!log_.has(number)) return false;
  }
  return true;
}

Task<Result<void>> PageFile::load_newest_table() {
  struct Candidate {
    std::optional<PageTableHead> head;
    HeaderState state = HeaderState::blank;
    AlignedBytes bytes;
  };
  std::array<Candidate, 2> candidates;
  for (size_t index = 0; index < 2; ++index) {
    Candidate& candidate = candidates[index];
    candidate.head = co_await read_head(index, candidate.bytes, candidate.state);
  }
  const auto number = [&](size_t index) {
    return candidates[index].head ? candidates[index].head->number : 0;
  };
  const size_t first = number(0) >= number(1) ? 0 : 1;
  for (const size_t index : {first, 1 - first}) {
    Candidate& candidate = candidates[index];
    if (!candidate.head || !has_logs_since(*candidate.head)) continue;
    table_ = PageTable();
    if (co_await load_table(index, *candidate.head, candidate.bytes)) {
      if (!FB_SAFEGUARD(rewrite_table_head)) co_return Result<void>();
      // The head of a killed process may be readable and not on the medium: the same bytes again. The logs
      // before it are given up from now on.
      AlignedBytes head = std::move(candidate.bytes);
      co_return co_await tables_[index].write_all_durable(head.pad(), 0);
    }
    ++stats_.tables_damaged;
    log(env_, LogLevel::warn, "page store: a table is damaged", {{"file", table_path(index)}});
  }
  for (size_t index = 0; index < 2; ++index) {
    const HeaderState state = candidates[index].state;
    if (state == HeaderState::other_store || state == HeaderState::other_version) {
      co_return refuse(table_path(index), describe(state), PageError::unavailable);
    }
  }
  co_return refuse(table_path(first), "no table is whole that the logs continue", PageError::damaged);
}

Task<Result<void>> PageFile::load_table(size_t index, const PageTableHead& head,
                                        const AlignedBytes& head_bytes) {
  std::vector<uint64_t> words(uint64_t{head.epoch_count} + head.chunk_count);
  if (!words.empty()) {
    std::memcpy(words.data(), head_bytes.data() + sizeof(head), words.size() * sizeof(uint64_t));
  }
  const std::span<const uint64_t> epochs(words.data(), head.epoch_count);
  const uint64_t* checksums = words.data() + head.epoch_count;
  table_.prepare_load(head.slot_count, head.page_count);
  AlignedBytes bytes(kLoadChunks * sizeof(TableChunk));
  for (uint32_t first = 0; first < head.chunk_count; first += kLoadChunks) {
    const size_t count = std::min<size_t>(kLoadChunks, head.chunk_count - first);
    bytes.resize(count * sizeof(TableChunk));
    const uint64_t offset =
        table_head_bytes(head.epoch_count, head.chunk_count) + uint64_t{first} * sizeof(TableChunk);
    FB_CO_CHECK(co_await tables_[index].read_exactly(bytes.span(), offset));
    for (uint32_t i = 0; i < count; ++i) {
      const auto& chunk = *reinterpret_cast<const TableChunk*>(bytes.data() + i * sizeof(TableChunk));
      const bool whole = chunk_checksum(chunk, seed_, head.number, first + i) == checksums[first + i];
      if (!whole || !table_.load(first + i, chunk, epochs)) co_return PageError::damaged;
    }
  }
  if (table_.page_count() != head.page_count) co_return PageError::damaged;
  newest_table_ = index;
  table_number_ = head.number;
  next_sequence_ = head.next_sequence;
  sealed_epoch_ = head.sealed_epoch;
  co_return Result<void>();
}

Task<Result<void>> PageFile::replay_logs() {
  for (uint64_t number = table_number_; number <= log_.generation(); ++number) {
    FB_CO_CHECK(co_await log_.replay(number, next_sequence_, sealed_epoch_,
                                     [&](const PageLogEntry& entry) { return replay(entry); }));
  }
  stats_.log_copies_damaged = log_.copies_damaged();
  if (stats_.log_copies_damaged != 0) {
    log(env_, LogLevel::warn, "page store: one copy of the log is damaged, the other one was used",
        {{"directory", options_.directory}});
  }
  co_return Result<void>();
}

bool PageFile::replay(const PageLogEntry& entry) {
  if (entry.id == 0 || entry.id > kPageIdMax) return false;
  ++stats_.changes_replayed;
  if (entry.kind == PageLogEntry::Kind::erase) {
    table_.erase({entry.id});
    return true;
  }
  if (entry.kind != PageLogEntry::Kind::put || entry.slot >= kSlotCountMax) return false;
  if (entry.slot >= table_.slot_count()) table_.grow(entry.slot + 1);
  if (!table_.add_epoch(entry.epoch) || !table_.claim(entry.slot)) return false;
  table_.put({entry.id}, {entry.epoch, entry.position}, entry.slot);
  return true;
}

}  // namespace fb
