// SPDX-License-Identifier: Apache-2.0
#include "bss/shard.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

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
  scope.spawn(&Shard::run_scrubber, std::ref(*this));
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
static Task<Result<Buffer>> allocate_payload(CoreContext& core, const CallContext& context, uint32_t length,
                                             bool for_cache) {
  if (for_cache) {
    if (Buffer buffer = core.cache.allocate(length)) co_return buffer;
  }
  const Instant give_up = std::min(context.deadline, core.env.now() + kBufferWaitMax);
  for (;;) {
    if (Buffer buffer = core.env.buffers().try_allocate(length)) co_return buffer;
    if (core.env.now() >= give_up) co_return BlobError::timed_out;
    if (!co_await sleep_for(core.env, kBufferPoll, context.cancel)) co_return BlobError::timed_out;
  }
}

// The pieces that a range touches; all of them where the payload goes into the cache.
Shard::Extent Shard::extent_to_read(uint32_t payload, uint32_t offset, uint32_t length) const {
  if (piece_count(payload) == 0 || context_.cache.takes(payload)) return {.begin = 0, .end = payload};
  return {.begin = static_cast<uint32_t>(align_down(offset, kPieceBytes)),
          .end = static_cast<uint32_t>(
              std::min<uint64_t>(align_up(uint64_t{offset} + length, kPieceBytes), payload))};
}

// Verified against the entry. Of a part, the pieces' checksums are read as well, and believed only where they
// have the entry's checksum.
Task<Shard::Verdict> Shard::read_extent(CoreContext& core, const CallContext& context, Segment& segment,
                                        const IndexEntry& entry, Extent extent, Buffer& buffer) {
  const IoLimits limits{.deadline = context.deadline, .cancel = context.cancel};
  const uint32_t length = entry.length();
  const auto bytes = buffer.span(0, extent.blocks_bytes());
  const bool whole = extent.begin == 0 && extent.end == length;
  const uint64_t table_block = entry.offset_bytes() + stored_bytes(length) - kBlockBytes;
  Result<size_t> count = size_t{0};
  Result<size_t> table_count = kBlockBytes;
  Buffer table;
  ++segment.readers;  // before anything waits: the entry must not become another generation's
  if (whole) {
    count = co_await segment.file.read(bytes, entry.offset_bytes(), limits);
  } else {
    table = co_await core.pool.allocate(kBlockBytes);
    co_await when_all(
        [&]() -> Task<void> {
          count = co_await segment.file.read(bytes, entry.offset_bytes() + extent.begin, limits);
        },
        [&]() -> Task<void> {
          table_count = co_await segment.file.read(table.span(0, kBlockBytes), table_block, limits);
        });
  }
  --segment.readers;
  for (const Result<size_t>* each : {&count, &table_count}) {
    const bool ended =
        !*each && (each->error().is(IoError::timed_out) || each->error().is(IoError::cancelled));
    if (ended) co_return Verdict::timed_out;
  }
  const bool read = count && *count == bytes.size();
  if (whole && !read) co_return Verdict::unreadable;
  if (whole)
    co_return blob_checksum(bytes.first(length)) == entry.checksum ? Verdict::intact : Verdict::damaged;
  if (!table_count || *table_count != kBlockBytes) co_return Verdict::table_damaged;
  PieceSums sums{};
  std::memcpy(sums.data(), table.data() + piece_table_offset(length) % kBlockBytes,
              piece_table_bytes(length));
  const auto expected = std::span(sums).first(piece_count(length));
  if (checksum_of_pieces(expected, length) != entry.checksum) co_return Verdict::table_damaged;
  if (!read) co_return Verdict::unreadable;
  for (uint32_t at = extent.begin; at < extent.end; at += kPieceBytes) {
    const auto piece = bytes.subspan(at - extent.begin, std::min(kPieceBytes, extent.end - at));
    if (xxh3(piece) != expected[at / kPieceBytes]) co_return Verdict::damaged;
  }
  co_return Verdict::intact;
}

