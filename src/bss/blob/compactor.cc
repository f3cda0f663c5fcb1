// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/compactor.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr Duration kRecyclePoll = Duration::milliseconds(1);
constexpr Duration kCompactionRetry = Duration::milliseconds(20);
constexpr uint64_t kDenseEntryBytes = 64;  // of a descriptor, in a full batch
constexpr uint64_t kLooseBlocks = 3;       // of descriptors that are not full
// How much compaction reads at a time for descriptors, how much it moves, and how much it reads for that with
// the gaps between. At the drive puts wait behind it: so little, unless they would soon wait for space.
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
// Percent of a segment that make it worth compacting, if space gets short, and if puts wait for it.
constexpr unsigned kUrgentGainPercent = 12;
constexpr unsigned kLastGainPercent = 2;

// Bytes that the segment's contents may take when they are written again: full batches, and a few that are
// not, if the contents are spread over segments. Never less than that, so that a compacted segment is not
// worth it once more.
uint64_t dense_bytes(const Segment& segment) {
  const uint64_t entries = segment.tombstones + segment.live_bytes / kBlockBytes;
  return segment.live_bytes + entries * kDenseEntryBytes + kLooseBlocks * kBlockBytes;
}

}  // namespace

bool Compactor::may_help() const {
  return space_.compacting() || (!space_.compaction_despairs() && pick_victim() != nullptr);
}

// A tombstone is needed while any segment may hold a put of its key. That is the segment the put stood in
// when it was erased, which the tombstone names, and segments that hold replaced copies (moved_out).
bool Compactor::droppable(const DescriptorEntry& tombstone, const Segment& holder) const {
  if (tombstone.other_generation != 0 && tombstone.other_generation != holder.generation &&
      table_.has_generation(tombstone.other_generation))
    return false;
  return std::ranges::none_of(
      table_.all(), [&](const auto& segment) { return segment->moved_out && segment.get() != &holder; });
}

// Percent of a segment that compaction must gain.
unsigned Compactor::gain_percent_wanted() const {
  if (space_.blocked() && space_.is_short()) return queues_.erases.empty() ? kLastGainPercent : 0;
  if (space_.is_getting_short()) return kUrgentGainPercent;
  return 100 - context_.options().compaction_live_percent;
}

// Bytes that writing the segment again densely really gives back, so that compaction always comes to an end:
// not the last bytes of a full segment, into which no further batch fitted.
uint64_t Compactor::gain_of(const Segment& segment) const {
  if (segment.empty()) return context_.segment_room();
  const uint64_t tail = context_.segment_bytes() - segment.end;
  const bool tail_counts =
      segment.cut_short || tail > std::min<uint64_t>(kBatchBytesMax, context_.segment_room() / 2);
  const uint64_t spread = segment.end - kSegmentDataOffset + (tail_counts ? tail : 0);
  const uint64_t dense = dense_bytes(segment);
  return spread > dense ? spread - dense : 0;
}

// The gain, times for how long the segment has given no more, for what must be read and written. So a young
// segment is left to lose more, and an old one, in which little changes any more, is taken for less.
double Compactor::benefit_of(const Segment& segment, uint64_t gain) const {
  const auto age = static_cast<double>(table_.clock_bytes() - segment.written_at + kBatchBytesMax);
  return static_cast<double>(gain) * age / static_cast<double>(context_.segment_room() + segment.live_bytes);
}

// The segment with the best benefit for its cost, among those that are worth it.
Segment* Compactor::pick_victim() const {
  Segment* best = nullptr;
  double best_benefit = 0;
  const unsigned percent = gain_percent_wanted();
  for (const auto& segment : table_.all()) {
    if (segment->state != Segment::State::sealed || segment->writers != 0 || segment->pinned) continue;
    const uint64_t gain = gain_of(*segment);
    if (gain < kBlockBytes || gain * 100 < context_.segment_room() * percent) continue;
    if (segment->empty()) return segment.get();
    if (dense_bytes(*segment) > space_.room_for_moves()) continue;
    const double benefit = benefit_of(*segment, gain);
    if (benefit <= best_benefit) continue;
    best = segment.get();
    best_benefit = benefit;
  }
  return best;
}

Task<void> Compactor::run(Compactor& self) {
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
    // A segment that cannot be read is not tried again; that is no reason to despair of the others.
    self.space_.end_compaction(freed || victim->pinned);
    self.signals_.prepare.notify_all();
    self.signals_.work.notify_all();
    // An erase is under way there, or a read or write failed.
    if (!freed && !self.context_.stopping()) {
      (void)co_await self.context_.sleep(kCompactionRetry);
    }
  }
}

// Finds the batches that begin in the next bytes of a victim, and says where to go on. In a hurry the turns
// are for moves only: the next victim is looked through while others are moved.
Task<Result<uint64_t>> Compactor::scan_step(Segment& victim, uint64_t from, std::vector<ScannedBatch>& out) {
  const bool hurried = space_.is_getting_short();
  Semaphore::Units turn;
  if (!hurried) turn = co_await context_.core().compaction_turn.acquire(kStep.turns);
  const Instant begun = context_.env().now();
  const uint64_t end = std::min(from + step_of(hurried).scan_bytes, victim.end);
  FB_CO_CHECK(co_await scan_batches(context_, victim, {.from = from, .end = end, .whole = true}, out));
  turn.reset();
  if (!hurried) co_await pause(begun);
  if (end == victim.end) co_return end;
  if (!out.empty()) co_return out.back().offset + out.back().bytes;
  co_return end - kDescriptorBytesMax;  // one that begins behind that would have been cut off
}

