// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <utility>

namespace fb {

// Many senders, one receiver, intrusive by T::next, without locks. One word tells the whole state: null
// (awake, empty), the asleep mark (the receiver is about to wait, or waits, in the kernel), or the newest
// message of a chain. So only the sender whose message replaces the mark has to wake the receiver, and the
// receiver takes whole batches.
//
// After push() the sender touches neither the message nor its holder: the receiver may have freed both.
template <class T>
class Mailbox {
 public:
  // True if the receiver sleeps and this caller has to wake it.
  bool push(T& message) {
    T* seen = newest_.load(std::memory_order_relaxed);
    do {
      message.next = seen == asleep() ? nullptr : seen;
    } while (
        !newest_.compare_exchange_weak(seen, &message, std::memory_order_release, std::memory_order_relaxed));
    return seen == asleep();
  }

  // Everything sent so far, oldest first, chained by `next`; also ends sleep.
  T* take_all() {
    T* seen = newest_.load(std::memory_order_relaxed);
    if (seen == nullptr) return nullptr;
    seen = newest_.exchange(nullptr, std::memory_order_acquire);
    if (seen == asleep()) return nullptr;
    T* oldest = nullptr;
    while (seen != nullptr) {
      T* next = seen->next;
      seen->next = oldest;
      oldest = seen;
      seen = next;
    }
    return oldest;
  }

  // False if messages wait, and the receiver must not sleep.
  bool sleep() {
    T* seen = nullptr;
    return newest_.compare_exchange_strong(seen, asleep(), std::memory_order_relaxed);
  }

 private:
  T* asleep() { return reinterpret_cast<T*>(this); }  // no message has this address

  std::atomic<T*> newest_ = nullptr;
};

}  // namespace fb
