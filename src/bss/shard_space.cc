// SPDX-License-Identifier: Apache-2.0
// Segments of a shard: making them, compaction, recycling.
#include <fmt/core.h>

#include <algorithm>

#include "base/assert.h"
#include "bss/blob/batch_scan.h"
#include "bss/shard.h"
#include "io/claim.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr Duration kRecyclePoll = Duration::milliseconds(1);
constexpr uint8_t kRecycleAttempts = 3;
constexpr Duration kCompactionRetry = Duration::milliseconds(20);
constexpr uint64_t kDenseEntryBytes = 64;  // of a descriptor, in a full batch
constexpr uint64_t kLooseBlocks = 3;       // of descriptors that are not full
// What compaction reads for descriptors, moves, and reads for that with the gaps between, at a time. At the
// drive puts wait behind it: so little, unless they would soon wait for space.
struct CompactionStep {
  uint64_t turns;  // of kCompactionTurns
  uint64_t scan_bytes, move_bytes, read_bytes;
};
constexpr CompactionStep kStep{
    .turns = 2, .scan_bytes = 256 * kKiB, .move_bytes = 256 * kKiB, .read_bytes = 512 * kKiB};
constexpr CompactionStep kHurriedStep{
    .turns = 1, .scan_bytes = kMiB, .move_bytes = kMiB, .read_bytes = kBufferSizeMax};
const CompactionStep& step_of(bool hurried) { return hurried ? kHurriedStep : kStep; }
static_assert(kStep.scan_bytes >= 2 * kDescriptorBytesMax);
constexpr uint64_t kMoveGapBytesMax = 64 * kKiB;  // rather another read
// Of a segment: what is worth compacting where space gets short, and where puts wait for it.
constexpr unsigned kUrgentGainPercent = 12;
constexpr unsigned kLastGainPercent = 2;

// What the segment's contents may take when they are written again: full batches, and a few that are not
// where they are spread over segments. Never less than that, so that what was compacted is not worth it once
// more.
uint64_t dense_bytes(const Segment& segment) {
  const uint64_t entries = segment.tombstones + segment.live_bytes / kBlockBytes;
  return segment.live_bytes + entries * kDenseEntryBytes + kLooseBlocks * kBlockBytes;
}

}  // namespace

bool Shard::compaction_may_help() const {
  return space_.compacting() || (!space_.compaction_despairs() && pick_victim() != nullptr);
}

// Keeps one free segment beyond the reserve, and refuses what waits for space that cannot be had.
Task<void> Shard::run_preparer(Shard& self) {
  while (!self.context_.stopping()) {
    if (self.space_.used() && self.table_.free_count() <= kReservedSegments && self.space_.may_create()) {
      const Result<void> created = co_await self.create_segment();
      self.space_.note_creation(created);
      if (!created) {
        self.context_.log(fmt::format("no new segment: {}", created.error().to_string()));
        self.signals_.compact.notify_all();
      }
      self.signals_.work.notify_all();
      continue;
    }
    if (self.space_.blocked() && self.space_.is_short()) {
      if (!self.queues_.moves.empty() && !self.chooser_.has_place(*self.queues_.moves.front())) {
        self.refuse_blocked_moves();
      } else if (self.compaction_may_help()) {
        self.signals_.compact.notify_all();
      } else if (!self.queues_.puts.empty() &&
                 self.chooser_.give_moves_segment_to(*self.queues_.puts.front())) {
        self.signals_.work.notify_all();
      } else if (self.order_.in_flight() == 0) {
        self.refuse_blocked();
      }
    }
    co_await self.signals_.prepare.wait();
  }
}

// Compaction has nowhere to go on: it ends, and is begun again when there is room for it.
void Shard::refuse_blocked_moves() {
  while (!queues_.moves.empty()) finish_op(context_.env(), queues_.moves.pop(), Error(BlobError::full));
}

// No segment can be had for these and none will become free by itself. That is for lack of space, unless
// something else kept one from being made.
void Shard::refuse_blocked() {
  space_.set_unblocked();
  const bool full = space_.is_full();
  if (!queues_.erases.empty() && !chooser_.has_place(*queues_.erases.front()))
    context_.log(
        fmt::format("erases are refused: {} segments, {} of them free, {} bytes live, {} failures to compact",
                    table_.size(), table_.free_count(), table_.live_bytes(), space_.compaction_failures()));
  for (WriteQueue* queue : {&queues_.puts, &queues_.erases}) {
    while (!queue->empty() && !chooser_.has_place(*queue->front())) {
      if (queue == &queues_.puts) {
        context_.stats().puts_refused_full += full;
        space_.set_refuses_puts();
      }
      finish_op(context_.env(), queue->pop(), Error(full ? BlobError::full : BlobError::unavailable));
    }
  }
  signals_.work.notify_all();  // what may go after all: erases, where nothing else is left to do
}

