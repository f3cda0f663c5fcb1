// SPDX-License-Identifier: Apache-2.0
#include "bss/shard.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/assert.h"
#include "bss/placement.h"
#include "io/error.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr Duration kBufferPoll = Duration::milliseconds(1);
constexpr Duration kBufferWaitMax = Duration::seconds(10);
constexpr int kReadAttemptsMax = 3;

}  // namespace

Shard::Shard(CoreContext& context, uint32_t number)
    : context_(context),
      number_(number),
      work_(context.env),
      prepare_(context.env),
      zero_(context.env),
      compact_(context.env),
      checkpoint_wanted_(context.env) {}

Shard::~Shard() = default;

std::string Shard::path(std::string_view name) const {
  const std::string folder = fmt::format("{}/shard-{:04}", context_.options.directory, number_);
  return name.empty() ? folder : folder + "/" + std::string(name);
}

void Shard::log(std::string_view text) const { fb::log(env(), LogLevel::warn, text, {{"shard", number_}}); }

void Shard::start(Scope& scope) {
  for (uint32_t i = 0; i < context_.options.writes_in_flight; ++i)
    scope.spawn(&Shard::run_writer, std::ref(*this));
  scope.spawn(&Shard::run_preparer, std::ref(*this));
  scope.spawn(&Shard::run_zeroer, std::ref(*this));
  scope.spawn(&Shard::run_compactor, std::ref(*this));
  scope.spawn(&Shard::run_checkpointer, std::ref(*this));
}

void Shard::stop() {
  stopping_ = true;
  stop_sleeping_.cancel();
  for (Notification* notification : {&work_, &prepare_, &zero_, &compact_, &checkpoint_wanted_})
    notification->notify_all();
}

Task<Result<void>> Shard::finish() {
  FB_ASSERT(nothing_queued() && in_flight_.empty(), in_flight_.size());
  Result<void> result;
  // A checkpoint of a shard that could not be opened would forget what was not read.
  if (opened_) {
    FB_DCHECK(verify());
    result = co_await write_checkpoint();
  }
  for (const auto& segment : segments_) {
    const Result<void> closed = co_await segment->file.close();
    if (!closed) result = closed;
  }
  co_return result;
}

// Memory for a payload: the cache's where it takes such, otherwise the request's. Waits for the latter only
// so long, since who asks may hold other buffers.
static Task<Result<Buffer>> allocate_payload(CoreContext& core, const CallContext& context, uint32_t length) {
  if (Buffer buffer = core.cache.allocate(length)) co_return buffer;
  const Instant give_up = std::min(context.deadline, core.env.now() + kBufferWaitMax);
  for (;;) {
    if (Buffer buffer = core.env.buffers().try_allocate(length)) co_return buffer;
    if (core.env.now() >= give_up) co_return BlobError::timed_out;
    if (!co_await sleep_for(core.env, kBufferPoll, context.cancel)) co_return BlobError::timed_out;
  }
}

Task<Result<BlobData>> Shard::read(const CallContext& context, const BlobKey& key, uint32_t offset,
                                   uint32_t length) {
  Buffer buffer;
  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    const IndexEntry* entry = index_.find(key);
    if (entry == nullptr || !entry->readable()) co_return BlobError::not_found;
    if (offset > entry->length() || length > entry->length() - offset) co_return BlobError::too_large;
    if (buffer.capacity() < entry->length()) {
      FB_CO_TRY(buffer, co_await allocate_payload(context_, context, entry->length()));
      entry = index_.find(key);  // it may have moved or gone meanwhile
      if (entry == nullptr || !entry->readable()) co_return BlobError::not_found;
      if (buffer.capacity() < entry->length()) continue;
    }
    const IndexEntry expected = *entry;
    Segment& segment = *segments_[expected.segment()];
    const auto bytes = buffer.span(0, align_up(expected.length(), kBlockBytes));
    ++segment.readers;
    const Result<size_t> count = co_await segment.file.read(
        bytes, expected.offset_bytes(), {.deadline = context.deadline, .cancel = context.cancel});
    --segment.readers;
    if (!count && (count.error().is(IoError::timed_out) || count.error().is(IoError::cancelled)))
      co_return BlobError::timed_out;
    const bool intact =
        count && *count == bytes.size() && xxh3(bytes.first(expected.length())) == expected.checksum;
    if (!intact) continue;  // once more: a misdirected read may be right the next time
    const IndexEntry* now = index_.find(key);
    if (now != nullptr && now->readable() && context_.cache.takes(expected.length()))
      context_.cache.insert(key, buffer, expected.length());
    co_return BlobData{.buffer = std::move(buffer), .offset = offset, .length = length};
  }
  ++context_.stats.damaged;
  log(fmt::format("damaged payload: incarnation {} number {} block {}", key.id.incarnation.value,
                  key.id.number, key.block));
  co_return BlobError::damaged;
}

BlobPage Shard::enumerate(uint64_t cursor) {
  BlobPage page;
  const uint32_t shards = context_.superblock.shard_count;
  while (cursor < BlobIndex::kTableCount && page.keys.empty()) {
    for (const IndexEntry& entry : index_.table(cursor)) {
      if (entry.place == 0 || !entry.readable()) continue;
      page.keys.push_back({.id = {.volume = context_.superblock.volume,
                                  .shard = named_shard_of(number_, entry.block, shards),
                                  .incarnation = {entry.incarnation},
                                  .number = entry.number},
                           .block = entry.block});
    }
    ++cursor;
  }
  page.next_cursor = cursor < BlobIndex::kTableCount ? cursor : 0;
  return page;
}

bool Shard::verify() {
  if (!index_.verify()) return false;
  std::vector<uint64_t> live(segments_.size(), 0);
  uint64_t total = 0;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    for (const IndexEntry& entry : index_.table(t)) {
      if (entry.place == 0 || (entry.place & IndexEntry::kPending) != 0) continue;
      const uint64_t bytes = align_up(entry.length(), kBlockBytes);
      if (entry.segment() >= segments_.size()) return false;
      if (entry.offset_bytes() + bytes > segments_[entry.segment()]->end) return false;
      live[entry.segment()] += bytes;
      total += bytes;
    }
  }
  for (const auto& segment : segments_) {
    if (live[segment->number] != segment->live_bytes) return false;
  }
  return total == live_bytes_;
}

}  // namespace fb::bss
