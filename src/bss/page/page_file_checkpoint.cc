// SPDX-License-Identifier: Apache-2.0
// The table's two files.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "bss/page/page_file.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr size_t kWriteChunks = 16;  // at a time

}  // namespace

// Room for the table of so many slots in both files, so that writing it never needs any.
Task<Result<void>> PageFile::reserve_table(uint32_t slot_count) {
  const uint64_t epochs = table_.epoch_count() + kEpochsAhead;
  const uint64_t needed = table_bytes(epochs, chunk_count_of(slot_count));
  const auto turn = co_await tables_mutex_.acquire();
  for (File& file : tables_) {
    FB_CO_TRY(const FileStat stat, co_await file.stat());
    FB_CO_CHECK(co_await extend_with_zeros(file, align_down(stat.size_bytes, kDirectIoAlignment), needed));
  }
  co_return Result<void>();
}

PageFile::TableWrite PageFile::table_now(uint64_t number, bool log_started) const {
  return {.table = table_.snapshot(),
          .number = number,
          .next_sequence = next_sequence_,
          .sealed_epoch = sealed_epoch_,
          .log_started = log_started};
}

// Into the file that does not hold the newest one, the head last.
Task<Result<void>> PageFile::write_table(const TableWrite& write) {
  const auto turn = co_await tables_mutex_.acquire();
  const size_t index = 1 - newest_table_;
  File& file = tables_[index];
  const PageTable::Snapshot& table = write.table;
  const auto chunk_count = static_cast<uint32_t>(table.chunks.size());
  const uint64_t head_bytes = table_head_bytes(table.epochs.size(), chunk_count);
  std::vector<uint64_t> checksums;
  checksums.reserve(chunk_count);
  AlignedBytes bytes(kWriteChunks * sizeof(TableChunk));
  for (uint32_t first = 0; first < chunk_count; first += kWriteChunks) {
    bytes.clear();
    for (uint32_t i = first; i < std::min<uint32_t>(first + kWriteChunks, chunk_count); ++i) {
      checksums.push_back(chunk_checksum(*table.chunks[i], seed_, write.number, i));
      bytes.append(table.chunks[i].get(), sizeof(TableChunk));
    }
    const uint64_t offset = head_bytes + uint64_t{first} * sizeof(TableChunk);
    Result<void> written;
    if (shares_syncs()) {
      written = co_await file.write_all_durable(bytes.span(), offset);
    } else {
      written = co_await file.write_all(bytes.span(), offset);
    }
    FB_CO_CHECK(written);
  }
  FB_CO_CHECK(co_await file.sync());
  PageTableHead head;
  head.slot_bytes = slot_bytes();
  head.store_id = options_.store_id;
  head.number = write.number;
  head.next_sequence = write.next_sequence;
  head.sealed_epoch = write.sealed_epoch;
  head.page_count = table.page_count;
  head.slot_count = table.slot_count;
  head.epoch_count = static_cast<uint32_t>(table.epochs.size());
  head.chunk_count = chunk_count;
  head.log_started = write.log_started ? 1 : 0;
  bytes.clear();
  bytes.append(&head, sizeof(head));
  bytes.append(table.epochs.data(), table.epochs.size() * sizeof(uint64_t));
  bytes.append(checksums.data(), checksums.size() * sizeof(uint64_t));
  seal_table_head(bytes.span(), seed_);
  FB_CO_CHECK(co_await file.write_all_durable(bytes.pad(), 0));
  newest_table_ = index;
  table_number_ = write.number;
  ++stats_.tables;
  stats_.table_bytes += head_bytes + chunk_count * sizeof(TableChunk);
  co_return Result<void>();
}

Task<void> PageFile::run_checkpointer(PageFile* self) {
  while (!self->stopping_) {
    if (!self->table_write_) {
      co_await self->checkpoint_wake_.wait();
      continue;
    }
    const Result<void> written = co_await self->write_table(*self->table_write_);
    if (written) self->table_write_.reset();
    if (!written && !self->checkpoint_failing_) {
      log(self->env_, LogLevel::error, "page store: a table cannot be written",
          {{"file", self->table_path(1 - self->newest_table_)}, {"error", written.error().to_string()}});
    }
    self->checkpoint_failing_ = !written;
    self->checkpoint_done_.notify_all();
    self->commit_wake_.notify_all();
    if (!written) (void)co_await sleep_for(self->env_, kRetryDelay, &self->stop_sleeping_);
  }
}

}  // namespace fb