// A segment is made whole under another name, so that one with its own name always has a valid header.
Task<Result<void>> Shard::create_segment() {
  const auto number = static_cast<uint32_t>(table_.size());
  const std::string name = context_.path(fmt::format("segment-{:08}", number));
  const std::string new_name = name + ".new";
  FB_CO_TRY(File file, co_await open_claimed(context_.env(), new_name,
                                             {.write = true,
                                              .create = true,
                                              .truncate = true,
                                              .direct = true,
                                              .role = FileRole::data,
                                              .durability = context_.options().durability}));
  auto segment = std::make_unique<Segment>();
  segment->number = number;
  segment->generation = table_.new_generation();
  context_.env().random_bytes(std::as_writable_bytes(std::span(&segment->nonce, 1)));
  segment->zeros.fresh = true;
  const Buffer header = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(context_.header_of(*segment), header.span(0, kSegmentDataOffset));
  Result<void> made = co_await file.allocate(0, context_.segment_bytes());
  if (made) made = co_await file.write_all_durable(header.span(0, kSegmentDataOffset), 0);
  if (made) made = co_await file.sync();
  if (made) made = co_await rename_file(context_.env(), new_name, name);
  if (made) made = co_await sync_directory(context_.env(), context_.path(""));
  if (!made) {
    FB_CO_CHECK(co_await file.close());
    (void)co_await remove_file(context_.env(), new_name);
    co_return made.error();
  }
  segment->file = std::move(file);
  table_.add(std::move(segment));
  space_.note_segment_is_free();
  co_return Result<void>();
}

// A tombstone is needed while any segment may hold a put of its key. That is the segment the put stood in
// when it was erased, which the tombstone names, and segments that hold replaced copies (moved_out).
bool Shard::droppable(const DescriptorEntry& tombstone, const Segment& holder) const {
  if (tombstone.other_generation != 0 && tombstone.other_generation != holder.generation &&
      table_.has_generation(tombstone.other_generation))
    return false;
  return std::ranges::none_of(
      table_.all(), [&](const auto& segment) { return segment->moved_out && segment.get() != &holder; });
}

// Of the segments that are worth it, the one with the best benefit for its cost: what it gives, times for how
// long it has given no more, for what must be read and written. So a young segment is left to lose more, and
// an old one, in which little changes any more, is taken for less. Only what writing it again densely really
// gives back counts, so that compaction always comes to an end: not the last bytes of a full segment, into
// which no further batch fitted.
Segment* Shard::pick_victim() const {
  Segment* best = nullptr;
  double best_benefit = 0;
  unsigned percent = 100 - context_.options().compaction_live_percent;
  if (space_.is_getting_short()) percent = kUrgentGainPercent;
  if (space_.blocked() && space_.is_short()) percent = queues_.erases.empty() ? kLastGainPercent : 0;
  for (const auto& segment : table_.all()) {
    if (segment->state != Segment::State::sealed || segment->writers != 0 || segment->pinned) continue;
    const uint64_t tail = context_.segment_bytes() - segment->end;
    const bool tail_counts =
        segment->cut_short || tail > std::min<uint64_t>(kBatchBytesMax, context_.segment_room() / 2);
    const uint64_t spread = segment->end - kSegmentDataOffset + (tail_counts ? tail : 0);
    const uint64_t dense = dense_bytes(*segment);
    const bool empty = segment->empty();
    const uint64_t gain = empty ? context_.segment_room() : spread > dense ? spread - dense : 0;
    if (gain < kBlockBytes || gain * 100 < context_.segment_room() * percent) continue;
    if (empty) return segment.get();
    if (dense > space_.room_for_moves()) continue;
    const auto age = static_cast<double>(table_.clock_bytes() - segment->written_at + kBatchBytesMax);
    const double benefit =
        static_cast<double>(gain) * age / static_cast<double>(context_.segment_room() + segment->live_bytes);
    if (benefit <= best_benefit) continue;
    best = segment.get();
    best_benefit = benefit;
  }
  return best;
}

