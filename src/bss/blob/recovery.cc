// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/recovery.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/safeguard.h"
#include "io/claim.h"
#include "io/scope.h"

namespace fb::bss {
namespace {

constexpr std::string_view kSegmentPrefix = "segment-";

std::optional<uint32_t> segment_number(std::string_view name) {
  if (!name.starts_with(kSegmentPrefix)) return std::nullopt;
  name.remove_prefix(kSegmentPrefix.size());
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number > IndexEntry::kSegmentNumberMax)
    return std::nullopt;
  return number;
}

}  // namespace

Task<Result<void>> Recovery::open_segment(uint32_t number) {
  FB_CO_TRY(File file,
            co_await open_claimed(context_.env(), context_.path(fmt::format("segment-{:08}", number)),
                                  {.write = true,
                                   .direct = true,
                                   .role = FileRole::data,
                                   .durability = context_.options().durability}));
  Segment& segment = table_[number];
  segment.file = std::move(file);
  segment.state = Segment::State::damaged;
  const Buffer block = co_await context_.pool().allocate(kSegmentDataOffset);
  const auto bytes = block.span(0, kSegmentDataOffset);
  if (!co_await segment.file.read_exactly(bytes, 0)) {
    // One copy may be readable alone.
    std::ranges::fill(bytes, std::byte{0});
    (void)co_await segment.file.read_exactly(bytes.first(kBlockBytes), 0);
    (void)co_await segment.file.read_exactly(bytes.last(kBlockBytes), kBlockBytes);
  }
  const auto header = parse_segment_header(bytes, context_.superblock().store_id, context_.number(), number);
  FB_CO_TRY(const FileStat stat, co_await segment.file.stat());
  if (!header || header->segment_bytes != context_.segment_bytes() ||
      stat.size_bytes < context_.segment_bytes()) {
    co_return Result<void>();
  }
  segment.generation = header->generation;
  segment.nonce = header->nonce;
  segment.state = Segment::State::free;
  co_return Result<void>();
}

Task<Result<void>> Recovery::open_segments() {
  FB_CO_TRY(const std::vector<std::string> names, co_await list_directory(context_.env(), context_.path("")));
  std::vector<uint32_t> numbers;
  for (const std::string& name : names) {
    if (name.ends_with(".new")) {
      FB_CO_CHECK(co_await remove_file(context_.env(), context_.path(name)));
    } else if (const auto number = segment_number(name)) {
      numbers.push_back(*number);
    }
  }
  std::ranges::sort(numbers);
  if (numbers.empty()) co_return Result<void>();
  if (numbers.back() + size_t{1} != numbers.size()) {
    context_.log(fmt::format("{} of {} segment files are missing",
                             numbers.back() + size_t{1} - numbers.size(), numbers.back() + size_t{1}));
  }
  table_.add_unread(numbers.back());
  for (const uint32_t number : numbers) FB_CO_CHECK(co_await open_segment(number));
  co_return Result<void>();
}

void Recovery::adopt_checkpoint() {
  const CheckpointHeader& header = checkpoint_->header;
  order_.set_next_sequence(std::max(header.next_sequence, header.sequence + 1));
  table_.raise_generation(header.next_generation);
  for (const CheckpointSegment& row : checkpoint_->segments) {
    if (row.segment >= table_.size() || (row.flags & CheckpointSegment::kUnwiped) != 0) continue;
    Segment& segment = table_[row.segment];
    if (segment.state == Segment::State::damaged && segment.file.is_open()) {
      // Both copies of the header are lost, but the checkpoint knows what they said.
      context_.log(fmt::format("segment {} has no valid header; the checkpoint's is used", row.segment));
      segment.generation = row.generation;
      segment.nonce = row.nonce;
      segment.state = Segment::State::free;
    }
    if (segment.generation != row.generation || row.end > context_.segment_bytes()) continue;
    segment.moved_out = (row.flags & CheckpointSegment::kMovedOut) != 0;
    inherited_[row.segment] = {.known = true,
                               .sealed = (row.flags & CheckpointSegment::kSealed) != 0,
                               .end = row.end,
                               .tombstones = row.tombstones};
  }
  adopt_doubts();
  drop_entries_of_lost_generations();
}

