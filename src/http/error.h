// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace fb {

enum class HttpError {
  malformed,        // the peer's bytes are not HTTP
  head_too_large,   // request line or headers over their limit
  body_incomplete,  // the peer closed before the end of the body
  timed_out,        // idle or slow beyond the limit
  connection_lost,  // closed or reset while sending
  unsupported,      // a version or transfer coding that is not served
  tls_failed,       // handshake or record error
};

std::string_view to_string(HttpError code);

inline const ErrorDomain& error_domain(HttpError) {
  static constexpr ErrorDomain kDomain{"http",
                                       [](int code) { return to_string(static_cast<HttpError>(code)); }};
  return kDomain;
}

}  // namespace fb
