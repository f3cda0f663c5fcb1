// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_writer.h"

#include <fmt/core.h>

#include <optional>

#include "base/assert.h"
#include "base/safeguard.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr int kWipeAttempts = 3;  // of a failed batch's descriptor, before its puts are answered
constexpr Duration kExpiryTick = Duration::milliseconds(100);  // by so much a deadline may be overrun

}  // namespace

void BatchWriter::submit(WriteOp& op) {
  FB_ASSERT(op.group != nullptr);
  if (!context_.takes_calls()) return finish_op(context_.env(), op, Error(BlobError::unavailable));
  queues_.of(op).push(op);
  space_.set_used();
  signals_.work.notify_one();
  if (space_.blocked() || order_.in_flight() >= context_.options().writes_in_flight)
    signals_.expire.notify_one();
}

bool BatchWriter::may_write() const {
  if (gathering_erases_ && builder_.only_few_erases()) return false;
  return builder_.may_build();
}

bool BatchWriter::wants_to_gather() const {
  return builder_.only_few_erases() && !gathering_erases_ && !context_.stopping() &&
         context_.env().now() < builder_.gathered_at();
}

Task<void> BatchWriter::gather_erases() {
  FB_ASSERT(!gathering_erases_);
  gathering_erases_ = true;
  (void)co_await context_.sleep_until(builder_.gathered_at());
  gathering_erases_ = false;
}

Task<void> BatchWriter::run(BatchWriter& self) {
  Batch batch;
  batch.descriptor = co_await self.context_.pool().allocate(kDescriptorBytesMax);
  batch.ops.reserve(kBatchEntriesMax);
  batch.vectors.reserve(kBatchVectorsMax);
  for (;;) {
    if (self.wants_to_gather()) co_await self.gather_erases();
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

// After a failed write any part of the batch may be on the medium: its descriptor without the payloads, or
// all of it, though its puts are answered with an error. So the descriptor is wiped, durably, while the batch
// still counts as in flight: nothing says before that it has ended, and recovery, if it comes to that, looks
// at the payloads and drops the batch. Nothing more goes into the segment. False if it could not be wiped.
Task<bool> BatchWriter::withdraw(Batch& batch, const Result<size_t>& written) {
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

void BatchWriter::complete(Batch& batch, const Result<size_t>& written) {
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

void BatchWriter::complete_ops(const Batch& batch) {
  ++context_.stats().batches;
  context_.stats().batch_bytes += batch.bytes;
  for (WriteOp* op : batch.ops) {
    entries_.complete(batch, *op);
    finish_op(context_.env(), *op, std::nullopt);
  }
}

// The batch may be on disk all the same, if it could not be wiped or the wipe was lost: erases write
// tombstones even for what the index does not know, and none are dropped that might hide it.
void BatchWriter::fail_ops(const Batch& batch, const Result<size_t>& written) {
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

void BatchWriter::refuse_all() {
  for (WriteQueue* queue : {&queues_.puts, &queues_.erases, &queues_.moves}) {
    while (!queue->empty()) finish_op(context_.env(), queue->pop(), Error(BlobError::unavailable));
  }
}

// A put that no batch has taken by its deadline, because the disk stands still or there is no space, is given
// up: it is surely not done. One in a batch is waited for, since the kernel has its memory.
Task<void> BatchWriter::run_expirer(BatchWriter& self) {
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

}  // namespace fb::bss
