// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fb::api {

// A record may hold the checksums of so many blocks of a cloud object: a multipart object's record must hold
// those of 10,000 parts.
inline constexpr uint32_t kInlineSumsOfObject = 64;
inline constexpr uint32_t kInlineSumsOfPart = 2;

struct StoreLimits {
  uint64_t size_max_bytes = 0;
  uint32_t inline_sums_max = kInlineSumsOfObject;
};

}  // namespace fb::api