// Batches that an earlier life could not wipe.
void Recovery::adopt_doubts() {
  for (const CheckpointSegment& row : checkpoint_->segments) {
    if (row.segment >= table_.size() || (row.flags & CheckpointSegment::kUnwiped) == 0) continue;
    Segment& segment = table_[row.segment];
    const bool fits = is_aligned(row.end, kBlockBytes) && row.end >= kSegmentDataOffset &&
                      row.end + kBlockBytes <= context_.segment_bytes() &&
                      row.tombstones < order_.next_sequence();
    if (segment.generation != row.generation || segment.state == Segment::State::damaged || !fits) continue;
    order_.doubt({.segment = &segment, .sequence = row.tombstones, .offset = row.end, .bytes = kBlockBytes});
  }
}

void Recovery::drop_entries_of_lost_generations() {
  std::vector<IndexEntry> gone;
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      if (entry.segment() >= inherited_.size() || !inherited_[entry.segment()].known) gone.push_back(entry);
    }
  }
  for (const IndexEntry& entry : gone)
    index_.erase(index_.find(entry.number, entry.incarnation, entry.block));
}

// Without a checkpoint whole segments.
Task<void> Recovery::scan_into(Recovery& self, Segment* segment, std::optional<Error>* error) {
  std::vector<ScannedBatch> found;
  const ScanRange range{.from = self.inherited_[segment->number].end,
                        .end = self.context_.segment_bytes(),
                        .whole = !self.checkpoint_};
  const Result<void> scanned = co_await scan_batches(self.context_, *segment, range, found);
  if (!scanned) *error = scanned.error();
  std::ranges::move(found, std::back_inserter(self.batches_));
}

Task<Result<void>> Recovery::scan_segments() {
  std::optional<Error> error;
  {
    Scope scope(context_.env());
    for (const auto& segment : table_.all()) {
      if (segment->state == Segment::State::damaged || inherited_[segment->number].sealed) continue;
      FB_ASSERT(segment->state == Segment::State::free, segment->state);
      scope.spawn(&Recovery::scan_into, std::ref(*this), segment.get(), &error);
    }
    co_await scope.join();
  }
  if (error) co_return *error;
  std::ranges::sort(batches_, {}, [](const ScannedBatch& batch) { return batch.sequence; });
  co_return Result<void>();
}

// Batches that an earlier life could not wipe, and that the checkpoint names, are not believed, whatever
// their payloads say. A segment takes no more as long as a checkpoint names a place in it.
Task<void> Recovery::drop_doubted_batches() {
  const std::vector<EndedBatch> doubted = order_.take_doubted();
  for (const EndedBatch& each : doubted) {
    std::erase_if(batches_, [&](const ScannedBatch& batch) {
      return batch.segment == each.segment && batch.offset == each.offset;
    });
    each.segment->distrusted = true;
    co_await prover_.wipe_or_doubt(each);
  }
}

// Writes of a killed process may be readable and not on the medium yet; from now on they count as durable.
// Headers that no checkpoint proves are written once more, as batches are (prove).
Task<Result<void>> Recovery::make_durable() {
  if (!FB_SAFEGUARD(sync_before_believing))
    co_return co_await sync_directory(context_.env(), context_.path(""));
  for (const auto& segment : table_.all()) {
    const Inherited& known = inherited_[segment->number];
    if (segment->state == Segment::State::damaged || known.sealed) continue;
    FB_CO_CHECK(co_await segment->file.sync());
    if (!known.known && FB_SAFEGUARD(rewrite_unproven_batches))
      FB_CO_CHECK(co_await prover_.rewrite_header(*segment));
  }
  co_return co_await sync_directory(context_.env(), context_.path(""));
}

