// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "base/assert.h"
#include "bss/shard.h"
#include "io/error.h"

namespace fb::bss {

// Keeps one free segment beyond the reserve, and refuses what waits for space that cannot be had.
Task<void> Shard::run_preparer(Shard& self) {
  while (!self.context_.stopping()) {
    if (self.space_.used() && self.table_.free_count() <= kReservedSegments && self.space_.may_create()) {
      const Result<void> created = co_await self.maker_.create();
      self.space_.note_creation(created);
      if (!created) {
        self.context_.log(fmt::format("no new segment: {}", created.error().to_string()));
        self.signals_.compact.notify_all();
      }
      self.signals_.work.notify_all();
      continue;
    }
    if (self.space_.blocked() && self.space_.is_short()) {
      if (!self.queues_.moves.empty() && !self.chooser_.has_place(*self.queues_.moves.front())) {
        self.refuse_blocked_moves();
      } else if (self.compactor_.may_help()) {
        self.signals_.compact.notify_all();
      } else if (!self.queues_.puts.empty() &&
                 self.chooser_.give_moves_segment_to(*self.queues_.puts.front())) {
        self.signals_.work.notify_all();
      } else if (self.order_.in_flight() == 0) {
        self.refuse_blocked();
      }
    }
    co_await self.signals_.prepare.wait();
  }
}

// Compaction has nowhere to go on: it ends, and is begun again when there is room for it.
void Shard::refuse_blocked_moves() {
  while (!queues_.moves.empty()) finish_op(context_.env(), queues_.moves.pop(), Error(BlobError::full));
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
