// SPDX-License-Identifier: Apache-2.0
#include "io/sim/fibre.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/assert.h"
#include "base/units.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FB_FIBRE_ASAN 1
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#define FB_FIBRE_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#endif

#if !defined(__x86_64__)
#error "the simulator's fibres have no switch for this processor yet"
#endif

// Saves the callee-saved registers and goes on at `to`. swapcontext() would do the same, but with two system
// calls for the signal mask, which here is the same everywhere.
extern "C" void fb_sim_switch_stack(void** from, void* to);
extern "C" void fb_sim_enter_fibre();
asm(R"(
  .text
  .p2align 4
  .hidden fb_sim_switch_stack
  .globl fb_sim_switch_stack
  .type fb_sim_switch_stack, @function
fb_sim_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
  .size fb_sim_switch_stack, .-fb_sim_switch_stack

  .p2align 4
  .hidden fb_sim_enter_fibre
  .globl fb_sim_enter_fibre
  .type fb_sim_enter_fibre, @function
fb_sim_enter_fibre:
  movq %r12, %rdi
  callq *%r13
  ud2
  .size fb_sim_enter_fibre, .-fb_sim_enter_fibre
)");

namespace fb::sim {
namespace {

constexpr size_t kStackBytes = 2 * kMiB;  // only touched pages take memory
constexpr size_t kGuardBytes = 4 * kKiB;

}  // namespace

Fibre::Fibre() {
  void* const memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FB_ASSERT(memory != MAP_FAILED);
  FB_ASSERT(mprotect(memory, kGuardBytes, PROT_NONE) == 0);
  memory_ = static_cast<std::byte*>(memory);
  // The stack as fb_sim_switch_stack would have left it: r15, r14, r13, r12, rbx, rbp, return address. The
  // stack is aligned when fb_sim_enter_fibre calls; rbp 0 ends every walk over frames.
  auto* const top = reinterpret_cast<uint64_t*>(memory_ + kGuardBytes + kStackBytes);
  top[-1] = reinterpret_cast<uint64_t>(&fb_sim_enter_fibre);
  top[-2] = 0;
  top[-4] = reinterpret_cast<uint64_t>(this);
  top[-5] = reinterpret_cast<uint64_t>(&Fibre::main);
  inside_ = top - 7;
#if defined(FB_FIBRE_TSAN)
  inside_tsan_ = __tsan_create_fiber(0);
#endif
}

Fibre::~Fibre() {
  FB_ASSERT(idle());
  enter();  // without work: the fibre ends
#if defined(FB_FIBRE_TSAN)
  __tsan_destroy_fiber(inside_tsan_);
#endif
  munmap(memory_, kGuardBytes + kStackBytes);
}

void Fibre::start(Work work, void* argument) {
  FB_ASSERT(idle());
  work_ = work;
  argument_ = argument;
  enter();
}

void Fibre::go_on() {
  FB_ASSERT(!idle());
  enter();
}

void Fibre::leave() { switch_out(false); }

void Fibre::enter() {
#if defined(FB_FIBRE_ASAN)
  __sanitizer_start_switch_fiber(&outside_fake_stack_, memory_ + kGuardBytes, kStackBytes);
#endif
#if defined(FB_FIBRE_TSAN)
  outside_tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(inside_tsan_, 0);
#endif
  fb_sim_switch_stack(&outside_, inside_);
#if defined(FB_FIBRE_ASAN)
  __sanitizer_finish_switch_fiber(outside_fake_stack_, nullptr, nullptr);
#endif
}

void Fibre::switch_out([[maybe_unused]] bool for_good) {
#if defined(FB_FIBRE_ASAN)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &inside_fake_stack_, outside_bottom_, outside_bytes_);
#endif
#if defined(FB_FIBRE_TSAN)
  __tsan_switch_to_fiber(outside_tsan_, 0);
#endif
  fb_sim_switch_stack(&inside_, outside_);
#if defined(FB_FIBRE_ASAN)
  __sanitizer_finish_switch_fiber(inside_fake_stack_, &outside_bottom_, &outside_bytes_);
#endif
}

void Fibre::main(Fibre* self) {
#if defined(FB_FIBRE_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &self->outside_bottom_, &self->outside_bytes_);
#endif
  while (self->work_ != nullptr) {
    self->work_(self->argument_);
    self->work_ = nullptr;
    self->switch_out(false);
  }
  self->switch_out(true);
  FB_UNREACHABLE();
}

}  // namespace fb::sim