// True if the segment is free afterwards.
Task<bool> Compactor::compact(Segment& victim) {
  if (!co_await move_live(victim)) co_return false;
  if (victim.live_bytes != 0) co_return false;
  // Nothing in the index leads there any more. Other cores that have seen what did are counted when they have
  // looked.
  const uint64_t epoch = index_.epochs().end_epoch();
  while (victim.writers != 0 || !index_.epochs().passed(epoch) || table_.is_read(victim)) {
    if (!co_await context_.sleep(kRecyclePoll)) co_return false;
  }
  co_return (co_await maker_.recycle(victim)).has_value();
}

// False: not all of it could be moved.
Task<bool> Compactor::move_live(Segment& victim) {
  std::vector<ScannedBatch> batches;
  Moves moves;
  for (uint64_t at = kSegmentDataOffset; at < victim.end && !victim.empty();) {
    batches.clear();
    const Result<uint64_t> next = co_await scan_step(victim, at, batches);
    if (!next || context_.stopping()) co_return false;
    FB_ASSERT(*next > at, *next, at);
    at = *next;
    for (const ScannedBatch& batch : batches) {
      if (!co_await move_batch(victim, batch, moves)) co_return false;
    }
  }
  co_return co_await flush(victim, moves);
}

// Adds what is to be moved, and moves as much as is worth a step.
Task<bool> Compactor::move_batch(Segment& victim, const ScannedBatch& batch, Moves& moves) {
  for (const DescriptorEntry& entry : batch.entries) {
    const auto move = move_of(entry, batch.offset, victim);
    if (!move) continue;
    const uint64_t bytes_max = step_of(space_.is_getting_short()).move_bytes;
    const bool full =
        moves.ops.size() == kBatchEntriesMax || moves.bytes + payload_bytes(move->length) > bytes_max;
    if (full && !co_await flush(victim, moves)) co_return false;
    moves.bytes += payload_bytes(move->length);
    moves.ops.push_back(*move);
  }
  co_return true;
}

// Nothing if the entry is not live, or is a tombstone that is not needed any more.
std::optional<WriteOp> Compactor::move_of(const DescriptorEntry& entry, uint64_t batch_offset,
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

// Payloads that follow one another are read in one piece, with the gaps between them as long as these are
// small and the buffer has room for them: `gap_bytes`.
Task<Result<void>> Compactor::read_moves(Segment& victim, std::span<WriteOp> moves, const Buffer& payloads,
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
Task<Buffer> Compactor::finish_moves(std::span<WriteOp> moves) {
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

// Reads the payloads that are to be copied. False: one of them is not as it was put.
Task<bool> Compactor::read_and_verify(Segment& victim, Moves& moves, const Buffer& payloads,
                                      uint64_t read_bytes) {
  ++victim.readers;
  Result<void> read = co_await read_moves(victim, moves.ops, payloads, read_bytes - moves.bytes);
  if (!read) read = co_await read_moves(victim, moves.ops, payloads, 0);  // a gap may be the reason
  --victim.readers;
  const bool intact =
      read && std::ranges::all_of(moves.ops, [](const WriteOp& op) {
        return op.kind != EntryKind::copy || blob_checksum({op.data, op.length}) == op.checksum;
      });
  if (intact) co_return true;
  ++context_.stats().damaged;
  victim.pinned = true;
  context_.log(fmt::format("segment {} holds what cannot be read: it is kept as it is", victim.number));
  co_return false;
}

// Moves what was collected. False: some of it stays where it is.
Task<bool> Compactor::flush(Segment& victim, Moves& moves) {
  if (moves.ops.empty()) co_return true;
  if (context_.stopping()) co_return false;
  const CompactionStep& step = step_of(space_.is_getting_short());
  Semaphore::Units turn = co_await context_.core().compaction_turn.acquire(step.turns);
  const Instant begun = context_.env().now();
  const uint64_t read_bytes = std::max(moves.bytes, step.read_bytes);
  const Buffer payloads = co_await context_.pool().allocate(read_bytes);
  if (!co_await read_and_verify(victim, moves, payloads, read_bytes)) co_return false;
  if (context_.stopping()) co_return false;  // while it read, the writers may have ended: nobody would answer
  const Buffer tables = co_await finish_moves(moves.ops);
  if (context_.stopping()) co_return false;
  WriteGroup group{.remaining = moves.ops.size(), .waiter = {}};
  for (WriteOp& op : moves.ops) op.group = &group;
  for (WriteOp& op : moves.ops) writer_.submit(op);
  co_await group;
  turn.reset();
  context_.stats().compacted_bytes += moves.bytes;
  co_await pause(begun);
  const bool moved = std::ranges::none_of(moves.ops, [](const WriteOp& op) { return op.error.has_value(); });
  moves.ops.clear();
  moves.bytes = 0;
  co_return moved;
}

Task<void> Compactor::pause(Instant since) {
  if (space_.is_short()) co_return;
  const unsigned share = context_.options().compaction_time_percent * (space_.is_getting_short() ? 2 : 1);
  const int64_t percent = std::clamp(share, 1u, 100u);
  const Duration worked = context_.env().now() - since;
  (void)co_await context_.sleep(Duration{worked.ns * (100 - percent) / percent});
}

}  // namespace fb::bss
