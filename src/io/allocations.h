// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fb {

// Calls of operator new on this thread since it began, and coroutine frames that came from malloc: the
// allocator's share of a request's cost. Always 0 in sanitizer builds, which bring an allocator of their own.
uint64_t allocations_on_this_thread();

}  // namespace fb
