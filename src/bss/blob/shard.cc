// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/shard.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "bss/blob/recovery.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr int kLastWipeAttempts = 10;

}  // namespace

Shard::Shard(CoreContext& context, uint32_t number)
    : context_(context, number), signals_(context.env), index_(&context.env, context.env.core_count()) {}

Shard::~Shard() = default;

Task<Result<void>> Shard::open() {
  Recovery recovery(Recovery::Parts{.context = context_,
                                    .index = index_,
                                    .table = table_,
                                    .space = space_,
                                    .order = order_,
                                    .wiper = wiper_,
                                    .checkpointer = checkpointer_});
  const Result<void> opened = co_await recovery.run();
  context_.enter(opened ? ShardPhase::opened : ShardPhase::failed);
  co_return opened;
}

void Shard::start(Scope& scope) {
  context_.enter(ShardPhase::running);
  for (uint32_t i = 0; i < context_.options().writes_in_flight; ++i)
    scope.spawn(&BatchWriter::run, std::ref(writer_));
  scope.spawn(&SegmentPreparer::run, std::ref(preparer_));
  scope.spawn(&Zeroer::run, std::ref(zeroer_));
  scope.spawn(&Compactor::run, std::ref(compactor_));
  scope.spawn(&Checkpointer::run, std::ref(checkpointer_));
  scope.spawn(&BatchWiper::run, std::ref(wiper_));
  scope.spawn(&BatchWriter::run_expirer, std::ref(writer_));
  scope.spawn(&Scrubber::run, std::ref(scrubber_));
}

void Shard::stop() {
  if (context_.phase() == ShardPhase::failed || context_.stopping()) return;
  context_.enter(ShardPhase::stopping);
  signals_.notify_all();
}

Task<Result<void>> Shard::finish() {
  FB_ASSERT(queues_.empty() && order_.in_flight() == 0, order_.in_flight());
  Result<void> result;
  // A checkpoint of a shard that could not be opened would forget what was not read.
  if (context_.phase() != ShardPhase::failed) {
    FB_DCHECK(verify());
    co_await wiper_.wipe_doubted(kLastWipeAttempts);
    result = co_await checkpointer_.write();
  }
  co_await reader_.end_sharing();
  const Result<void> closed = co_await table_.close_files();
  if (!closed) result = closed;
  context_.enter(ShardPhase::finished);
  co_return result;
}

uint64_t Shard::payload_bytes_max() const {
  const uint64_t room = context_.segment_room() - descriptor_bytes_for(1);
  return std::min<uint64_t>(kBlobBlockSizeMax, room > kPieceBytes ? room - kBlockBytes : room);
}

BlobUsage Shard::usage() const {
  BlobUsage usage{.capacity_bytes = space_.capacity_bytes(),
                  .live_bytes = live_bytes(),
                  .reserve_bytes = space_.reserve_bytes(),
                  .available_bytes = space_.available_bytes(),
                  .blobs = index_.size(),
                  .index_bytes = index_.memory_bytes(),
                  .checkpoint_bytes = checkpointer_.bytes()};
  table_.add_to(usage);
  return usage;
}

BlobPage Shard::enumerate(uint64_t cursor) {
  BlobPage page;
  std::vector<IndexEntry> entries;
  while (cursor < BlobIndex::kTableCount && page.keys.empty()) {
    index_.entries_of(cursor, entries);
    for (const IndexEntry& entry : entries) {
      if (!entry.readable()) continue;
      page.keys.push_back(context_.key_of(entry.number, entry.incarnation, entry.block));
    }
    ++cursor;
  }
  page.next_cursor = cursor < BlobIndex::kTableCount ? cursor : 0;
  return page;
}

bool Shard::verify() {
  if (!index_.verify()) return false;
  std::vector<uint64_t> live(table_.size(), 0);
  uint64_t total = 0;
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      if ((entry.place & IndexEntry::kPending) != 0) continue;
      const uint64_t bytes = stored_bytes(entry.length());
      if (entry.segment() >= table_.size()) return false;
      if (entry.offset_bytes() + bytes > table_[entry.segment()].end) return false;
      live[entry.segment()] += bytes;
      total += bytes;
    }
  }
  for (const auto& segment : table_.all()) {
    if (live[segment->number] != segment->live_bytes) return false;
  }
  return total == table_.live_bytes();
}

}  // namespace fb::bss
