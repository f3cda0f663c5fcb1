// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "base/time.h"

namespace fb {

// A pending call at a point in time. Intrusive: lives in the waiter; must be stopped or fired before it is
// destroyed.
class Timer {
 public:
  using Function = void (*)(Timer&);
  explicit Timer(Function function) : function_(function) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { FB_ASSERT(!armed()); }
  bool armed() const { return index_ != kNotArmed; }
  Instant deadline() const { return deadline_; }

 private:
  friend class TimerQueue;
  static constexpr size_t kNotArmed = SIZE_MAX;
  Function function_;
  Instant deadline_;
  uint64_t sequence_ = 0;  // equal deadlines fire in the order they were armed
  size_t index_ = kNotArmed;
};

// A binary heap of timers, one a core; every environment drives its own. No allocation per timer in steady
// state.
class TimerQueue {
 public:
  void arm(Timer& timer, Instant deadline);
  void stop(Timer& timer);
  // The earliest deadline, or Instant::never().
  Instant next() const { return heap_.empty() ? Instant::never() : heap_.front()->deadline_; }
  // Fires every timer due at `now`; returns how many.
  size_t fire(Instant now);
  size_t size() const { return heap_.size(); }
  // Forgets every timer without firing it: only while a simulated process is torn down.
  void abandon();

 private:
  bool before(const Timer& a, const Timer& b) const;
  void place(size_t index, Timer* timer);
  void sift_up(size_t index);
  void sift_down(size_t index);

  std::vector<Timer*> heap_;
  uint64_t sequence_ = 0;
};

}  // namespace fb
