// SPDX-License-Identifier: Apache-2.0
// Opening a shard: checkpoint, descriptors written since, index.
//
// 1. Every segment file is opened; its header gives its generation and nonce.
// 2. A valid checkpoint gives the index as of batch S, and for each segment (by generation) where later
// batches
//    begin. Entries of a generation that is gone are dropped: their blobs were moved or erased after S, and
//    the later batches say which.
// 3. Descriptors are read from there on; without a checkpoint, all of them. A bad block never ends a scan: it
// goes on
//    at the next block. With a checkpoint it ends once nothing has been found for as far as writes may run
//    ahead.
// 4. Batches are applied in order of their sequence. Of the last few, which nothing proves durable, a crash
// may
//    have torn any part, and the rest may be readable and not be on the medium. Their payloads are verified;
//    entries that do not match are dropped; what is left is written once more, durably, before it counts.
#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/safeguard.h"
#include "bss/shard.h"
#include "io/claim.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr std::string_view kSegmentPrefix = "segment-";
constexpr size_t kCheckpointReadBytes = kMiB;
constexpr int kWipeAttempts = 3;     // of a torn batch's descriptor
constexpr int kRewriteAttempts = 5;  // of what a start relies on

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

Task<Result<void>> Shard::open_segment(uint32_t number) {
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

Task<Result<void>> Shard::open_segments() {
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

// Nothing where it is missing or damaged; then every descriptor is read.
Task<Result<std::optional<Shard::Checkpoint>>> Shard::load_checkpoint() {
  Result<File> opened = co_await File::open(context_.env(), context_.path(kCheckpointName),
                                            {.direct = true, .role = FileRole::snapshot});
  if (!opened) {
    if (opened.error().is(IoError::not_found)) co_return std::optional<Checkpoint>();
    co_return opened.error();
  }
  File file = std::move(*opened);
  std::optional<Checkpoint> checkpoint;
  {
    const Buffer block = co_await context_.pool().allocate(kBlockBytes);
    if (co_await file.read_exactly(block.span(0, kBlockBytes), 0)) {
      if (const auto header = parse_checkpoint_header(block.span(0, kBlockBytes),
                                                      context_.superblock().store_id, context_.number())) {
        checkpoint = Checkpoint{.header = *header, .segments = {}};
      }
    }
  }
  if (checkpoint && !co_await load_checkpoint_body(file, *checkpoint)) {
    index_.clear();
    checkpoint.reset();
  }
  FB_CO_CHECK(co_await file.close());
  co_return checkpoint;
}

// Fills the index while it reads; what it read counts only where the whole body's checksum agrees.
Task<bool> Shard::load_checkpoint_body(File& file, Checkpoint& checkpoint) {
  const CheckpointHeader& header = checkpoint.header;
  const uint64_t table_bytes = uint64_t{header.segment_count} * sizeof(CheckpointSegment);
  if (header.entry_count > UINT32_MAX || header.segment_count > IndexEntry::kSegmentNumberMax + 1 ||
      header.body_bytes != table_bytes + header.entry_count * sizeof(IndexEntry))
    co_return false;
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  const Buffer buffer = co_await context_.pool().allocate(kCheckpointReadBytes);
  const Result<FileStat> stat = co_await file.stat();
  if (!stat || stat->size_bytes < kBlockBytes + header.body_bytes) co_return false;
  index_.reserve(header.entry_count);
  std::string pending;  // bytes of a record that spans two reads
  uint64_t consumed = 0;
  for (uint64_t at = 0; at < header.body_bytes; at += kCheckpointReadBytes) {
    const uint64_t length = std::min<uint64_t>(kCheckpointReadBytes, header.body_bytes - at);
    const auto bytes = buffer.span(0, align_up(length, kBlockBytes));
    if (!co_await file.read_exactly(bytes, kBlockBytes + at)) co_return false;
    XXH3_64bits_update(state.get(), bytes.data(), length);
    pending.append(reinterpret_cast<const char*>(bytes.data()), length);
    size_t used = 0;
    for (;;) {
      const bool in_table = consumed < table_bytes;
      const size_t size = in_table ? sizeof(CheckpointSegment) : sizeof(IndexEntry);
      if (pending.size() - used < size) break;
      if (in_table) {
        std::memcpy(&checkpoint.segments.emplace_back(), pending.data() + used, size);
      } else {
        IndexEntry entry;
        std::memcpy(&entry, pending.data() + used, size);
        entry.place = entry.location();
        if (entry.length() == 0 || index_.find(entry.number, entry.incarnation, entry.block)) co_return false;
        index_.insert(entry);
      }
      used += size;
      consumed += size;
    }
    pending.erase(0, used);
  }
  co_return XXH3_64bits_digest(state.get()) == header.body_checksum;
}

void Shard::adopt_checkpoint(const Checkpoint& checkpoint, std::vector<Inherited>& inherited) {
  order_.set_next_sequence(std::max(checkpoint.header.next_sequence, checkpoint.header.sequence + 1));
  table_.raise_generation(checkpoint.header.next_generation);
  for (const CheckpointSegment& row : checkpoint.segments) {
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
    inherited[row.segment] = {.known = true,
                              .sealed = (row.flags & CheckpointSegment::kSealed) != 0,
                              .end = row.end,
                              .tombstones = row.tombstones};
  }
  for (const CheckpointSegment& row : checkpoint.segments) {
    if (row.segment >= table_.size() || (row.flags & CheckpointSegment::kUnwiped) == 0) continue;
    Segment& segment = table_[row.segment];
    const bool fits = is_aligned(row.end, kBlockBytes) && row.end >= kSegmentDataOffset &&
                      row.end + kBlockBytes <= context_.segment_bytes() &&
                      row.tombstones < order_.next_sequence();
    if (segment.generation != row.generation || segment.state == Segment::State::damaged || !fits) continue;
    order_.doubt({.segment = &segment, .sequence = row.tombstones, .offset = row.end, .bytes = kBlockBytes});
  }
  std::vector<IndexEntry> gone;
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      if (entry.segment() >= inherited.size() || !inherited[entry.segment()].known) gone.push_back(entry);
    }
  }
  for (const IndexEntry& entry : gone)
    index_.erase(index_.find(entry.number, entry.incarnation, entry.block));
}