// In their order, since what an earlier one says decides whether a copy is needed.
Task<Result<void>> Recovery::replay() {
  uint64_t durable = 0;
  for (const ScannedBatch& batch : batches_) durable = std::max(durable, batch.durable_sequence);
  co_await drop_doubted_batches();
  std::vector<ScannedBatch> believed;
  AlignedBytes image;
  for (ScannedBatch& batch : batches_) {
    bool stays = batch.sequence <= durable;
    if (!stays) {
      FB_CO_TRY(stays, co_await prover_.prove(batch, image));
    }
    if (!stays) continue;
    apply(batch);
    checkpointer_.note_written(batch.bytes);
    believed.push_back(std::move(batch));
  }
  batches_ = std::move(believed);
  co_return Result<void>();
}

void Recovery::apply_tombstone(const DescriptorEntry& entry) {
  const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (!indexed) return;
  Segment& segment = table_[indexed.segment()];
  if (segment.generation != entry.other_generation) segment.moved_out = true;
  index_.erase(indexed);
}

void Recovery::apply(const ScannedBatch& batch) {
  for (const DescriptorEntry& entry : batch.entries) {
    if (entry.kind == EntryKind::tombstone) {
      ++batch.segment->tombstones;
      apply_tombstone(entry);
      continue;
    }
    const uint64_t at = batch.offset + uint64_t{entry.payload_block} * kBlockBytes;
    const uint64_t place = IndexEntry::make_place(batch.segment->number, at, entry.length);
    if (entry.kind == EntryKind::copy) {
      table_.note_moved_out(entry.other_generation);
    }
    if (BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block)) {
      if (indexed.segment() != batch.segment->number) table_[indexed.segment()].moved_out = true;
      index_.set_place(indexed, place);
      index_.set_checksum(indexed, entry.checksum);
    } else {
      index_.insert({.number = entry.number,
                     .checksum = entry.checksum,
                     .incarnation = entry.incarnation,
                     .block = entry.block,
                     .place = place});
    }
  }
}

// A batch that is missing between two of its segment, though the later one says that all before it had ended,
// was damaged. (Where it says so of some only, the missing one may be another, which was never durable.)
void Recovery::count_missing() {
  const ScannedBatch* previous = nullptr;
  for (const ScannedBatch& batch : batches_) {
    if (previous != nullptr && previous->segment == batch.segment &&
        previous->offset + previous->bytes != batch.offset && batch.durable_sequence + 1 == batch.sequence) {
      ++context_.stats().damaged_batches;
      context_.log(fmt::format("batches are missing in segment {} between {} and {}", batch.segment->number,
                               previous->offset + previous->bytes, batch.offset));
    }
    previous = &batch;
  }
}

// Sets the end of each segment.
std::vector<Recovery::Written> Recovery::note_ends() {
  std::vector<Written> written(table_.size());
  for (const auto& segment : table_.all()) {
    const Inherited& known = inherited_[segment->number];
    segment->end = known.end;
    segment->tombstones += known.tombstones;
    if (known.end > kSegmentDataOffset) written[segment->number].last_sequence = 1;  // some time before
  }
  for (const ScannedBatch& batch : batches_) {
    Written& of_segment = written[batch.segment->number];
    if (batch.segment->end != batch.offset) of_segment.has_hole = true;
    batch.segment->end = std::max(batch.segment->end, batch.offset + batch.bytes);
    of_segment.last_sequence = std::max(of_segment.last_sequence, batch.sequence);
  }
  return written;
}

// Decides which segments are sealed, which ones go on, which are free.
void Recovery::settle_segments() {
  const std::vector<Written> written = note_ends();
  std::vector<Segment*> unused;
  std::vector<Segment*> open;
  for (const auto& segment : table_.all()) {
    if (segment->state == Segment::State::damaged) continue;
    if (written[segment->number].last_sequence == 0 && !segment->distrusted) {
      unused.push_back(segment.get());
      continue;
    }
    segment->state = Segment::State::sealed;
    if (inherited_[segment->number].sealed) continue;
    segment->cut_short = true;
    if (!written[segment->number].has_hole && !segment->distrusted) open.push_back(segment.get());
  }
  std::ranges::sort(open, std::greater(),
                    [&](const Segment* segment) { return written[segment->number].last_sequence; });
  go_on(open);
  std::ranges::sort(unused, {}, &Segment::generation);
  for (Segment* segment : unused) {
    segment->zeros.fresh = true;
    segment->tombstones = 0;
    segment->moved_out = false;
    table_.add_free(*segment);
  }
  table_.set_active_from_reserve(table_.free_count() < kReservedSegments);
  if (!table_.empty()) space_.set_used();
}

