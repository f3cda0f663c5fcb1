// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

namespace fb {

// Coroutines to resume, first in first out: a ring that grows by doubling and then allocates no more.
class ReadyQueue {
 public:
  ReadyQueue() : slots_(kSlotsAtStart) {}
  bool empty() const { return head_ == tail_; }
  size_t size() const { return tail_ - head_; }

  void push(std::coroutine_handle<> handle) {
    if (size() == slots_.size()) [[unlikely]]
      grow();
    slots_[tail_++ & (slots_.size() - 1)] = handle;
  }
  std::coroutine_handle<> pop() { return slots_[head_++ & (slots_.size() - 1)]; }

 private:
  static constexpr size_t kSlotsAtStart = 1024;  // a power of two, as are its doublings
  [[gnu::noinline]] void grow() {
    std::vector<std::coroutine_handle<>> larger(slots_.size() * 2);
    for (size_t index = head_; index != tail_; ++index) {
      larger[index & (larger.size() - 1)] = slots_[index & (slots_.size() - 1)];
    }
    slots_.swap(larger);
  }

  std::vector<std::coroutine_handle<>> slots_;
  size_t head_ = 0;
  size_t tail_ = 0;
};

}  // namespace fb
