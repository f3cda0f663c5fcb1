// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_preparer.h"

#include <fmt/core.h>

#include "io/error.h"

namespace fb::bss {

bool SegmentPreparer::wants_segment() const {
  return space_.used() && table_.free_count() <= kReservedSegments && space_.may_create();
}

Task<void> SegmentPreparer::make_segment() {
  const Result<void> created = co_await maker_.create();
  space_.note_creation(created);
  if (!created) {
    context_.log(fmt::format("no new segment: {}", created.error().to_string()));
    signals_.compact.notify_all();
  }
  signals_.work.notify_all();
}

Task<void> SegmentPreparer::run(SegmentPreparer& self) {
  while (!self.context_.stopping()) {
    if (self.wants_segment()) {
      co_await self.make_segment();
      continue;
    }
    if (self.space_.blocked() && self.space_.is_short()) self.help_blocked();
    co_await self.signals_.prepare.wait();
  }
}

void SegmentPreparer::help_blocked() {
  if (!queues_.moves.empty() && !chooser_.has_place(*queues_.moves.front())) {
    refuse_blocked_moves();
  } else if (compactor_.may_help()) {
    signals_.compact.notify_all();
  } else if (!queues_.puts.empty() && chooser_.give_moves_segment_to(*queues_.puts.front())) {
    signals_.work.notify_all();
  } else if (order_.in_flight() == 0) {
    refuse_blocked();
  }
}

// Compaction has nowhere to go on: it ends, and is begun again when there is room for it.
void SegmentPreparer::refuse_blocked_moves() {
  while (!queues_.moves.empty()) finish_op(context_.env(), queues_.moves.pop(), Error(BlobError::full));
}

// No segment can be had for these and none will become free by itself. That is for lack of space, unless
// something else kept one from being made.
void SegmentPreparer::refuse_blocked() {
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
  signals_.work.notify_all();  // erases may go after all, if nothing else is left to do
}

}  // namespace fb::bss
