// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_builder.h"

#include <algorithm>

#include "base/assert.h"

namespace fb::bss {
namespace {

static_assert(kBatchVectorsMax <= kWriteVectorsMax);
constexpr size_t kSmallBatchesAtOnce = 2;
constexpr uint64_t kShareEntriesMin = 16;
// If space is scarce: each descriptor is a block that compaction makes room for.
constexpr uint64_t kShareEntriesScarce = 32;
// A batch of a few erases takes a block: if they keep coming, one batch in so long takes those of that time.
constexpr Duration kEraseGather = Duration::milliseconds(2);
constexpr Duration kEraseGatherScarce = Duration::milliseconds(10);  // if space is scarce
constexpr uint64_t kLargePayloadBytes = 128 * kKiB;

}  // namespace

// A batch with so much is worth its descriptor.
BatchBuilder::Share BatchBuilder::share_min() const {
  const uint64_t entries = space_.is_scarce() ? kShareEntriesScarce : kShareEntriesMin;
  return {.entries = entries, .bytes = entries * kBlockBytes};
}

bool BatchBuilder::only_few_erases() const {
  return !queues_.erases.empty() && queues_.erases.size() < share_min().entries && queues_.puts.empty() &&
         queues_.moves.empty();
}

Instant BatchBuilder::gathered_at() const {
  return last_erases_ + (space_.is_scarce() ? kEraseGatherScarce : kEraseGather);
}

bool BatchBuilder::may_build() const {
  if (!order_.may_begin()) return false;
  if (order_.in_flight() < (space_.is_scarce() ? 1 : kSmallBatchesAtOnce)) return true;
  const Share least = share_min();
  return queues_.puts.stored() + queues_.moves.stored() >= least.bytes ||
         queues_.puts.size() + queues_.moves.size() + queues_.erases.size() >= least.entries;
}

// One batch takes no more of the queue than leaves something to the other writers that are idle: the drive
// and this core then work on several batches side by side. Not less than is worth a descriptor and a write.
BatchBuilder::Share BatchBuilder::share_of_queue() const {
  FB_ASSERT(order_.in_flight() < context_.options().writes_in_flight, order_.in_flight());
  const uint64_t idle = context_.options().writes_in_flight - order_.in_flight();
  const uint64_t entries = queues_.puts.size();
  const uint64_t bytes = queues_.puts.stored();
  const Share least = share_min();
  return {.entries = std::max((entries + idle - 1) / idle, least.entries),
          .bytes = std::max((bytes + idle - 1) / idle, least.bytes)};
}

bool BatchBuilder::build(Batch& batch) {
  batch.ops.clear();
  uint64_t payload_bytes =
      collect(batch, {&queues_.moves}, {.entries = kBatchEntriesMax, .bytes = kBatchPayloadBytesMax});
  if (batch.ops.empty()) payload_bytes = collect(batch, {&queues_.erases, &queues_.puts}, share_of_queue());
  if (batch.ops.empty()) return false;
  batch.bytes = descriptor_bytes_for(batch.ops.size()) + payload_bytes;
  lay_out(batch);
  return true;
}

// Bytes of the payloads that were taken.
uint64_t BatchBuilder::collect(Batch& batch, std::initializer_list<WriteQueue*> queues, Share share) {
  FB_ASSERT(batch.ops.empty(), batch.ops.size());
  batch.segment = nullptr;
  Collected collected{.share = share};
  for (WriteQueue* queue : queues) {
    if (queue == &queues_.puts && batch.segment != nullptr && !table_.puts_allowed()) break;
    collect_from(*queue, batch, collected);
  }
  while (collected.deferred != nullptr) {
    WriteOp& op = *collected.deferred;
    collected.deferred = op.next;
    queues_.of(op).push_front(op);
  }
  return collected.payload_bytes;
}

void BatchBuilder::collect_from(WriteQueue& queue, Batch& batch, Collected& collected) {
  while (!collected.full && !queue.empty() && batch.ops.size() < kBatchEntriesMax) {
    WriteOp& op = *queue.front();
    switch (entries_.admit(op)) {
      case BatchEntries::Admission::include:
        if (batch.segment == nullptr) {
          batch.segment = chooser_.segment_for(op);
          if (batch.segment == nullptr) return;  // puts may lack the space that erases have
          collected.room = zeroer_.limit_of(*batch.segment) - batch.segment->end;
        }
        collected.full = !include(batch, op, collected);
        if (collected.full) return;
        queue.pop();
        // Erases take no space but in the descriptor, of which there is a block in any case.
        collected.puts += &queue != &queues_.erases;
        collected.full =
            collected.puts >= collected.share.entries || collected.payload_bytes >= collected.share.bytes;
        break;
      case BatchEntries::Admission::done:
        queue.pop();
        finish_op(context_.env(), op, op.error);
        break;
      case BatchEntries::Admission::defer:
        queue.pop();
        op.next = collected.deferred;
        collected.deferred = &op;
        break;
    }
  }
}

// False: it does not fit any more.
bool BatchBuilder::include(Batch& batch, WriteOp& op, Collected& collected) {
  const uint64_t bytes = collected.payload_bytes + op.stored();
  const uint64_t total = descriptor_bytes_for(batch.ops.size() + 1) + bytes;
  if (total > collected.room || bytes > kBatchPayloadBytesMax) return false;
  batch.ops.push_back(&op);
  collected.payload_bytes = bytes;
  entries_.begin(op, *batch.segment);
  return true;
}

void BatchBuilder::lay_out(Batch& batch) {
  Segment& segment = *batch.segment;
  FB_ASSERT(segment.state == Segment::State::active, segment.state);
  const auto descriptor = batch.descriptor.span(0, descriptor_bytes_for(batch.ops.size()));
  batch.offset = segment.end;
  const uint64_t durable = order_.durable_sequence();
  batch.sequence = order_.take_sequence();
  lay_out_entries(batch, descriptor);
  finish_descriptor(context_.place_of(segment, batch.offset), batch.sequence, durable, batch.ops.size(),
                    batch.bytes, descriptor);
  segment.end += batch.bytes;
  FB_ASSERT(segment.end <= context_.segment_bytes(), segment.end);
  segment.written_at = table_.clock_bytes();
  note_payloads(batch);
  if (batch.vectors.size() == 1 && !batch.ops.front()->move) last_erases_ = context_.env().now();
  // Full up: compaction may have it.
  if (segment.end + kBlockBytes > context_.segment_bytes()) table_.seal_if_active(segment);
  signals_.zero.notify_all();
}

void BatchBuilder::lay_out_entries(Batch& batch, std::span<std::byte> descriptor) {
  DescriptorEntry* entries = descriptor_entries(descriptor);
  batch.vectors.clear();
  batch.vectors.push_back({descriptor.data(), descriptor.size()});
  uint64_t at = descriptor.size();
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
    op.place = IndexEntry::make_place(batch.segment->number, batch.offset + at, op.length);
    batch.vectors.push_back({op.data, payload_bytes(op.length)});
    if (op.has_own_table()) batch.vectors.push_back({op.table, kBlockBytes});
    at += op.stored();
  }
  FB_ASSERT(at == batch.bytes, at, batch.bytes);
}

void BatchBuilder::note_payloads(const Batch& batch) {
  if (batch.ops.front()->move) return;
  table_.advance_clock(batch.bytes);
  uint64_t large = 0;
  for (const WriteOp* op : batch.ops) {
    if (op->stored() >= kLargePayloadBytes) large += op->stored();
  }
  zeroer_.note_batch(batch.bytes, large);
}

}  // namespace fb::bss