Task<void> Shard::scan_into(Shard& self, Segment* segment, uint64_t from, bool whole,
                            std::vector<ScannedBatch>* out, std::optional<Error>* error) {
  std::vector<ScannedBatch> found;
  const bool ends_here = segment->state == Segment::State::sealed;
  const uint64_t end = ends_here ? segment->end : self.context_.segment_bytes();
  const Result<void> scanned =
      co_await scan_batches(self.context_, *segment, {.from = from, .end = end, .whole = whole}, found);
  if (!scanned) *error = scanned.error();
  std::ranges::move(found, std::back_inserter(*out));
}

// A batch that cannot be wiped yet closes its segment, and nothing says that the batch has ended: as after a
// failed write.
Task<void> Shard::wipe_or_doubt(const EndedBatch& batch) {
  if (co_await wiper_.wipe(*batch.segment, batch.offset, kWipeAttempts)) co_return;
  context_.log(
      fmt::format("segment {}: the descriptor at {} of a batch that is not believed cannot be wiped yet",
                  batch.segment->number, batch.offset));
  batch.segment->distrusted = true;
  batch.segment->moved_out = true;
  order_.note_uncertain();
  order_.doubt(batch);
}

// Those that an earlier life could not wipe, and the checkpoint names: not believed, whatever their payloads
// say. A segment takes no more as long as a checkpoint names a place in it.
Task<void> Shard::drop_doubted_batches(std::vector<ScannedBatch>& batches) {
  const std::vector<EndedBatch> doubted = order_.take_doubted();
  for (const EndedBatch& each : doubted) {
    std::erase_if(batches, [&](const ScannedBatch& batch) {
      return batch.segment == each.segment && batch.offset == each.offset;
    });
    each.segment->distrusted = true;
    co_await wipe_or_doubt(each);
  }
}

