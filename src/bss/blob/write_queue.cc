// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/write_queue.h"

#include "base/assert.h"

namespace fb::bss {

void finish_op(Env& env, WriteOp& op, std::optional<Error> error) {
  op.error = error;
  WriteGroup& group = *op.group;
  FB_ASSERT(group.remaining > 0);
  if (--group.remaining == 0 && group.waiter) env.schedule(group.waiter);
}

void WriteQueue::push(WriteOp& op) {
  op.next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = &op;
  last_ = &op;
  count(op);
}

void WriteQueue::push_front(WriteOp& op) {
  op.next = first_;
  if (first_ == nullptr) last_ = &op;
  first_ = &op;
  count(op);
}

WriteOp& WriteQueue::pop() {
  FB_ASSERT(first_ != nullptr);
  WriteOp& op = *first_;
  first_ = op.next;
  FB_ASSERT(size_ > 0 && stored_ >= op.stored(), size_, stored_);
  --size_;
  stored_ -= op.stored();
  return op;
}

WriteOp* WriteQueue::take_expired(Instant now) {
  WriteQueue rest;
  WriteOp* expired = nullptr;
  while (!empty()) {
    WriteOp& op = pop();
    if (op.deadline > now) {
      rest.push(op);
    } else {
      op.next = expired;
      expired = &op;
    }
  }
  *this = rest;
  return expired;
}

}  // namespace fb::bss
