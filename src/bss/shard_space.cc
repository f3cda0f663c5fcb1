// SPDX-License-Identifier: Apache-2.0
// Segments of a shard: making them, writing zeros ahead, compaction, recycling.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "bss/shard.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr uint64_t kZeroChunkBytes = kMiB;
constexpr uint64_t kZeroAheadBytesMin = 4 * kMiB;
constexpr uint64_t kZeroAheadBytesMax = 32 * kMiB;
constexpr uint64_t kSettleBytes = 8 * kMiB;  // zeros between two syncs, where batches are far behind
constexpr Duration kCreationRetry = Duration::milliseconds(200);
constexpr Duration kRecyclePoll = Duration::milliseconds(1);
constexpr Duration kCompactionRetry = Duration::milliseconds(20);
constexpr uint64_t kDenseEntryBytes = 64;  // of a descriptor, in a full batch
constexpr uint64_t kLooseBlocks = 3;       // of descriptors that are not full
constexpr uint64_t kMoveBytesMax = kMiB;
constexpr unsigned kUrgentGainPercent = 12;

// What the segment's contents may take when they are written again: full batches, and a few that are not
// where they are spread over segments. Never less than that, so that what was compacted is not worth it once
// more.
uint64_t dense_bytes(const Segment& segment) {
  const uint64_t entries = segment.tombstones + segment.live_bytes / kBlockBytes;
  return segment.live_bytes + entries * kDenseEntryBytes + kLooseBlocks * kBlockBytes;
}

}  // namespace

bool Shard::may_create() const {
  if (segments_.size() >= segments_max_ || segments_.size() > IndexEntry::kSegmentNumberMax) return false;
  return !creation_failed_ || env().now() >= creation_retry_;
}

bool Shard::space_is_short() const { return free_.size() <= kReservedSegments && !may_create(); }

uint64_t Shard::available_bytes() const {
  const uint64_t capacity = capacity_bytes();
  const uint64_t reserve = kReservedSegments * segment_room();
  return capacity > live_bytes_ + reserve ? capacity - live_bytes_ - reserve : 0;
}

BlobUsage Shard::usage() const {
  BlobUsage usage{.capacity_bytes = capacity_bytes(),
                  .live_bytes = live_bytes_,
                  .reserve_bytes = kReservedSegments * segment_room(),
                  .available_bytes = available_bytes(),
                  .segments = segments_.size(),
                  .segments_max = segments_max_,
                  .blobs = index_.size(),
                  .index_bytes = index_.memory_bytes(),
                  .checkpoint_bytes = checkpoint_bytes_};
  if (segments_max_ > segments_.size())
    usage.unallocated_bytes = (segments_max_ - segments_.size()) * segment_room();
  for (const auto& segment : segments_) {
    switch (segment->state) {
      case Segment::State::free:
        usage.free_bytes += segment_room();
        ++usage.segments_free;
        break;
      case Segment::State::active:
        usage.unwritten_bytes += segment_bytes() - segment->end;
        usage.garbage_bytes += segment->end - kSegmentDataOffset - segment->live_bytes;
        break;
      case Segment::State::sealed:
      case Segment::State::recycling:
        usage.garbage_bytes += segment_room() - segment->live_bytes;
        break;
      case Segment::State::damaged:
        usage.lost_bytes += segment_room() - segment->live_bytes;
        break;
    }
  }
  return usage;
}

// Keeps one free segment beyond the reserve, and refuses what waits for space that cannot be had.
Task<void> Shard::run_preparer(Shard& self) {
  while (!self.stopping_) {
    if (self.used_ && self.free_.size() <= kReservedSegments && self.may_create()) {
      const Result<void> created = co_await self.create_segment();
      self.creation_failed_ = !created;
      if (!created) {
        self.creation_retry_ = self.env().now() + kCreationRetry;
        self.log(fmt::format("no new segment: {}", created.error().to_string()));
        self.compact_.notify_all();
      }
      self.work_.notify_all();
      continue;
    }
    const bool compaction_may_help = self.compacting_ || !self.no_victim_;
    if (self.blocked_ && self.space_is_short()) {
      if (compaction_may_help) {
        self.compact_.notify_all();
      } else {
        self.refuse_blocked();
      }
    }
    co_await self.prepare_.wait();
  }
}

