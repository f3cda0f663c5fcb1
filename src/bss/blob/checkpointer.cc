// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/checkpointer.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/safeguard.h"
#include "io/claim.h"

namespace fb::bss {
namespace {

constexpr size_t kWriteBytes = kMiB;
// Behind so many times its size the checkpoint is written again: its part of all that is written stays small.
constexpr uint64_t kCheckpointShare = 48;
constexpr Duration kCheckpointRetry = Duration::seconds(1);

// Collects bytes into aligned writes behind the header block, and their checksum.
class BodyWriter {
 public:
  BodyWriter(File& file, Buffer buffer)
      : file_(file), buffer_(std::move(buffer)), state_(XXH3_createState(), &XXH3_freeState) {
    XXH3_64bits_reset(state_.get());
  }
  Task<Result<void>> append(std::span<const std::byte> bytes) {
    XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
    total_ += bytes.size();
    while (!bytes.empty()) {
      const size_t count = std::min(bytes.size(), kWriteBytes - used_);
      std::memcpy(buffer_.data() + used_, bytes.data(), count);
      used_ += count;
      bytes = bytes.subspan(count);
      if (used_ == kWriteBytes) FB_CO_CHECK(co_await flush());
    }
    co_return Result<void>();
  }
  Task<Result<void>> flush() {
    const size_t padded = align_up(used_, kBlockBytes);
    std::memset(buffer_.data() + used_, 0, padded - used_);
    if (padded != 0) FB_CO_CHECK(co_await file_.write_all(buffer_.span(0, padded), at_));
    at_ += padded;
    used_ = 0;
    co_return Result<void>();
  }
  uint64_t total() const { return total_; }
  uint64_t checksum() const { return XXH3_64bits_digest(state_.get()); }

 private:
  File& file_;
  Buffer buffer_;
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
  uint64_t at_ = kBlockBytes;
  uint64_t total_ = 0;
  size_t used_ = 0;
};

}  // namespace

void Checkpointer::note_written(uint64_t bytes) {
  written_since_ += bytes;
  const uint64_t interval = std::max(context_.options().checkpoint_interval_bytes, kCheckpointShare * bytes_);
  if (written_since_ >= interval) signals_.checkpoint.notify_all();
}

Task<void> Checkpointer::run(Checkpointer& self) {
  while (!self.context_.stopping()) {
    co_await self.signals_.checkpoint.wait();
    for (bool again = true; again && !self.context_.stopping();) {
      const Result<void> written = co_await self.write();
      if (!written) self.context_.log(fmt::format("checkpoint failed: {}", written.error().to_string()));
      again = !written;
      if (again) (void)co_await self.context_.sleep(kCheckpointRetry);
    }
  }
}

std::vector<CheckpointSegment> Checkpointer::segment_lines() const {
  std::vector<CheckpointSegment> table;
  // Else the next start would not look at them, and its batches would say that they had ended.
  for (const EndedBatch& batch : order_.doubted()) {
    if (!FB_SAFEGUARD(keep_doubt_over_checkpoint)) break;
    table.push_back({.segment = batch.segment->number,
                     .flags = CheckpointSegment::kUnwiped,
                     .generation = batch.segment->generation,
                     .nonce = batch.segment->nonce,
                     .end = batch.offset,
                     .tombstones = batch.sequence});
  }
  for (const auto& segment : table_.all()) {
    const std::optional<uint64_t> uncontained = order_.first_uncontained(*segment);
    // A segment that was recycled meanwhile ends before that.
    const uint64_t end = std::min(segment->end, uncontained.value_or(segment->end));
    const bool sealed = segment->state == Segment::State::sealed && !uncontained;
    table.push_back({.segment = segment->number,
                     .flags = (sealed ? CheckpointSegment::kSealed : 0) |
                              (segment->moved_out ? CheckpointSegment::kMovedOut : 0),
                     .generation = segment->generation,
                     .nonce = segment->nonce,
                     .end = end,
                     .tombstones = segment->tombstones});
  }
  return table;
}

Task<Result<void>> Checkpointer::write_file(File& file) {
  const std::vector<CheckpointSegment> table = segment_lines();
  CheckpointHeader header{};
  header.store_id = context_.superblock().store_id;
  header.shard = context_.number();
  header.segment_count = static_cast<uint32_t>(table.size());
  header.sequence = order_.ended_sequence();
  header.next_sequence = order_.next_sequence();
  header.next_generation = table_.next_generation();

  BodyWriter body(file, co_await context_.pool().allocate(kWriteBytes));
  FB_CO_CHECK(co_await body.append(std::as_bytes(std::span(table))));
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    std::erase_if(entries, [](const IndexEntry& entry) { return (entry.place & IndexEntry::kPending) != 0; });
    for (IndexEntry& entry : entries) entry.place = entry.location();
    header.entry_count += entries.size();
    if (!entries.empty()) FB_CO_CHECK(co_await body.append(std::as_bytes(std::span(entries))));
  }
  FB_CO_CHECK(co_await body.flush());
  header.body_bytes = body.total();
  header.body_checksum = body.checksum();
  const Buffer block = co_await context_.pool().allocate(kBlockBytes);
  encode_checkpoint_header(header, block.span(0, kBlockBytes));
  FB_CO_CHECK(co_await file.write_all(block.span(0, kBlockBytes), 0));
  FB_CO_CHECK(co_await file.sync());
  bytes_ = kBlockBytes + header.body_bytes;
  co_return Result<void>();
}

Task<Result<void>> Checkpointer::write() {
  FB_ASSERT(!writing_);
  writing_ = true;
  const Result<void> written = co_await write_and_rename();
  writing_ = false;
  co_return written;
}

Task<Result<void>> Checkpointer::write_and_rename() {
  written_since_ = 0;
  const std::string name = context_.path(kCheckpointName);
  const std::string new_name = name + ".new";
  FB_CO_TRY(
      File file,
      co_await open_claimed(
          context_.env(), new_name,
          {.write = true, .create = true, .truncate = true, .direct = true, .role = FileRole::snapshot}));
  const Result<void> written = co_await write_file(file);
  FB_CO_CHECK(co_await file.close());
  FB_CO_CHECK(written);
  FB_CO_CHECK(co_await rename_file(context_.env(), new_name, name));
  FB_CO_CHECK(co_await sync_directory(context_.env(), context_.path("")));
  ++context_.stats().checkpoints;
  context_.stats().checkpoint_bytes += bytes_;
  co_return Result<void>();
}

}  // namespace fb::bss
