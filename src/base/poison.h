// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FB_POISON 1
#endif
#endif
#if defined(FB_POISON)
#include <sanitizer/asan_interface.h>
#endif

// Memory that a pool keeps for its next user belongs to nobody meanwhile. Builds with AddressSanitizer poison
// it, so that a view which outlived its owner is reported at its first use instead of showing another
// request's bytes. All other builds do nothing. (A kernel that writes into poisoned memory is not seen.)

namespace fb {

#if defined(FB_POISON)
inline constexpr bool kPoisoning = true;
#else
inline constexpr bool kPoisoning = false;
#endif

inline void poison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] size_t size_bytes) {
#if defined(FB_POISON)
  __asan_poison_memory_region(memory, size_bytes);
#endif
}

inline void unpoison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] size_t size_bytes) {
#if defined(FB_POISON)
  __asan_unpoison_memory_region(memory, size_bytes);
#endif
}

// For tests; false in builds without poisoning.
inline bool is_poisoned([[maybe_unused]] const void* address) {
#if defined(FB_POISON)
  return __asan_address_is_poisoned(address) != 0;
#else
  return false;
#endif
}

}  // namespace fb
