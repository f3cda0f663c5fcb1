// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/reader_epochs.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace fb::bss {

// An epoch that was read late only makes the owner wait longer.
ReaderEpochs::Looking::Looking(ReaderEpochs& epochs, unsigned core) : since_(epochs.lines_[core].since) {
  FB_ASSERT(since_.load(std::memory_order_relaxed) == kNotLooking, core);
  since_.store(epochs.epoch_.load(std::memory_order_acquire), std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

ReaderEpochs::Looking::~Looking() { since_.store(kNotLooking, std::memory_order_release); }

uint64_t ReaderEpochs::end_epoch() {
  const uint64_t ended = epoch_.fetch_add(1, std::memory_order_acq_rel);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return ended;
}

bool ReaderEpochs::passed(uint64_t epoch) const {
  return std::ranges::all_of(
      lines_, [&](const Line& line) { return line.since.load(std::memory_order_acquire) > epoch; });
}

void ReaderEpochs::retire(std::unique_ptr<std::byte[]> memory) {
  if (memory == nullptr) return;
  retired_.push_back({.epoch = end_epoch(), .memory = std::move(memory)});
  while (!retired_.empty() && passed(retired_.front().epoch)) retired_.pop_front();
}

}  // namespace fb::bss
