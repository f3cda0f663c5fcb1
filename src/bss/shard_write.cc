// SPDX-License-Identifier: Apache-2.0
// The write path of a shard: queue, batches, completion.
#include <fmt/core.h>

#include <algorithm>

#include "base/assert.h"
#include "bss/placement.h"
#include "bss/shard.h"
#include "io/error.h"

namespace fb::bss {
namespace {

// Descriptor, payloads, and the blocks with checksums of pieces.
constexpr size_t kBatchVectorsMax = 1 + kBatchEntriesMax + kBatchPayloadBytesMax / kPieceBytes;
static_assert(kBatchVectorsMax <= kWriteVectorsMax);

BlobKey key_of(const WriteOp& op, const Superblock& superblock, uint32_t shard) {
  return {.id = {.volume = superblock.volume,
                 .shard = named_shard_of(shard, op.block, superblock.shard_count),
                 .incarnation = {op.incarnation},
                 .number = op.number},
          .block = op.block};
}

}  // namespace

void WriteQueue::push(WriteOp& op) {
  op.next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = &op;
  last_ = &op;
}

void WriteQueue::push_front(WriteOp& op) {
  op.next = first_;
  if (first_ == nullptr) last_ = &op;
  first_ = &op;
}

WriteOp& WriteQueue::pop() {
  FB_ASSERT(first_ != nullptr);
  WriteOp& op = *first_;
  first_ = op.next;
  return op;
}

uint64_t Shard::payload_bytes_max() const {
  const uint64_t room = segment_room() - descriptor_bytes_for(1);
  return std::min<uint64_t>(kBlobBlockSizeMax, room > kPieceBytes ? room - kBlockBytes : room);
}

void Shard::submit(WriteOp& op) {
  FB_ASSERT(op.group != nullptr);
  if (stopping_) return finish_op(op, Error(BlobError::unavailable));
  queue_of(op).push(op);
  used_ = true;
  work_.notify_one();
}

uint64_t Shard::durable_sequence() const {
  uint64_t oldest = next_sequence_;
  for (const Batch* batch : in_flight_) oldest = std::min(oldest, batch->sequence);
  return oldest - 1;
}

// Each writer has one batch in flight at a time.
Task<void> Shard::run_writer(Shard& self) {
  Batch batch;
  batch.descriptor = co_await self.context_.pool.allocate(kDescriptorBytesMax);
  batch.ops.reserve(kBatchEntriesMax);
  batch.vectors.reserve(kBatchVectorsMax);
  for (;;) {
    // The descriptor says what is durable; recovery relies on nothing being further ahead than this.
    const bool ahead = self.next_sequence_ > self.durable_sequence() + kWritesInFlightMax;
    if (ahead || self.build(batch) == Built::nothing) {
      if (self.stopping_ && self.in_flight_.empty() && self.zeroing_ == nullptr) {
        self.refuse_all();
        co_return;
      }
      co_await self.work_.wait();
      continue;
    }
    self.in_flight_.push_back(&batch);
    ++batch.segment->writers;
    const File& file = batch.segment->file;
    const bool settled = batch.segment->settled(batch.offset, batch.bytes);
    const Result<size_t> written = settled ? co_await file.overwrite_durable(batch.vectors, batch.offset)
                                           : co_await file.write_durable(batch.vectors, batch.offset);
    self.complete(batch, written);
  }
}

// Decides what a queued operation needs, by the index as it is now.
Shard::Admission Shard::admit(WriteOp& op) {
  IndexEntry* entry = index_.find(op.number, op.incarnation, op.block);
  const bool in_flight = entry != nullptr && !entry->readable();
  switch (op.kind) {
    case EntryKind::put:
      if (entry == nullptr) return Admission::include;
      if (in_flight) return Admission::defer;
      if (entry->checksum != op.checksum || entry->length() != op.length) op.error = Error(BlobError::exists);
      return Admission::done;
    case EntryKind::tombstone:
      if (op.move) return admit_moved_tombstone(op, entry);
      if (in_flight) return Admission::defer;
      if (entry == nullptr && !always_write_tombstones_) return Admission::done;
      op.other_generation = entry == nullptr ? 0 : segments_[entry->segment()]->generation;
      return Admission::include;
    case EntryKind::copy:
      if (entry == nullptr || in_flight || entry->place != op.source_place) return Admission::done;
      op.other_generation = segments_[entry->segment()]->generation;
      return Admission::include;
  }
  FB_UNREACHABLE();
}

// A tombstone that compaction moves gets a newer place in the order of batches: it must not come behind a put
// of the same key. Then the put replaces it, and what it hid is remembered by its segment.
Shard::Admission Shard::admit_moved_tombstone(const WriteOp& op, const IndexEntry* entry) {
  if (entry == nullptr) return Admission::include;
  for (const auto& segment : segments_) {
    if (segment->generation == op.other_generation) segment->moved_out = true;
  }
  return Admission::done;
}

WriteQueue& Shard::queue_of(const WriteOp& op) {
  if (op.move) return moves_;
  return op.kind == EntryKind::put ? puts_ : erases_;
}

// Free segments that an operation must leave to those of more urgent kinds.
size_t Shard::segments_to_leave(const WriteOp& op) {
  if (op.move) return 0;
  return op.kind == EntryKind::put ? kReservedSegments : 1;
}

// True where the active segment, or one that becomes it, can take a batch of this operation alone.
bool Shard::has_room(const WriteOp& op) {
  const uint64_t needed = descriptor_bytes_for(1) + op.stored();
  if (active_ == nullptr || active_->end + needed > segment_bytes()) {
    if (free_.size() <= segments_to_leave(op)) {
      blocked_ = true;
      prepare_.notify_all();
      return false;
    }
    if (active_ != nullptr) seal_active();
    activate();
  } else if (op.kind == EntryKind::put && !puts_allowed()) {
    blocked_ = true;
    prepare_.notify_all();
    return false;
  }
  const bool zeros_in_the_way = zeroing_ == active_ && active_->end + needed > zeroing_from_;
  return !zeros_in_the_way;
}

// Puts keep out of a segment that erases or moves took from the reserve, until the reserve is whole again.
bool Shard::puts_allowed() const { return !active_from_reserve_ || free_.size() >= kReservedSegments; }

void Shard::activate() {
  active_from_reserve_ = free_.size() <= kReservedSegments;
  active_ = free_.front();
  free_.pop_front();
  FB_ASSERT(active_->state == Segment::State::free, active_->state);
  FB_ASSERT(active_->end == kSegmentDataOffset && active_->live_bytes == 0, active_->end,
            active_->live_bytes);
  active_->state = Segment::State::active;
  prepare_.notify_all();
  zero_.notify_all();
}

void Shard::seal_active() {
  active_->state = Segment::State::sealed;
  active_ = nullptr;
  ++segments_sealed_;
  compact_.notify_all();
}

// Takes what is queued, moves and erases first, up to one batch of one segment.
Shard::Built Shard::build(Batch& batch) {
  batch.ops.clear();
  batch.segment = nullptr;
  uint64_t payload_bytes = 0;
  uint64_t room = 0;
  WriteOp* deferred = nullptr;
  bool full = false;
  for (WriteQueue* queue : {&moves_, &erases_, &puts_}) {
    if (queue == &puts_ && batch.segment != nullptr && !puts_allowed()) break;
    while (!full && !queue->empty() && batch.ops.size() < kBatchEntriesMax) {
      WriteOp& op = *queue->front();
      const Admission admission = admit(op);
      if (admission == Admission::include) {
        if (batch.segment == nullptr) {
          if (!has_room(op)) break;  // puts may lack the space that erases have
          batch.segment = active_;
          room =
              std::min(segment_bytes(), zeroing_ == active_ ? zeroing_from_ : segment_bytes()) - active_->end;
        }
        full = !add_to_batch(batch, op, room, payload_bytes);
        if (!full) queue->pop();
        continue;
      }
      queue->pop();
      if (admission == Admission::done) {
        finish_op(op, op.error);
      } else {
        op.next = deferred;
        deferred = &op;
      }
    }
  }
  while (deferred != nullptr) {
    WriteOp& op = *deferred;
    deferred = op.next;
    queue_of(op).push_front(op);
  }
  if (batch.ops.empty()) return Built::nothing;
  batch.bytes = descriptor_bytes_for(batch.ops.size()) + payload_bytes;
  finish_batch_layout(batch);
  return Built::batch;
}

// From here on the index knows the entry, flagged.
bool Shard::add_to_batch(Batch& batch, WriteOp& op, uint64_t room, uint64_t& payload_bytes) {
  const uint64_t bytes = payload_bytes + op.stored();
  const uint64_t total = descriptor_bytes_for(batch.ops.size() + 1) + bytes;
  if (total > room || bytes > kBatchPayloadBytesMax) return false;
  batch.ops.push_back(&op);
  payload_bytes = bytes;
  if (op.kind == EntryKind::put) {
    index_.insert(
        {.number = op.number,
         .checksum = op.checksum,
         .incarnation = op.incarnation,
         .block = op.block,
         .place = IndexEntry::make_place(batch.segment->number, 0, op.length) | IndexEntry::kPending});
  } else if (op.kind == EntryKind::tombstone) {
    if (IndexEntry* entry = index_.find(op.number, op.incarnation, op.block))
      entry->place |= IndexEntry::kErasing;
    context_.cache.erase(key_of(op, context_.superblock, number_));
  }
  return true;
}

void Shard::finish_batch_layout(Batch& batch) {
  Segment& segment = *batch.segment;
  const size_t descriptor_bytes = descriptor_bytes_for(batch.ops.size());
  const auto descriptor = batch.descriptor.span(0, descriptor_bytes);
  DescriptorEntry* entries = descriptor_entries(descriptor);
  batch.offset = segment.end;
  const uint64_t durable = durable_sequence();
  batch.sequence = next_sequence_++;
  batch.vectors.clear();
  batch.vectors.push_back({descriptor.data(), descriptor.size()});
  uint64_t at = descriptor_bytes;
  for (size_t i = 0; i < batch.ops.size(); ++i) {
    WriteOp& op = *batch.ops[i];
    entries[i] = {.number = op.number,
                  .checksum = op.checksum,
                  .other_generation = op.other_generation,
                  .incarnation = op.incarnation,
                  .block = op.block,
                  .length = op.length,
                  .payload_block = static_cast<uint32_t>(at / kBlockBytes),
                  .kind = op.kind,
                  .reserved = {}};
    if (op.kind == EntryKind::tombstone) continue;
    op.place = IndexEntry::make_place(segment.number, batch.offset + at, op.length);
    batch.vectors.push_back({op.data, payload_bytes(op.length)});
    if (op.has_own_table()) batch.vectors.push_back({op.table, kBlockBytes});
    at += op.stored();
  }
  FB_ASSERT(at == batch.bytes, at, batch.bytes);
  const DescriptorPlace place{.shard = number_,
                              .generation = segment.generation,
                              .nonce = segment.nonce,
                              .offset = batch.offset,
                              .segment_bytes = segment_bytes()};
  finish_descriptor(place, batch.sequence, durable, batch.ops.size(), batch.bytes, descriptor);
  segment.end += batch.bytes;
  zero_.notify_all();
}

void Shard::complete(Batch& batch, const Result<size_t>& written) {
  Segment& segment = *batch.segment;
  std::erase(in_flight_, &batch);
  ended_ahead_.push_back({.segment = &segment, .sequence = batch.sequence, .offset = batch.offset});
  std::erase_if(ended_ahead_, [durable = durable_sequence()](const EndedBatch& ended) {
    return ended.sequence <= durable;
  });
  --segment.writers;
  written_since_checkpoint_ += batch.bytes;
  if (written && *written == batch.bytes) {
    ++context_.stats.batches;
    context_.stats.batch_bytes += batch.bytes;
    for (WriteOp* op : batch.ops) {
      switch (op->kind) {
        case EntryKind::put:
          complete_put(batch, *op);
          break;
        case EntryKind::copy:
          complete_copy(batch, *op);
          break;
        case EntryKind::tombstone:
          complete_tombstone(batch, *op);
          break;
      }
      finish_op(*op, std::nullopt);
    }
  } else {
    // What the batch held may be on disk or not: nothing more goes into this segment, and erases write
    // tombstones even for what the index does not know.
    const bool no_space = written.has_value() || written.error().is(IoError::no_space);
    const Error error(no_space ? BlobError::full : BlobError::unavailable,
                      written ? 0 : written.error().os_errno());
    log(fmt::format("write of a batch failed: {}", written ? "short" : written.error().to_string()));
    ++context_.stats.write_errors;
    always_write_tombstones_ = true;
    segment.moved_out = true;
    if (active_ == &segment) seal_active();
    for (WriteOp* op : batch.ops) {
      fail_op(batch, *op, error);
      finish_op(*op, error);
    }
  }
  work_.notify_all();
  const uint64_t interval = std::max(context_.options.checkpoint_interval_bytes, 4 * checkpoint_bytes_);
  if (written_since_checkpoint_ >= interval) checkpoint_wanted_.notify_all();
}

void Shard::complete_put(const Batch& batch, WriteOp& op) {
  IndexEntry* entry = index_.find(op.number, op.incarnation, op.block);
  FB_ASSERT(entry != nullptr && (entry->place & IndexEntry::kPending) != 0, op.number, op.block);
  entry->place = op.place;
  batch.segment->live_bytes += op.stored();
  live_bytes_ += op.stored();
}

// Where the blob was erased meanwhile, the copy is stale and its segment remembers that.
void Shard::complete_copy(const Batch& batch, WriteOp& op) {
  IndexEntry* entry = index_.find(op.number, op.incarnation, op.block);
  if (entry == nullptr || entry->location() != op.source_place) {
    batch.segment->moved_out = true;
    return;
  }
  if (!entry->readable()) batch.segment->moved_out = true;
  segments_[entry->segment()]->moved_out = true;
  drop_live(entry->place);
  entry->place = op.place | (entry->place & IndexEntry::kFlags);
  batch.segment->live_bytes += op.stored();
  live_bytes_ += op.stored();
}

void Shard::complete_tombstone(const Batch& batch, WriteOp& op) {
  ++batch.segment->tombstones;
  IndexEntry* entry = index_.find(op.number, op.incarnation, op.block);
  if (entry == nullptr || (entry->place & IndexEntry::kErasing) == 0) return;
  drop_live(entry->place);
  index_.erase(entry);
  no_victim_ = false;
  compact_.notify_all();
}

void Shard::fail_op(const Batch&, WriteOp& op, const Error&) {
  IndexEntry* entry = index_.find(op.number, op.incarnation, op.block);
  if (entry == nullptr) return;
  if (op.kind == EntryKind::put) {
    index_.erase(entry);
  } else if (op.kind == EntryKind::tombstone) {
    entry->place &= ~IndexEntry::kErasing;
  }
}

void Shard::finish_op(WriteOp& op, std::optional<Error> error) {
  op.error = error;
  WriteGroup& group = *op.group;
  FB_ASSERT(group.remaining > 0);
  if (--group.remaining == 0 && group.waiter) env().schedule(group.waiter);
}

bool Shard::nothing_queued() const { return puts_.empty() && erases_.empty() && moves_.empty(); }

void Shard::refuse_all() {
  for (WriteQueue* queue : {&puts_, &erases_, &moves_}) {
    while (!queue->empty()) finish_op(queue->pop(), Error(BlobError::unavailable));
  }
}

// No segment can be had for these and none will become free by itself.
void Shard::refuse_blocked() {
  blocked_ = false;
  for (WriteQueue* queue : {&puts_, &erases_, &moves_}) {
    while (!queue->empty() && (free_.size() <= segments_to_leave(*queue->front()))) {
      if (queue == &puts_) {
        ++context_.stats.puts_refused_full;
        refuses_puts_ = true;
      }
      finish_op(queue->pop(), Error(BlobError::full));
    }
  }
}

void Shard::drop_live(uint64_t place) {
  const IndexEntry entry{.place = place};
  Segment& segment = *segments_[entry.segment()];
  const uint64_t bytes = stored_bytes(entry.length());
  FB_ASSERT(segment.live_bytes >= bytes && live_bytes_ >= bytes, segment.live_bytes, live_bytes_, bytes);
  segment.live_bytes -= bytes;
  live_bytes_ -= bytes;
}

}  // namespace fb::bss