// A segment is made whole under another name, so that one with its own name always has a valid header.
Task<Result<void>> Shard::create_segment() {
  const auto number = static_cast<uint32_t>(segments_.size());
  const std::string name = path(fmt::format("segment-{:08}", number));
  const std::string new_name = name + ".new";
  FB_CO_TRY(File file, co_await File::open(env(), new_name,
                                           {.write = true,
                                            .create = true,
                                            .truncate = true,
                                            .direct = true,
                                            .role = FileRole::data,
                                            .durability = context_.options.durability}));
  auto segment = std::make_unique<Segment>();
  segment->number = number;
  segment->generation = next_generation_++;
  env().random_bytes(std::as_writable_bytes(std::span(&segment->nonce, 1)));
  segment->fresh = true;
  const Buffer header = co_await context_.pool.allocate(kSegmentDataOffset);
  encode_segment_header({.store_id = context_.superblock.store_id,
                         .shard = number_,
                         .segment = number,
                         .segment_bytes = segment_bytes(),
                         .generation = segment->generation,
                         .nonce = segment->nonce},
                        header.span(0, kSegmentDataOffset));
  Result<void> made = co_await file.allocate(0, segment_bytes());
  if (made) made = co_await file.write_all_durable(header.span(0, kSegmentDataOffset), 0);
  if (made) made = co_await file.sync();
  if (made) made = co_await rename_file(env(), new_name, name);
  if (made) made = co_await sync_directory(env(), path(""));
  if (!made) {
    FB_CO_CHECK(co_await file.close());
    (void)co_await remove_file(env(), new_name);
    co_return made.error();
  }
  segment->file = std::move(file);
  free_.push_back(segment.get());
  refuses_puts_ = false;
  segments_.push_back(std::move(segment));
  co_return Result<void>();
}

// What is to be zeroed next: ahead of the active segment's end, in long runs, because a durable write into a
// file whose extents have just changed waits for the file system's journal; or, once the active segment has
// got going, all of the next one.
Segment* Shard::segment_to_zero() {
  const uint64_t ahead =
      active_ == nullptr ? 0 : active_->zeroed_to - std::min(active_->zeroed_to, active_->end);
  if (active_ != nullptr && active_->fresh && active_->zeroed_to < segment_bytes()) {
    zeroing_run_ = ahead < kZeroAheadBytesMin || (zeroing_run_ && ahead < kZeroAheadBytesMax);
    if (zeroing_run_) return active_;
  }
  if (active_ == nullptr || free_.empty() || active_->end < segment_bytes() / 8) return nullptr;
  Segment* next = free_.front();
  return next->fresh && next->zeroed_to < segment_bytes() ? next : nullptr;
}

// Whether the zeros written so far are to be synced, for batches to need no flush there (Durability::plp).
bool Shard::wants_settling(const Segment& segment) const {
  const bool last = segment.zeroed_to == segment_bytes();
  if (last && &segment != active_) return true;  // in either mode: then no batch waits for it
  if (!segment.file.keeps_overwrites()) return false;
  const uint64_t settled = segment.settled_to - std::min(segment.settled_to, segment.end);
  return last || (&segment == active_ && settled < kZeroAheadBytesMin) ||
         segment.zeroed_to - segment.settled_to >= kSettleBytes;
}

