// SPDX-License-Identifier: Apache-2.0
#include "io/timer_queue.h"

#include <utility>

namespace fb {

bool TimerQueue::before(const Timer& a, const Timer& b) const {
  return a.deadline_ != b.deadline_ ? a.deadline_ < b.deadline_ : a.sequence_ < b.sequence_;
}

void TimerQueue::place(size_t index, Timer* timer) {
  heap_[index] = timer;
  timer->index_ = index;
}

void TimerQueue::sift_up(size_t index) {
  Timer* timer = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!before(*timer, *heap_[parent])) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, timer);
}

void TimerQueue::sift_down(size_t index) {
  Timer* timer = heap_[index];
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], *timer)) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, timer);
}

void TimerQueue::arm(Timer& timer, Instant deadline) {
  FB_ASSERT(!timer.armed());
  timer.deadline_ = deadline;
  timer.sequence_ = sequence_++;
  heap_.push_back(&timer);
  timer.index_ = heap_.size() - 1;
  sift_up(timer.index_);
}

void TimerQueue::stop(Timer& timer) {
  if (!timer.armed()) return;
  const size_t index = timer.index_;
  FB_ASSERT(index < heap_.size() && heap_[index] == &timer, index, heap_.size());
  Timer* last = heap_.back();
  heap_.pop_back();
  timer.index_ = Timer::kNotArmed;
  if (last == &timer) return;
  place(index, last);
  sift_down(index);
  sift_up(last->index_);
}

size_t TimerQueue::fire(Instant now) {
  size_t count = 0;
  while (!heap_.empty() && heap_.front()->deadline_ <= now) {
    Timer& timer = *heap_.front();
    stop(timer);
    timer.function_(timer);
    ++count;
  }
  return count;
}

void TimerQueue::abandon() {
  for (Timer* timer : heap_) timer->index_ = Timer::kNotArmed;
  heap_.clear();
}

}  // namespace fb