// Whether an entry counts although its payload is not as it should be: then reading it reports the damage.
// That is so where it is known that it was acknowledged: the checkpoint has it, or it is a copy of what is
// nowhere else. A put that cannot be read is damage, too, since tearing leaves sectors readable as a rule. A
// copy never takes the place of what it was made from.
bool Shard::counts_unverified(const DescriptorEntry& entry, uint64_t place, Verdict verdict) {
  const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (indexed && indexed.place == place) return true;
  if (entry.kind == EntryKind::copy && FB_SAFEGUARD(copy_needs_verified_payload)) return !indexed;
  return verdict == Verdict::unreadable;
}

// A batch that nothing says was durable: a crash, or a write that failed, may have left any part of it.
// Entries that match stay; the others were never acknowledged, or have rotted since, which nothing can tell
// apart. Without them the descriptor is written anew, for later starts to believe; if nothing is left, it is
// wiped. What is left is written once more, the same bytes: a killed process may have written it and not come
// to flush it, and a sync that failed at a start before this one may have given it up, which the next sync
// does not say. False: nothing is left. `image` is working memory.
Task<Result<bool>> Shard::prove(ScannedBatch& batch, AlignedBytes& image) {
  Segment& segment = *batch.segment;
  image.resize(batch.bytes);
  const bool whole = (co_await segment.file.read_exactly(image.span(), batch.offset)).has_value();
  std::vector<DescriptorEntry> kept;
  std::vector<std::pair<uint64_t, uint64_t>> readable;  // payloads: offset in the batch, bytes
  for (const DescriptorEntry& entry : batch.entries) {
    if (entry.kind == EntryKind::tombstone) {
      kept.push_back(entry);
      continue;
    }
    const uint64_t at = uint64_t{entry.payload_block} * kBlockBytes;
    const auto stored = image.span().subspan(at, stored_bytes(entry.length));
    bool read = whole;
    if (!read) read = (co_await segment.file.read_exactly(stored, batch.offset + at)).has_value();
    const Verdict verdict = read ? judge_payload(stored, entry) : Verdict::unreadable;
    if (verdict == Verdict::intact) readable.emplace_back(at, stored.size());
    const uint64_t place = IndexEntry::make_place(segment.number, batch.offset + at, entry.length);
    if (verdict == Verdict::intact || counts_unverified(entry, place, verdict)) kept.push_back(entry);
  }
  if (const size_t dropped = batch.entries.size() - kept.size(); dropped != 0) {
    context_.stats().torn_entries += dropped;
    context_.log(
        fmt::format("segment {}: of the batch at {} {} of {} entries are dropped: a crash has torn their "
                    "payloads, or they are damaged",
                    segment.number, batch.offset, dropped, batch.entries.size()));
    if (kept.empty()) {
      co_await wipe_or_doubt(
          {.segment = &segment, .sequence = batch.sequence, .offset = batch.offset, .bytes = batch.bytes});
      co_return false;
    }
  } else if (!FB_SAFEGUARD(rewrite_unproven_batches) || !FB_SAFEGUARD(sync_before_believing)) {
    co_return true;
  }
  batch.entries = std::move(kept);
  const auto descriptor = image.span().first(descriptor_bytes_for(batch.entries.size()));
  std::memcpy(descriptor_entries(descriptor), batch.entries.data(),
              batch.entries.size() * sizeof(DescriptorEntry));
  finish_descriptor(context_.place_of(segment, batch.offset), batch.sequence, batch.durable_sequence,
                    batch.entries.size(), batch.bytes, descriptor);
  if (whole) {
    FB_CO_CHECK(co_await write_again(segment, image.span(), batch.offset));
    co_return true;
  }
  for (const auto& [at, bytes] : readable)
    FB_CO_CHECK(co_await write_again(segment, image.span().subspan(at, bytes), batch.offset + at));
  FB_CO_CHECK(co_await write_again(segment, descriptor, batch.offset));
  co_return true;
}