// Durable writes into merely allocated extents cost far more than over written ones. Only speed depends on
// this.
Task<void> Shard::run_zeroer(Shard& self) {
  const uint64_t chunk =
      std::clamp(align_down(self.segment_bytes() / 8, kBlockBytes), uint64_t{kBlockBytes}, kZeroChunkBytes);
  while (!self.stopping_) {
    Segment* segment = self.segment_to_zero();
    if (segment == nullptr) {
      co_await self.zero_.wait();
      continue;
    }
    const Buffer zeros = co_await self.context_.pool.allocate(chunk);
    std::memset(zeros.data(), 0, chunk);
    if (segment != self.segment_to_zero() || self.stopping_) continue;
    // Writes have overtaken: leave them a little room to go on meanwhile.
    const bool overtaken = segment == self.active_ && segment->zeroed_to <= segment->end;
    if (overtaken) {
      segment->zeroed_to = std::min(segment->end + chunk, self.segment_bytes());
      segment->settled_from = segment->settled_to = segment->zeroed_to;
      segment->has_gaps = true;
    }
    const uint64_t length = std::min(chunk, self.segment_bytes() - segment->zeroed_to);
    if (length == 0) continue;
    self.zeroing_ = segment;
    self.zeroing_from_ = segment->zeroed_to;
    ++segment->writers;
    Result<void> written = co_await segment->file.write_all(zeros.span(0, length), self.zeroing_from_);
    self.zeroing_ = nullptr;
    segment->zeroed_to = self.zeroing_from_ + length;
    self.work_.notify_all();
    if (written && self.wants_settling(*segment)) {
      written = co_await segment->file.sync();
      if (written) segment->settled_to = segment->zeroed_to;
    }
    --segment->writers;
    if (!written) segment->fresh = false;
    const bool to_the_end = segment->settled_to == self.segment_bytes();
    segment->wholly_settled = written && to_the_end && !segment->has_gaps;
    self.work_.notify_all();
  }
}

bool Shard::segment_with_generation_exists(uint64_t generation) const {
  return std::ranges::any_of(segments_,
                             [&](const auto& segment) { return segment->generation == generation; });
}

// A tombstone is needed while any segment may hold a put of its key. That is the segment the put stood in
// when it was erased, which the tombstone names, and segments that hold replaced copies (moved_out).
bool Shard::droppable(const DescriptorEntry& tombstone, const Segment& holder) const {
  if (tombstone.other_generation != 0 && tombstone.other_generation != holder.generation &&
      segment_with_generation_exists(tombstone.other_generation))
    return false;
  return std::ranges::none_of(
      segments_, [&](const auto& segment) { return segment->moved_out && segment.get() != &holder; });
}

// The segment that gives most, if it is worth it. Only what writing it again densely really gives back
// counts, so that compaction always comes to an end: not the last bytes of a full segment, into which no
// further batch fitted.
Segment* Shard::pick_victim() {
  Segment* best = nullptr;
  uint64_t best_gain = 0;
  for (const auto& segment : segments_) {
    if (segment->state != Segment::State::sealed || segment->writers != 0 || segment->pinned) continue;
    const uint64_t tail = segment_bytes() - segment->end;
    const uint64_t spread = segment->end - kSegmentDataOffset + (tail > kBatchBytesMax ? tail : 0);
    const uint64_t dense = dense_bytes(*segment);
    const bool empty = segment->live_bytes == 0 && segment->tombstones == 0;
    const uint64_t gain = empty ? segment_room() : spread > dense ? spread - dense : 0;
    if (gain <= best_gain) continue;
    best = segment.get();
    best_gain = gain;
  }
  const unsigned percent =
      space_is_short() ? kUrgentGainPercent : 100 - context_.options.compaction_live_percent;
  return best_gain * 100 >= segment_room() * percent ? best : nullptr;
}

Task<void> Shard::run_compactor(Shard& self) {
  while (!self.stopping_) {
    Segment* victim = self.pick_victim();
    if (victim == nullptr) {
      self.no_victim_ = true;
      self.prepare_.notify_all();
      co_await self.compact_.wait();
      self.no_victim_ = false;
      continue;
    }
    self.compacting_ = true;
    const bool freed = co_await self.compact(*victim);
    self.compacting_ = false;
    if (freed) ++self.context_.stats.compacted_segments;
    self.prepare_.notify_all();
    self.work_.notify_all();
    // Nothing moved: an erase is under way there, or a write failed. Whatever ends that wakes us.
    if (!freed && !self.stopping_) {
      self.no_victim_ = true;
      (void)co_await sleep_for(self.env(), kCompactionRetry, &self.stop_sleeping_);
    }
  }
}