Task<void> Shard::run_compactor(Shard& self) {
  while (!self.context_.stopping()) {
    Segment* victim = self.pick_victim();
    if (victim == nullptr) {
      self.signals_.prepare.notify_all();
      co_await self.signals_.compact.wait();
      continue;
    }
    self.space_.begin_compaction();
    const bool freed = co_await self.compact(*victim);
    self.context_.stats().compacted_segments += freed;
    // What cannot be read is not tried again; that is no reason to despair of the others.
    self.space_.end_compaction(freed || victim->pinned);
    self.signals_.prepare.notify_all();
    self.signals_.work.notify_all();
    // An erase is under way there, or a read or write failed.
    if (!freed && !self.context_.stopping()) {
      (void)co_await self.context_.sleep(kCompactionRetry);
    }
  }
}

// The batches that begin in the next bytes of a victim; where to go on. In a hurry the turns are for moves
// only: the next victim is looked through while others are moved.
Task<Result<uint64_t>> Shard::scan_step(Segment& victim, uint64_t from, std::vector<ScannedBatch>& out) {
  const bool hurried = space_.is_getting_short();
  Semaphore::Units turn;
  if (!hurried) turn = co_await context_.core().compaction_turn.acquire(kStep.turns);
  const Instant begun = context_.env().now();
  const uint64_t end = std::min(from + step_of(hurried).scan_bytes, victim.end);
  FB_CO_CHECK(co_await scan_batches(context_, victim, {.from = from, .end = end, .whole = true}, out));
  turn.reset();
  if (!hurried) co_await pause_compaction(begun);
  if (end == victim.end) co_return end;
  if (!out.empty()) co_return out.back().offset + out.back().bytes;
  co_return end - kDescriptorBytesMax;  // one that begins behind that would have been cut off
}