// Bytes that cannot be written again are not known to be on the medium, and nothing may rely on them.
Task<Result<void>> Shard::write_again(Segment& segment, std::span<const std::byte> bytes, uint64_t offset) {
  Result<void> written;
  for (int attempt = 0; attempt < kRewriteAttempts; ++attempt) {
    written = co_await segment.file.write_all_durable(bytes, offset);
    if (written) co_return written;
  }
  context_.log(fmt::format("segment {}: what stands at {} is needed and cannot be written again: {}",
                           segment.number, offset, written.error().to_string()));
  co_return written;
}

Task<Result<void>> Shard::rewrite_header(Segment& segment) {
  const Buffer block = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(context_.header_of(segment), block.span(0, kSegmentDataOffset));
  co_return co_await write_again(segment, block.span(0, kSegmentDataOffset), 0);
}

// Writes of a killed process may be readable and not on the medium yet; from now on they count as durable.
// Headers that no checkpoint proves are written once more, as batches are (prove).
Task<Result<void>> Shard::make_durable(const std::vector<Inherited>& inherited) {
  if (!FB_SAFEGUARD(sync_before_believing))
    co_return co_await sync_directory(context_.env(), context_.path(""));
  for (const auto& segment : table_.all()) {
    const Inherited& known = inherited[segment->number];
    if (segment->state == Segment::State::damaged || known.sealed) continue;
    FB_CO_CHECK(co_await segment->file.sync());
    if (!known.known && FB_SAFEGUARD(rewrite_unproven_batches))
      FB_CO_CHECK(co_await rewrite_header(*segment));
  }
  co_return co_await sync_directory(context_.env(), context_.path(""));
}

// In their order, since what an earlier one says decides whether a copy is needed.
Task<Result<void>> Shard::replay(std::vector<ScannedBatch>& batches) {
  uint64_t durable = 0;
  for (const ScannedBatch& batch : batches) durable = std::max(durable, batch.durable_sequence);
  co_await drop_doubted_batches(batches);
  std::vector<ScannedBatch> believed;
  AlignedBytes image;
  for (ScannedBatch& batch : batches) {
    bool stays = batch.sequence <= durable;
    if (!stays) {
      FB_CO_TRY(stays, co_await prove(batch, image));
    }
    if (!stays) continue;
    apply(batch);
    checkpointer_.note_written(batch.bytes);
    believed.push_back(std::move(batch));
  }
  batches = std::move(believed);
  co_return Result<void>();
}

void Shard::apply_tombstone(const DescriptorEntry& entry) {
  const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (!indexed) return;
  Segment& segment = table_[indexed.segment()];
  if (segment.generation != entry.other_generation) segment.moved_out = true;
  index_.erase(indexed);
}

