// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fb {

// Calls of operator new on this thread since it began, and coroutine frames that came from malloc: what a
// request costs the allocator. Always 0 in sanitizer builds, which bring an allocator of their own.
uint64_t allocations_on_this_thread();

}  // namespace fb
