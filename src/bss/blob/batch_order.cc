// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_order.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace fb::bss {

uint64_t BatchOrder::ended_sequence() const {
  uint64_t oldest = next_sequence_;
  for (const Batch* batch : in_flight_) oldest = std::min(oldest, batch->sequence);
  return oldest - 1;
}

uint64_t BatchOrder::durable_sequence() const {
  uint64_t durable = ended_sequence();
  for (const EndedBatch& batch : doubted_) durable = std::min(durable, batch.sequence - 1);
  return durable;
}

void BatchOrder::end(const Batch& batch) {
  const size_t erased = std::erase(in_flight_, &batch);
  FB_ASSERT(erased == 1, erased, batch.sequence);
  ended_ahead_.push_back(
      {.segment = batch.segment, .sequence = batch.sequence, .offset = batch.offset, .bytes = batch.bytes});
  std::erase_if(ended_ahead_, [ended_to = ended_sequence()](const EndedBatch& ended) {
    return ended.sequence <= ended_to;
  });
}

bool BatchOrder::may_begin() const {
  uint64_t bytes = 0;
  for (const Batch* batch : in_flight_) bytes += batch->bytes;
  for (const EndedBatch& ended : ended_ahead_) bytes += ended.bytes;
  return bytes + kBatchBytesMax <= kAheadBytesMax &&
         in_flight_.size() + ended_ahead_.size() < kAheadBatchesMax;
}

std::optional<uint64_t> BatchOrder::first_in_flight(const Segment& segment) const {
  std::optional<uint64_t> first;
  for (const Batch* batch : in_flight_) {
    if (batch->segment == &segment) first = std::min(first.value_or(batch->offset), batch->offset);
  }
  return first;
}

std::optional<uint64_t> BatchOrder::first_uncontained(const Segment& segment) const {
  std::optional<uint64_t> first = first_in_flight(segment);
  for (const EndedBatch& ended : ended_ahead_) {
    if (ended.segment == &segment) first = std::min(first.value_or(ended.offset), ended.offset);
  }
  return first;
}

bool BatchOrder::is_doubted(uint64_t sequence) const {
  return std::ranges::any_of(doubted_, [&](const EndedBatch& each) { return each.sequence == sequence; });
}

void BatchOrder::wiped(uint64_t sequence) {
  std::erase_if(doubted_, [&](const EndedBatch& each) { return each.sequence == sequence; });
}

void BatchOrder::forget_doubts(const Segment& segment) {
  std::erase_if(doubted_, [&](const EndedBatch& each) { return each.segment == &segment; });
}

std::vector<EndedBatch> BatchOrder::take_doubted() { return std::exchange(doubted_, {}); }

}  // namespace fb::bss