// The two that were written to last were one of puts and one of moves; which was which does not matter.
void Recovery::go_on(std::span<Segment* const> open) {
  for (size_t i = 0; i < std::min(open.size(), kStreamCount); ++i) {
    Segment& segment = *open[i];
    table_.go_on(static_cast<Stream>(i), segment);
    segment.zeros.zeroed_to = segment.end;
    if (segment.file.keeps_overwrites()) {
      segment.zeros.fresh = true;
      segment.zeros.has_gaps = true;
      segment.zeros.settled_from = segment.zeros.settled_to = segment.end;
    }
  }
}

// Entries outside of what was written cannot come from a valid checkpoint or descriptor; they are reported,
// not kept.
void Recovery::recount_live() {
  std::vector<IndexEntry> bad;
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      const uint64_t bytes = stored_bytes(entry.length());
      const bool inside = entry.segment() < table_.size() && entry.offset_bytes() >= kSegmentDataOffset &&
                          entry.offset_bytes() + bytes <= table_[entry.segment()].end;
      if (!inside) {
        bad.push_back(entry);
        continue;
      }
      table_.add_live(table_[entry.segment()], bytes);
    }
  }
  for (const IndexEntry& entry : bad) {
    ++context_.stats().damaged;
    index_.erase(index_.find(entry.number, entry.incarnation, entry.block));
  }
}

void Recovery::report_damaged_segments() {
  for (const auto& segment : table_.all()) {
    if (segment->state != Segment::State::damaged) continue;
    context_.log(fmt::format("segment {} has no valid header: kept as it is, not used", segment->number));
    ++context_.stats().damaged_batches;
  }
}

// Without a set capacity, what the file system has, but for a twentieth.
Task<Result<void>> Recovery::make_room() {
  FB_CO_TRY(const FileSystemSpace space, co_await file_system_space(context_.env(), context_.path("")));
  const uint64_t shards = context_.superblock().shard_count;
  const uint64_t capacity = context_.options().capacity_bytes;
  const uint64_t more =
      capacity != 0 ? 0 : space.available_bytes / 20 * 19 / shards / context_.segment_bytes();
  table_.make_room(capacity != 0 ? capacity / shards / context_.segment_bytes() : table_.size() + more);
  co_return Result<void>();
}

Task<Result<void>> Recovery::run() {
  FB_CO_CHECK(co_await open_segments());
  FB_CO_TRY(checkpoint_, co_await load_checkpoint(context_, index_));
  inherited_.resize(table_.size());
  for (const auto& segment : table_.all()) table_.raise_generation(segment->generation + 1);
  if (checkpoint_) {
    adopt_checkpoint();
  } else if (!table_.empty()) {
    ++context_.stats().checkpoints_lost;
    context_.log("no valid checkpoint: reading every descriptor");
  }
  FB_CO_CHECK(co_await scan_segments());
  FB_CO_CHECK(co_await make_durable());
  const uint64_t last = std::max(batches_.empty() ? 0 : batches_.back().sequence, order_.next_sequence() - 1);
  FB_CO_CHECK(co_await replay());
  count_missing();
  settle_segments();
  recount_live();
  order_.set_next_sequence(last + 1);
  report_damaged_segments();
  FB_CO_CHECK(co_await make_room());
  if (!checkpoint_) FB_CO_CHECK(co_await checkpointer_.write());
  co_return Result<void>();
}

}  // namespace fb::bss
