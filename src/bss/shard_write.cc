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

bool Shard::may_write() const {
  if (gathering_erases_ && builder_.only_few_erases()) return false;
  return builder_.may_build();
}

// Each writer has one batch in flight at a time.
Task<void> Shard::run_writer(Shard& self) {
  Batch batch;
  batch.descriptor = co_await self.context_.pool().allocate(kDescriptorBytesMax);
  batch.ops.reserve(kBatchEntriesMax);
  batch.vectors.reserve(kBatchVectorsMax);
  for (;;) {
    const Instant gathered = self.builder_.gathered_at();
    if (self.builder_.only_few_erases() && !self.gathering_erases_ && !self.context_.stopping() &&
        self.context_.env().now() < gathered) {
      self.gathering_erases_ = true;
      (void)co_await self.context_.sleep_until(gathered);
      self.gathering_erases_ = false;
    }
    if (!self.may_write() || !self.builder_.build(batch)) {
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
