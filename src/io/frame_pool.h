// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace fb {

// Memory for coroutine frames: free lists by size class, one set a thread, so that awaiting a Task costs no
// malloc. A frame must be freed on the thread that made it. Sanitizer builds pass straight to malloc so that
// they see every use after free. Sizes beyond kFrameSizeMax go to malloc.
inline constexpr size_t kFrameSizeMax = 16 * 1024;

void* allocate_frame(size_t size);
void free_frame(void* frame, size_t size) noexcept;

// Frames that had to come from malloc since the process began, on this thread; a steady state adds none.
uint64_t frame_mallocs_on_this_thread();

}  // namespace fb
