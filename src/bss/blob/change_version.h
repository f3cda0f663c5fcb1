// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "io/env.h"

namespace fb::bss {

// Tells a core that reads what another one, the owner, may be changing, whether it has changed meanwhile (a
// sequence lock): odd while it does. What it guards is read and written by relaxed atomics, and what was read
// means nothing until unchanged() has said so.
class ChangeVersion {
 public:
  // The owner changes something as long as it lives. `owner` null: the simulator never leaves it in between.
  class Change {
   public:
    Change(ChangeVersion& version, Env* owner) : value_(version.value_), owner_(owner) {
      value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_release);
    }
    Change(const Change&) = delete;
    ~Change() {
      if (owner_ != nullptr) owner_->point("index changed");
      value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

   private:
    std::atomic<uint32_t>& value_;
    Env* owner_;
  };

  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  static bool changing(uint32_t value) { return value % 2 != 0; }
  bool unchanged(uint32_t since) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return value_.load(std::memory_order_relaxed) == since;
  }

 private:
  std::atomic<uint32_t> value_{0};
};

// The words of what a ChangeVersion guards: what others read is written by put_word, and read by look_word.
template <class Word>
void put_word(Word& word, Word value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<Word>(word).store(value, order);
}
template <class Word>
Word look_word(const Word& word, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<Word>(const_cast<Word&>(word)).load(order);
}

}  // namespace fb::bss