// True where the segment is free afterwards.
Task<bool> Shard::compact(Segment& victim) {
  std::vector<ScannedBatch> batches;
  std::vector<WriteOp> moves;
  uint64_t bytes = 0;
  for (uint64_t at = kSegmentDataOffset; at < victim.end && !victim.empty();) {
    batches.clear();
    const Result<uint64_t> next = co_await scan_step(victim, at, batches);
    if (!next || context_.stopping()) co_return false;
    at = *next;
    for (const ScannedBatch& batch : batches) {
      for (const DescriptorEntry& entry : batch.entries) {
        const auto move = move_of(entry, batch.offset, victim);
        if (!move) continue;
        const uint64_t bytes_max = step_of(space_.is_getting_short()).move_bytes;
        if (moves.size() == kBatchEntriesMax || bytes + payload_bytes(move->length) > bytes_max) {
          if (!moves.empty() && !co_await move_entries(victim, moves, bytes)) co_return false;
          moves.clear();
          bytes = 0;
        }
        bytes += payload_bytes(move->length);
        moves.push_back(*move);
      }
    }
  }
  if (!moves.empty() && !co_await move_entries(victim, moves, bytes)) co_return false;
  if (victim.live_bytes != 0) co_return false;
  // Nothing in the index leads there any more. Other cores that have seen what did are counted when they have
  // looked.
  const uint64_t epoch = index_.epochs().end_epoch();
  while (victim.writers != 0 || !index_.epochs().passed(epoch) || table_.is_read(victim)) {
    if (!co_await context_.sleep(kRecyclePoll)) co_return false;
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
  const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (!indexed || indexed.place != op.source_place) return std::nullopt;
  return op;
}

// Payloads that follow one another are read in one piece, with what lies between them as long as that is
// little and the buffer has room for it: `gap_bytes`.
Task<Result<void>> Shard::read_moves(Segment& victim, std::span<WriteOp> moves, const Buffer& payloads,
                                     uint64_t gap_bytes) {
  const auto offset_of = [](const WriteOp& op) {
    return IndexEntry{.place = op.source_place}.offset_bytes();
  };
  uint64_t filled = 0;
  for (size_t first = 0; first < moves.size();) {
    if (moves[first].kind != EntryKind::copy) {
      ++first;
      continue;
    }
    const uint64_t from = offset_of(moves[first]);
    uint64_t length = 0;
    size_t next = first;
    for (; next < moves.size(); ++next) {
      if (moves[next].kind != EntryKind::copy) continue;
      const uint64_t at = offset_of(moves[next]);
      if (at < from + length) break;
      const uint64_t gap = at - from - length;
      if (gap > std::min(gap_bytes, kMoveGapBytesMax)) break;
      gap_bytes -= gap;
      length += gap;
      moves[next].data = payloads.data() + filled + length;
      length += payload_bytes(moves[next].length);
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
  if (count != 0) tables = co_await context_.pool().allocate(count * kBlockBytes);
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
  if (context_.stopping()) co_return false;
  const CompactionStep& step = step_of(space_.is_getting_short());
  Semaphore::Units turn = co_await context_.core().compaction_turn.acquire(step.turns);
  const Instant begun = context_.env().now();
  const uint64_t read_bytes = std::max(bytes, step.read_bytes);
  const Buffer payloads = co_await context_.pool().allocate(read_bytes);
  ++victim.readers;
  Result<void> read = co_await read_moves(victim, moves, payloads, read_bytes - bytes);
  if (!read) read = co_await read_moves(victim, moves, payloads, 0);  // what lies between may be the reason
  --victim.readers;
  const bool intact =
      read && std::ranges::all_of(moves, [](const WriteOp& op) {
        return op.kind != EntryKind::copy || blob_checksum({op.data, op.length}) == op.checksum;
      });
  if (!intact) {
    ++context_.stats().damaged;
    victim.pinned = true;
    context_.log(fmt::format("segment {} holds what cannot be read: it is kept as it is", victim.number));
    co_return false;
  }
  if (context_.stopping()) co_return false;  // while it read, the writers may have ended: nobody would answer
  const Buffer tables = co_await finish_moves(moves);
  if (context_.stopping()) co_return false;
  WriteGroup group{.remaining = moves.size(), .waiter = {}};
  for (WriteOp& op : moves) op.group = &group;
  for (WriteOp& op : moves) writer_.submit(op);
  co_await group;
  turn.reset();
  context_.stats().compacted_bytes += bytes;
  co_await pause_compaction(begun);
  co_return std::ranges::none_of(moves, [](const WriteOp& op) { return op.error.has_value(); });
}

Task<void> Shard::pause_compaction(Instant since) {
  if (space_.is_short()) co_return;
  const unsigned share = context_.options().compaction_time_percent * (space_.is_getting_short() ? 2 : 1);
  const int64_t percent = std::clamp(share, 1u, 100u);
  const Duration worked = context_.env().now() - since;
  (void)co_await context_.sleep(Duration{worked.ns * (100 - percent) / percent});
}

// A new generation makes every descriptor in it invalid. Until that is durable the old one counts as
// existing.
Task<Result<void>> Shard::recycle(Segment& segment) {
  FB_ASSERT(segment.live_bytes == 0 && !table_.is_read(segment) && segment.writers == 0, segment.live_bytes,
            segment.readers, segment.writers);
  segment.state = Segment::State::recycling;
  SegmentHeader header = context_.header_of(segment);
  header.generation = table_.new_generation();
  context_.env().random_bytes(std::as_writable_bytes(std::span(&header.nonce, 1)));
  const Buffer block = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(header, block.span(0, kSegmentDataOffset));
  const Result<void> written = co_await segment.file.write_all_durable(block.span(0, kSegmentDataOffset), 0);
  if (!written) {
    // Which generation it has is not known: its old entries may be there or not, and count as there. A few
    // times it is tried again, since a device may do better; then it is left alone until the next start.
    const bool again = ++segment.recycle_failures < kRecycleAttempts;
    segment.state = again ? Segment::State::sealed : Segment::State::damaged;
    segment.moved_out = true;
    context_.log(
        fmt::format("segment {} cannot be recycled: {}", segment.number, written.error().to_string()));
    co_return written.error();
  }
  order_.forget_doubts(segment);
  segment.generation = header.generation;
  segment.nonce = header.nonce;
  segment.state = Segment::State::free;
  segment.end = kSegmentDataOffset;
  segment.tombstones = 0;
  segment.moved_out = false;
  segment.recycle_failures = 0;
  segment.cut_short = false;
  // Where no flush is to be needed, what a batch goes to must have been written once.
  segment.zeros.fresh = segment.file.keeps_overwrites() && !segment.zeros.wholly_settled;
  segment.zeros.zeroed_to = kSegmentDataOffset;
  segment.zeros.settled_from = kSegmentDataOffset;
  segment.zeros.settled_to = segment.zeros.wholly_settled ? context_.segment_bytes() : kSegmentDataOffset;
  segment.zeros.has_gaps = false;
  table_.add_free(segment);
  space_.note_segment_is_free();
  co_return Result<void>();
}

}  // namespace fb::bss
