// SPDX-License-Identifier: Apache-2.0
#include "http/error.h"

namespace fb {

std::string_view to_string(HttpError code) {
  switch (code) {
    case HttpError::malformed:
      return "malformed";
    case HttpError::head_too_large:
      return "head_too_large";
    case HttpError::body_incomplete:
      return "body_incomplete";
    case HttpError::timed_out:
      return "timed_out";
    case HttpError::connection_lost:
      return "connection_lost";
    case HttpError::unsupported:
      return "unsupported";
    case HttpError::tls_failed:
      return "tls_failed";
  }
  return "unknown";
}

}  // namespace fb
