// SPDX-License-Identifier: Apache-2.0
#include "io/frame_pool.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "base/assert.h"

namespace fb {
namespace {

constexpr size_t kClassBytes = 64;
constexpr size_t kClassCount = kFrameSizeMax / kClassBytes;

struct FreeFrame {
  FreeFrame* next;
};

struct FramePool {
  std::array<FreeFrame*, kClassCount> free{};
  uint64_t mallocs = 0;

  ~FramePool() {
    for (FreeFrame* frame : free) {
      while (frame != nullptr) std::free(std::exchange(frame, frame->next));
    }
  }
};

thread_local FramePool pool;

void* malloc_frame(size_t size) {
  ++pool.mallocs;
  void* frame = std::malloc(size);
  FB_ASSERT(frame != nullptr, size);
  return frame;
}

}  // namespace

#if defined(FB_SANITIZE)
void* allocate_frame(size_t size) { return malloc_frame(size); }
void free_frame(void* frame, size_t) noexcept { std::free(frame); }
#else
void* allocate_frame(size_t size) {
  if (size > kFrameSizeMax) return malloc_frame(size);
  const size_t index = (size - 1) / kClassBytes;
  FreeFrame* frame = pool.free[index];
  if (frame == nullptr) return malloc_frame((index + 1) * kClassBytes);
  pool.free[index] = frame->next;
  return frame;
}

void free_frame(void* memory, size_t size) noexcept {
  if (size > kFrameSizeMax) return std::free(memory);
  const size_t index = (size - 1) / kClassBytes;
  FreeFrame* frame = static_cast<FreeFrame*>(memory);
  frame->next = pool.free[index];
  pool.free[index] = frame;
}
#endif

uint64_t frame_mallocs_on_this_thread() { return pool.mallocs; }

}  // namespace fb