Task<Result<BlobData>> Shard::read(const CallContext& context, const BlobKey& key, uint32_t offset,
                                   uint32_t length) {
  Buffer buffer;
  bool whole = false;
  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    BlobIndex::Found entry = index_.find(key);
    if (!entry || !entry.readable()) co_return BlobError::not_found;
    if (offset > entry.length() || length > entry.length() - offset) co_return BlobError::too_large;
    const uint32_t payload = entry.length();
    const Extent extent =
        whole ? Extent{.begin = 0, .end = payload} : extent_to_read(payload, offset, length);
    const bool for_cache = context_.cache.takes(payload);
    if (buffer.capacity() < extent.blocks_bytes()) {
      const uint32_t wanted = for_cache ? payload : static_cast<uint32_t>(extent.blocks_bytes());
      FB_CO_TRY(buffer, co_await allocate_payload(context_, context, wanted, for_cache));
      entry = index_.find(key);  // it may have moved or gone meanwhile
      if (!entry || !entry.readable()) co_return BlobError::not_found;
      if (entry.length() != payload) continue;
    }
    const IndexEntry expected = entry;
    const Verdict verdict =
        co_await read_extent(context_, context, *segments_[expected.segment()], expected, extent, buffer);
    if (verdict == Verdict::timed_out) co_return BlobError::timed_out;
    whole |= verdict == Verdict::table_damaged;  // the payload can be intact without them
    if (verdict != Verdict::intact) continue;    // once more: a misdirected read may be right the next time
    const BlobIndex::Found now = index_.find(key);
    if (now && now.readable() && for_cache) context_.cache.insert(key, buffer, payload);
    co_return BlobData{.buffer = std::move(buffer), .offset = offset - extent.begin, .length = length};
  }
  ++context_.stats.damaged;
  log(fmt::format("damaged payload: incarnation {} number {} block {}", key.id.incarnation.value,
                  key.id.number, key.block));
  co_return BlobError::damaged;
}

Task<Shard::Verdict> Shard::check_payload(Segment& segment, uint64_t offset, uint32_t length,
                                          uint64_t checksum) {
  const Buffer buffer = co_await context_.pool.allocate(payload_bytes(length));
  const auto bytes = buffer.span(0, payload_bytes(length));
  if (!co_await segment.file.read_exactly(bytes, offset)) co_return Verdict::unreadable;
  const auto payload = bytes.first(length);
  PieceSums sums;
  const auto expected = piece_checksums(payload, sums);
  if (expected.empty()) co_return xxh3(payload) == checksum ? Verdict::intact : Verdict::damaged;
  if (checksum_of_pieces(expected, length) != checksum) co_return Verdict::damaged;
  Buffer own;
  const std::byte* table = bytes.data() + piece_table_offset(length);
  if (!piece_table_fits_behind(length)) {
    own = co_await context_.pool.allocate(kBlockBytes);
    if (!co_await segment.file.read_exactly(own.span(0, kBlockBytes), offset + payload_bytes(length)))
      co_return Verdict::unreadable;
    table = own.data();
  }
  const bool same = std::memcmp(table, expected.data(), expected.size_bytes()) == 0;
  co_return same ? Verdict::intact : Verdict::table_damaged;
}

BlobPage Shard::enumerate(uint64_t cursor) {
  BlobPage page;
  std::vector<IndexEntry> entries;
  const uint32_t shards = context_.superblock.shard_count;
  while (cursor < BlobIndex::kTableCount && page.keys.empty()) {
    index_.entries_of(cursor, entries);
    for (const IndexEntry& entry : entries) {
      if (!entry.readable()) continue;
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
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      if ((entry.place & IndexEntry::kPending) != 0) continue;
      const uint64_t bytes = stored_bytes(entry.length());
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
