// SPDX-License-Identifier: Apache-2.0
#include "base/object_key.h"

#include "base/assert.h"
#include "base/utf8.h"

namespace fb {

KeyFault fault_of_key(std::string_view key) {
  if (key.empty()) return KeyFault::empty;
  if (key.size() > kObjectKeySizeMax) return KeyFault::too_long;
  if (key.find('\0') != std::string_view::npos) return KeyFault::nul;
  return is_valid_utf8(key) ? KeyFault::none : KeyFault::not_utf8;
}

std::string_view to_string(KeyFault fault) {
  switch (fault) {
    case KeyFault::none:
      return "it is good";
    case KeyFault::empty:
      return "it is empty";
    case KeyFault::too_long:
      return "it has more than 1024 bytes";
    case KeyFault::nul:
      return "it holds a NUL byte";
    case KeyFault::not_utf8:
      return "it is not valid UTF-8";
  }
  FB_UNREACHABLE();
}

}  // namespace fb