// True where the segment is free afterwards.
Task<bool> Shard::compact(Segment& victim) {
  if (victim.live_bytes != 0 || victim.tombstones != 0) {
    std::vector<ScannedBatch> batches;
    if (!co_await scan(victim, kSegmentDataOffset, true, batches)) co_return false;
    std::vector<WriteOp> moves;
    uint64_t bytes = 0;
    for (const ScannedBatch& batch : batches) {
      for (const DescriptorEntry& entry : batch.entries) {
        const auto move = move_of(entry, batch.offset, victim);
        if (!move) continue;
        if (moves.size() == kBatchEntriesMax || bytes + payload_bytes(move->length) > kMoveBytesMax) {
          if (!co_await move_entries(victim, moves, bytes)) co_return false;
          moves.clear();
          bytes = 0;
        }
        bytes += payload_bytes(move->length);
        moves.push_back(*move);
      }
    }
    if (!moves.empty() && !co_await move_entries(victim, moves, bytes)) co_return false;
  }
  if (victim.live_bytes != 0) co_return false;
  while (victim.readers != 0 || victim.writers != 0) {
    if (!co_await sleep_for(env(), kRecyclePoll, &stop_sleeping_)) co_return false;
  }
  co_return (co_await recycle(victim)).has_value();
}

// What is live of the victim, and the tombstones that are still needed.
std::optional<WriteOp> Shard::move_of(const DescriptorEntry& entry, uint64_t batch_offset,
                                      const Segment& victim) {
  WriteOp op{.kind = entry.kind,
             .block = entry.block,
             .length = entry.length,
             .incarnation = entry.incarnation,
             .number = entry.number,
             .checksum = entry.checksum,
             .other_generation = entry.other_generation,
             .move = true};
  if (entry.kind == EntryKind::tombstone) {
    if (droppable(entry, victim)) return std::nullopt;
    return op;
  }
  const uint64_t at = batch_offset + uint64_t{entry.payload_block} * kBlockBytes;
  op.kind = EntryKind::copy;
  op.source_place = IndexEntry::make_place(victim.number, at, entry.length);
  const IndexEntry* indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (indexed == nullptr || indexed->place != op.source_place) return std::nullopt;
  return op;
}

// Payloads that follow one another are read in one piece.
Task<Result<void>> Shard::read_moves(Segment& victim, std::span<WriteOp> moves, const Buffer& payloads) {
  uint64_t filled = 0;
  for (size_t first = 0; first < moves.size();) {
    if (moves[first].kind != EntryKind::copy) {
      ++first;
      continue;
    }
    const uint64_t from = IndexEntry{.place = moves[first].source_place}.offset_bytes();
    uint64_t length = 0;
    size_t next = first;
    while (next < moves.size() && moves[next].kind == EntryKind::copy &&
           IndexEntry{.place = moves[next].source_place}.offset_bytes() == from + length) {
      moves[next].data = payloads.data() + filled + length;
      length += payload_bytes(moves[next++].length);
    }
    FB_CO_CHECK(co_await victim.file.read_exactly(payloads.span(filled, length), from));
    filled += length;
    first = next;
  }
  co_return Result<void>();
}

// Padding and checksums of pieces, made anew from payloads that were verified.
Task<Buffer> Shard::finish_moves(std::span<WriteOp> moves) {
  const auto count = static_cast<size_t>(std::ranges::count_if(moves, &WriteOp::has_own_table));
  Buffer tables;
  if (count != 0) tables = co_await context_.pool.allocate(count * kBlockBytes);
  size_t used = 0;
  for (WriteOp& op : moves) {
    if (op.kind != EntryKind::copy) continue;
    std::span<std::byte> own;
    if (op.has_own_table()) own = tables.span(kBlockBytes * used++, kBlockBytes);
    op.table = own.data();
    PieceSums sums;
    finish_payload({op.data, payload_bytes(op.length)}, op.length,
                   piece_checksums({op.data, op.length}, sums), own);
  }
  co_return tables;
}

