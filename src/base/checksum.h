// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fb {

// XXH3 with 64 bits: the checksum of payloads, pages and frames on their way to disk and back. Not for
// secrets.
uint64_t xxh3(std::span<const std::byte> bytes, uint64_t seed = 0);

}  // namespace fb
