// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/ascii.h"
#include "s3/auth/sigv4.h"

// For the verifiers of both signature versions.

namespace fb::s3 {

// The value of a header that may be sent only once; null data where it is absent.
inline Result<std::string_view> single_header(const RequestHead& head, std::string_view name,
                                              AuthError if_repeated) {
  std::string_view found;
  for (const HeaderField& field : head.headers) {
    if (!ascii_iequals(field.name, name)) continue;
    if (found.data() != nullptr) return if_repeated;
    found = field.value.data() != nullptr ? field.value : std::string_view("");
  }
  return found;
}

// Reads the value of x-amz-content-sha256.
Result<void> set_payload(AuthRequest& auth, std::string_view value);

}  // namespace fb::s3
