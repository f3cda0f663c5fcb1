// SPDX-License-Identifier: Apache-2.0
#include "io/sync.h"

namespace fb {

namespace detail {
void WaitList::push(WaitNode& node) {
  node.next = nullptr;
  if (last_ == nullptr) {
    first_ = &node;
  } else {
    last_->next = &node;
  }
  last_ = &node;
}

WaitNode* WaitList::pop() {
  WaitNode* node = first_;
  if (node == nullptr) return nullptr;
  first_ = node->next;
  if (first_ == nullptr) last_ = nullptr;
  return node;
}
}  // namespace detail

void Notification::notify_all() {
  // This call does not wake waiters that begin to wait from now on.
  detail::WaitList woken = std::exchange(waiters_, {});
  while (detail::WaitNode* node = woken.pop()) env_.schedule(node->handle);
}

void Notification::notify_one() {
  if (detail::WaitNode* node = waiters_.pop()) env_.schedule(node->handle);
}

Semaphore::Units Semaphore::try_acquire(uint64_t count) {
  if (!waiters_.empty() || available_ < count) return {};
  available_ -= count;
  return Units(*this, count);
}

void Semaphore::release(uint64_t count) {
  available_ += count;
  while (!waiters_.empty()) {
    auto* waiter = static_cast<Awaiter*>(waiters_.front());
    if (available_ < waiter->count) return;  // the first in line keeps its place
    available_ -= waiter->count;
    waiters_.pop();
    env_.schedule(waiter->handle);
  }
}

}  // namespace fb