Task<bool> Shard::move_entries(Segment& victim, std::vector<WriteOp>& moves, uint64_t bytes) {
  if (stopping_) co_return false;
  const Instant begun = env().now();
  const Buffer payloads = co_await context_.pool.allocate(std::max<uint64_t>(bytes, kBlockBytes));
  ++victim.readers;
  const Result<void> read = co_await read_moves(victim, moves, payloads);
  --victim.readers;
  const bool intact =
      read && std::ranges::all_of(moves, [](const WriteOp& op) {
        return op.kind != EntryKind::copy || blob_checksum({op.data, op.length}) == op.checksum;
      });
  if (!intact) {
    ++context_.stats.damaged;
    victim.pinned = true;
    log(fmt::format("segment {} holds what cannot be read: it is kept as it is", victim.number));
    co_return false;
  }
  if (stopping_) co_return false;  // while it read, the writers may have ended: nobody would answer
  const Buffer tables = co_await finish_moves(moves);
  if (stopping_) co_return false;
  WriteGroup group{.remaining = moves.size(), .waiter = {}};
  for (WriteOp& op : moves) op.group = &group;
  for (WriteOp& op : moves) submit(op);
  co_await group;
  context_.stats.compacted_bytes += bytes;
  co_await pause_compaction(begun);
  co_return std::ranges::none_of(moves, [](const WriteOp& op) { return op.error.has_value(); });
}

Task<void> Shard::pause_compaction(Instant since) {
  if (space_is_short()) co_return;
  const int64_t percent = std::clamp(context_.options.compaction_time_percent, 1u, 100u);
  const Duration worked = env().now() - since;
  (void)co_await sleep_for(env(), Duration{worked.ns * (100 - percent) / percent}, &stop_sleeping_);
}

// A new generation makes every descriptor in it invalid. Until that is durable the old one counts as
// existing.
Task<Result<void>> Shard::recycle(Segment& segment) {
  FB_ASSERT(segment.live_bytes == 0 && segment.readers == 0 && segment.writers == 0, segment.live_bytes,
            segment.readers, segment.writers);
  segment.state = Segment::State::recycling;
  SegmentHeader header{.store_id = context_.superblock.store_id,
                       .shard = number_,
                       .segment = segment.number,
                       .segment_bytes = segment_bytes(),
                       .generation = next_generation_++,
                       .nonce = 0};
  env().random_bytes(std::as_writable_bytes(std::span(&header.nonce, 1)));
  const Buffer block = co_await context_.pool.allocate(kSegmentDataOffset);
  encode_segment_header(header, block.span(0, kSegmentDataOffset));
  const Result<void> written = co_await segment.file.write_all_durable(block.span(0, kSegmentDataOffset), 0);
  if (!written) {
    // Which generation it has is not known: its old entries may be there or not.
    segment.state = Segment::State::damaged;
    segment.moved_out = true;
    log(fmt::format("segment {} cannot be recycled: {}", segment.number, written.error().to_string()));
    co_return written.error();
  }
  segment.generation = header.generation;
  segment.nonce = header.nonce;
  segment.state = Segment::State::free;
  segment.end = kSegmentDataOffset;
  segment.tombstones = 0;
  segment.moved_out = false;
  // Where no flush is to be needed, what a batch goes to must have been written once.
  segment.fresh = segment.file.keeps_overwrites() && !segment.wholly_settled;
  segment.zeroed_to = kSegmentDataOffset;
  segment.settled_from = kSegmentDataOffset;
  segment.settled_to = segment.wholly_settled ? segment_bytes() : kSegmentDataOffset;
  segment.has_gaps = false;
  free_.push_back(&segment);
  refuses_puts_ = false;
  co_return Result<void>();
}

}  // namespace fb::bss
