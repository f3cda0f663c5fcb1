// SPDX-License-Identifier: Apache-2.0
// The write path of a shard: queue, batches, completion.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/safeguard.h"
#include "bss/shard.h"
#include "io/error.h"

namespace fb::bss {
namespace {

// Descriptor, payloads, and the blocks with checksums of pieces.
constexpr size_t kBatchVectorsMax = 1 + kBatchEntriesMax + kBatchPayloadBytesMax / kPieceBytes;
static_assert(kBatchVectorsMax <= kWriteVectorsMax);
constexpr size_t kSmallBatchesAtOnce = 2;
constexpr uint64_t kShareEntriesMin = 16;
// Where space is scarce: each descriptor is a block that compaction makes room for.
constexpr uint64_t kShareEntriesScarce = 32;
// A batch of a few erases takes a block: where they keep coming, one batch in so long takes those of that
// time.
constexpr Duration kEraseGather = Duration::milliseconds(2);
constexpr Duration kEraseGatherScarce = Duration::milliseconds(10);  // where space is scarce
constexpr uint64_t kLargePayloadBytes = 128 * kKiB;
constexpr int kWipeAttempts = 3;  // of a failed batch's descriptor, before its puts are answered
constexpr Duration kExpiryTick = Duration::milliseconds(100);  // by so much a deadline may be overrun

}  // namespace

uint64_t Shard::payload_bytes_max() const {
  const uint64_t room = context_.segment_room() - descriptor_bytes_for(1);
  return std::min<uint64_t>(kBlobBlockSizeMax, room > kPieceBytes ? room - kBlockBytes : room);
}

void Shard::submit(WriteOp& op) {
  FB_ASSERT(op.group != nullptr);
  if (!context_.takes_calls()) return finish_op(context_.env(), op, Error(BlobError::unavailable));
  queues_.of(op).push(op);
  space_.set_used();
  signals_.work.notify_one();
  if (space_.blocked() || order_.in_flight() >= context_.options().writes_in_flight)
    signals_.expire.notify_one();
}

// What makes a batch worth its descriptor.
Shard::Share Shard::share_min() const {
  const uint64_t entries = space_.is_scarce() ? kShareEntriesScarce : kShareEntriesMin;
  return {.entries = entries, .bytes = entries * kBlockBytes};
}

bool Shard::only_few_erases() const {
  return !queues_.erases.empty() && queues_.erases.size() < share_min().entries && queues_.puts.empty() &&
         queues_.moves.empty();
}

// Whether a batch may go out now. One that is small waits while others are under way, for what comes until
// one of them ends; and none goes further ahead of what is durable than recovery looks.
bool Shard::may_write() const {
  if (gathering_erases_ && only_few_erases()) return false;
  if (!order_.may_begin()) return false;
  if (order_.in_flight() < (space_.is_scarce() ? 1 : kSmallBatchesAtOnce)) return true;
  const Share least = share_min();
  return queues_.puts.stored() + queues_.moves.stored() >= least.bytes ||
         queues_.puts.size() + queues_.moves.size() + queues_.erases.size() >= least.entries;
}

// What one batch takes of the queue, where the other writers that are idle could take the rest at once: the
// drive and this core then work on several side by side. Not less than is worth a descriptor and a write.
Shard::Share Shard::share_of_queue() const {
  const uint64_t idle = context_.options().writes_in_flight - order_.in_flight();
  const uint64_t entries = queues_.puts.size();
  const uint64_t bytes = queues_.puts.stored();
  FB_ASSERT(idle > 0, order_.in_flight());
  const Share least = share_min();
  return {.entries = std::max((entries + idle - 1) / idle, least.entries),
          .bytes = std::max((bytes + idle - 1) / idle, least.bytes)};
}

// Each writer has one batch in flight at a time.
Task<void> Shard::run_writer(Shard& self) {
  Batch batch;
  batch.descriptor = co_await self.context_.pool().allocate(kDescriptorBytesMax);
  batch.ops.reserve(kBatchEntriesMax);
  batch.vectors.reserve(kBatchVectorsMax);
  for (;;) {
    const Instant gathered =
        self.last_erases_ + (self.space_.is_scarce() ? kEraseGatherScarce : kEraseGather);
    if (self.only_few_erases() && !self.gathering_erases_ && !self.context_.stopping() &&
        self.context_.env().now() < gathered) {
      self.gathering_erases_ = true;
      (void)co_await self.context_.sleep_until(gathered);
      self.gathering_erases_ = false;
    }
    if (!self.may_write() || self.build(batch) == Built::nothing) {
      if (self.context_.stopping() && self.order_.in_flight() == 0 && !self.zeroer_.busy()) {
        self.refuse_all();
        co_return;
      }
      if (!self.queues_.puts.empty()) self.signals_.expire.notify_one();
      co_await self.signals_.work.wait();
      continue;
    }
    self.order_.begin(batch);
    if (!self.queues_.empty()) self.signals_.work.notify_one();
    ++batch.segment->writers;
    const File& file = batch.segment->file;
    const bool settled = batch.segment->zeros.settled(batch.offset, batch.bytes);
    const Result<size_t> written = settled ? co_await file.overwrite_durable(batch.vectors, batch.offset)
                                           : co_await file.write_durable(batch.vectors, batch.offset);
    if (!written || *written != batch.bytes) batch.withdrawn = co_await self.withdraw(batch, written);
    self.complete(batch, written);
  }
}

// Compaction has nowhere to go on: it ends, and is begun again when there is room for it.
void Shard::refuse_blocked_moves() {
  while (!queues_.moves.empty()) finish_op(context_.env(), queues_.moves.pop(), Error(BlobError::full));
}

// What is moved goes out by itself; else what is queued, erases first, up to one batch of one segment.
Shard::Built Shard::build(Batch& batch) {
  batch.ops.clear();
  batch.segment = nullptr;
  uint64_t payload_bytes = 0;
  collect(batch, {&queues_.moves}, {.entries = kBatchEntriesMax, .bytes = kBatchPayloadBytesMax},
          payload_bytes);
  if (batch.ops.empty()) {
    batch.segment = nullptr;
    collect(batch, {&queues_.erases, &queues_.puts}, share_of_queue(), payload_bytes);
  }
  if (batch.ops.empty()) return Built::nothing;
  batch.bytes = descriptor_bytes_for(batch.ops.size()) + payload_bytes;
  finish_batch_layout(batch);
  return Built::batch;
}

void Shard::collect(Batch& batch, std::initializer_list<WriteQueue*> queues, Share share,
                    uint64_t& payload_bytes) {
  uint64_t room = 0;
  uint64_t puts = 0;
  WriteOp* deferred = nullptr;
  bool full = false;
  for (WriteQueue* queue : queues) {
    if (queue == &queues_.puts && batch.segment != nullptr && !table_.puts_allowed()) break;
    while (!full && !queue->empty() && batch.ops.size() < kBatchEntriesMax) {
      WriteOp& op = *queue->front();
      const BatchEntries::Admission admission = entries_.admit(op);
      if (admission == BatchEntries::Admission::include) {
        if (batch.segment == nullptr) {
          batch.segment = chooser_.segment_for(op);
          if (batch.segment == nullptr) break;  // puts may lack the space that erases have
          room = zeroer_.limit_of(*batch.segment) - batch.segment->end;
        }
        full = !add_to_batch(batch, op, room, payload_bytes);
        if (full) break;
        queue->pop();
        // Erases take no space but in the descriptor, of which there is a block in any case.
        puts += queue != &queues_.erases;
        full = puts >= share.entries || payload_bytes >= share.bytes;
        continue;
      }
      queue->pop();
      if (admission == BatchEntries::Admission::done) {
        finish_op(context_.env(), op, op.error);
      } else {
        op.next = deferred;
        deferred = &op;
      }
    }
  }
  while (deferred != nullptr) {
    WriteOp& op = *deferred;
    deferred = op.next;
    queues_.of(op).push_front(op);
  }
}

bool Shard::add_to_batch(Batch& batch, WriteOp& op, uint64_t room, uint64_t& payload_bytes) {
  const uint64_t bytes = payload_bytes + op.stored();
  const uint64_t total = descriptor_bytes_for(batch.ops.size() + 1) + bytes;
  if (total > room || bytes > kBatchPayloadBytesMax) return false;
  batch.ops.push_back(&op);
  payload_bytes = bytes;
  entries_.begin(op, *batch.segment);
  return true;
}

void Shard::finish_batch_layout(Batch& batch) {
  Segment& segment = *batch.segment;
  const size_t descriptor_bytes = descriptor_bytes_for(batch.ops.size());
  const auto descriptor = batch.descriptor.span(0, descriptor_bytes);
  DescriptorEntry* entries = descriptor_entries(descriptor);
  batch.offset = segment.end;
  const uint64_t durable = order_.durable_sequence();
  batch.sequence = order_.take_sequence();
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
  finish_descriptor(context_.place_of(segment, batch.offset), batch.sequence, durable, batch.ops.size(),
                    batch.bytes, descriptor);
  segment.end += batch.bytes;
  segment.written_at = table_.clock_bytes();
  note_payloads(batch);
  if (batch.vectors.size() == 1 && !batch.ops.front()->move) last_erases_ = context_.env().now();
  // Full up: compaction may have it.
  if (segment.end + kBlockBytes > context_.segment_bytes()) table_.seal_if_active(segment);
  signals_.zero.notify_all();
}

void Shard::note_payloads(const Batch& batch) {
  if (batch.ops.front()->move) return;
  table_.advance_clock(batch.bytes);
  uint64_t large = 0;
  for (const WriteOp* op : batch.ops) {
    if (op->stored() >= kLargePayloadBytes) large += op->stored();
  }
  zeroer_.note_batch(batch.bytes, large);
}

// After a failed write any part of the batch may be on the medium: its descriptor without the payloads, or
// all of it, though its puts are answered with an error. So the descriptor is wiped, durably, while the batch
// still counts as in flight: nothing says before that it has ended, and recovery, if it comes to that, looks
// at the payloads and drops the batch. Nothing more goes into the segment. False if it could not be wiped.
Task<bool> Shard::withdraw(Batch& batch, const Result<size_t>& written) {
  Segment& segment = *batch.segment;
  context_.log(fmt::format("write of a batch failed: {}", written ? "short" : written.error().to_string()));
  ++context_.stats().write_errors;
  table_.seal_if_active(segment, true);
  if (!FB_SAFEGUARD(withdraw_failed_batch)) co_return true;
  if (co_await wiper_.wipe(segment, batch.offset, kWipeAttempts)) co_return true;
  context_.log(fmt::format("segment {}: the descriptor at {} of a batch that failed cannot be wiped yet",
                           segment.number, batch.offset));
  if (!FB_SAFEGUARD(doubt_unwiped_batch)) co_return true;
  order_.doubt(
      {.segment = &segment, .sequence = batch.sequence, .offset = batch.offset, .bytes = batch.bytes});
  signals_.wipe.notify_all();
  co_return false;
}

void Shard::complete(Batch& batch, const Result<size_t>& written) {
  order_.end(batch);
  --batch.segment->writers;
  if (written && *written == batch.bytes) {
    complete_ops(batch);
  } else {
    fail_ops(batch, written);
  }
  signals_.work.notify_all();
  if (space_.blocked()) signals_.prepare.notify_all();  // it may be a victim now
  checkpointer_.note_written(batch.bytes);
}

void Shard::complete_ops(const Batch& batch) {
  ++context_.stats().batches;
  context_.stats().batch_bytes += batch.bytes;
  for (WriteOp* op : batch.ops) {
    entries_.complete(batch, *op);
    finish_op(context_.env(), *op, std::nullopt);
  }
}

// The batch may be on disk all the same, where it could not be wiped or the wipe was lost: erases write
// tombstones even for what the index does not know, and none are dropped that might hide it.
void Shard::fail_ops(const Batch& batch, const Result<size_t>& written) {
  const bool no_space = written.has_value() || written.error().is(IoError::no_space);
  const BlobError code = !batch.withdrawn ? BlobError::outcome_unknown
                         : no_space       ? BlobError::full
                                          : BlobError::unavailable;
  const Error error(code, written ? 0 : written.error().os_errno());
  order_.note_uncertain();
  batch.segment->moved_out = true;
  for (WriteOp* op : batch.ops) {
    entries_.fail(*op);
    finish_op(context_.env(), *op, error);
  }
}

void Shard::refuse_all() {
  for (WriteQueue* queue : {&queues_.puts, &queues_.erases, &queues_.moves}) {
    while (!queue->empty()) finish_op(context_.env(), queue->pop(), Error(BlobError::unavailable));
  }
}

// A put that no batch has taken by its deadline, because the disk stands still or there is no space, is given
// up: it is surely not done. One in a batch is waited for, since the kernel has its memory.
Task<void> Shard::run_expirer(Shard& self) {
  while (!self.context_.stopping()) {
    if (self.queues_.puts.empty()) co_await self.signals_.expire.wait();
    (void)co_await self.context_.sleep(kExpiryTick);
    WriteOp* op = self.queues_.puts.take_expired(self.context_.env().now());
    while (op != nullptr) {
      WriteOp& expired = *op;
      op = expired.next;
      finish_op(self.context_.env(), expired, Error(BlobError::timed_out));
    }
  }
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

}  // namespace fb::bss
