// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fb::sim {

// For tests that try every place (every change of the disk, every byte) or many seeds. Sanitizers make them
// several times slower, and builds without sanitizers try everything. So builds with a sanitizer step by
// kThinning from place to place, and try thinned(n) seeds of n.
#if defined(FB_SANITIZE)
inline constexpr uint64_t kThinning = 7;
inline constexpr uint64_t kSeedThinning = 3;
#else
inline constexpr uint64_t kThinning = 1;
inline constexpr uint64_t kSeedThinning = 1;
#endif
constexpr uint64_t thinned(uint64_t seeds) { return (seeds + kSeedThinning - 1) / kSeedThinning; }

}  // namespace fb::sim
