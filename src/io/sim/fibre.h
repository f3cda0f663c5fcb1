// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace fb::sim {

// A stack of its own for work that may be left in the middle and gone on with later. One thread; the caller
// gets control back when the work ends or leaves. Fibres may be entered from one another.
//
//     fibre.start(&work, argument);      // until work has ended, or has called fibre.leave()
//     while (!fibre.idle()) fibre.go_on();
//     fibre.start(&other_work, argument);
//
// Each has a guard page below its stack. AddressSanitizer and ThreadSanitizer are told of every switch.
class Fibre {
 public:
  using Work = void (*)(void*);

  Fibre();
  ~Fibre();  // must be idle: the stack is not unwound
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  void start(Work work, void* argument);
  void go_on();
  // From inside the work.
  void leave();
  // The last work has ended.
  bool idle() const { return work_ == nullptr; }

 private:
  static void main(Fibre* self);
  void enter();
  void switch_out(bool for_good);

  std::byte* memory_;  // the guard page and the stack
  void* inside_ = nullptr;
  void* outside_ = nullptr;
  Work work_ = nullptr;
  void* argument_ = nullptr;
  // For the sanitizers.
  void* inside_fake_stack_ = nullptr;
  void* outside_fake_stack_ = nullptr;
  const void* outside_bottom_ = nullptr;
  size_t outside_bytes_ = 0;
  void* inside_tsan_ = nullptr;
  void* outside_tsan_ = nullptr;
};

}  // namespace fb::sim
