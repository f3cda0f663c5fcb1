// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>

namespace fb::s3 {

// Writes `text` at `out`, which has room for it, and returns the end.
inline char* put(std::string_view text, char* out) { return std::ranges::copy(text, out).out; }

}  // namespace fb::s3