void Shard::apply(const ScannedBatch& batch) {
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
void Shard::count_missing(const std::vector<ScannedBatch>& batches) {
  const ScannedBatch* previous = nullptr;
  for (const ScannedBatch& batch : batches) {
    if (previous != nullptr && previous->segment == batch.segment &&
        previous->offset + previous->bytes != batch.offset && batch.durable_sequence + 1 == batch.sequence) {
      ++context_.stats().damaged_batches;
      context_.log(fmt::format("batches are missing in segment {} between {} and {}", batch.segment->number,
                               previous->offset + previous->bytes, batch.offset));
    }
    previous = &batch;
  }
}

// Which segments are sealed, which one goes on, which are free.
void Shard::settle_segments(const std::vector<ScannedBatch>& batches,
                            const std::vector<Inherited>& inherited) {
  std::vector<uint64_t> last_sequence(table_.size(), 0);
  std::vector<bool> has_hole(table_.size(), false);
  for (const auto& segment : table_.all()) {
    const Inherited& known = inherited[segment->number];
    segment->end = known.end;
    segment->tombstones += known.tombstones;
    if (known.end > kSegmentDataOffset) last_sequence[segment->number] = 1;  // written, some time before
  }
  for (const ScannedBatch& batch : batches) {
    const uint32_t number = batch.segment->number;
    if (batch.segment->end != batch.offset) has_hole[number] = true;
    batch.segment->end = std::max(batch.segment->end, batch.offset + batch.bytes);
    last_sequence[number] = std::max(last_sequence[number], batch.sequence);
  }
  std::vector<Segment*> unused;
  std::vector<Segment*> open;
  for (const auto& segment : table_.all()) {
    if (segment->state == Segment::State::damaged) continue;
    if (last_sequence[segment->number] == 0 && !segment->distrusted) {
      unused.push_back(segment.get());
      continue;
    }
    segment->state = Segment::State::sealed;
    if (inherited[segment->number].sealed) continue;
    segment->cut_short = true;
    if (!has_hole[segment->number] && !segment->distrusted) open.push_back(segment.get());
  }
  // The two that were written to last were one of puts and one of moves; which was which does not matter.
  std::ranges::sort(open, std::greater(),
                    [&](const Segment* segment) { return last_sequence[segment->number]; });
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

// Entries outside of what was written cannot come from a valid checkpoint or descriptor; they are reported,
// not kept.
void Shard::recount_live() {
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

Task<Result<void>> Shard::open() {
  const Result<void> opened = co_await recover();
  context_.enter(opened ? ShardPhase::opened : ShardPhase::failed);
  co_return opened;
}

Task<Result<void>> Shard::recover() {
  FB_CO_CHECK(co_await open_segments());
  FB_CO_TRY(const std::optional<Checkpoint> checkpoint, co_await load_checkpoint());
  std::vector<Inherited> inherited(table_.size());
  for (const auto& segment : table_.all()) table_.raise_generation(segment->generation + 1);
  if (checkpoint) adopt_checkpoint(*checkpoint, inherited);
  const bool lost = !checkpoint && !table_.empty();
  if (lost) {
    ++context_.stats().checkpoints_lost;
    context_.log("no valid checkpoint: reading every descriptor");
  }

  std::vector<ScannedBatch> batches;
  std::optional<Error> error;
  {
    Scope scope(context_.env());
    for (const auto& segment : table_.all()) {
      if (segment->state == Segment::State::damaged || inherited[segment->number].sealed) continue;
      scope.spawn(&Shard::scan_into, std::ref(*this), segment.get(), inherited[segment->number].end, lost,
                  &batches, &error);
    }
    co_await scope.join();
  }
  if (error) co_return *error;
  FB_CO_CHECK(co_await make_durable(inherited));
  std::ranges::sort(batches, {}, [](const ScannedBatch& batch) { return batch.sequence; });
  const uint64_t last = std::max(batches.empty() ? 0 : batches.back().sequence, order_.next_sequence() - 1);
  FB_CO_CHECK(co_await replay(batches));
  count_missing(batches);
  settle_segments(batches, inherited);
  recount_live();
  order_.set_next_sequence(last + 1);

  for (const auto& segment : table_.all()) {
    if (segment->state != Segment::State::damaged) continue;
    context_.log(fmt::format("segment {} has no valid header: kept as it is, not used", segment->number));
    ++context_.stats().damaged_batches;
  }
  FB_CO_TRY(const FileSystemSpace space, co_await file_system_space(context_.env(), context_.path("")));
  const uint64_t shards = context_.superblock().shard_count;
  const uint64_t capacity = context_.options().capacity_bytes;
  const uint64_t more =
      capacity != 0 ? 0 : space.available_bytes / 20 * 19 / shards / context_.segment_bytes();
  table_.make_room(capacity != 0 ? capacity / shards / context_.segment_bytes() : table_.size() + more);
  if (!checkpoint) FB_CO_CHECK(co_await checkpointer_.write());
  co_return Result<void>();
}

}  // namespace fb::bss
