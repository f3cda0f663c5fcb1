// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fb {

// True for well-formed UTF-8 (no overlong forms, surrogates or code points past U+10FFFF). NUL is
// well-formed.
bool is_valid_utf8(std::string_view text);

}  // namespace fb
