// SPDX-License-Identifier: Apache-2.0
#include "io/allocations.h"

#include <cstdlib>
#include <new>

#include "io/frame_pool.h"

namespace fb {
namespace {
thread_local uint64_t allocations = 0;
}  // namespace

uint64_t allocations_on_this_thread() { return allocations + frame_mallocs_on_this_thread(); }

#if !defined(FB_SANITIZE)
static void* counted_allocation(size_t size) {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
#endif

}  // namespace fb

#if !defined(FB_SANITIZE)
// Replacements of the global functions; the aligned forms keep the library's own, which call aligned_alloc.
void* operator new(size_t size) {
  void* memory = fb::counted_allocation(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return fb::counted_allocation(size); }
void* operator new[](size_t size) { return operator new(size); }
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept { return operator new(size, tag); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
#endif
