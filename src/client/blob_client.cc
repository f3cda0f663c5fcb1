// SPDX-License-Identifier: Apache-2.0
#include "client/blob_client.h"

namespace fb {

std::string_view to_string(BlobError code) {
  switch (code) {
    case BlobError::not_found:
      return "not_found";
    case BlobError::exists:
      return "exists";
    case BlobError::too_large:
      return "too_large";
    case BlobError::full:
      return "full";
    case BlobError::damaged:
      return "damaged";
    case BlobError::unavailable:
      return "unavailable";
    case BlobError::timed_out:
      return "timed_out";
    case BlobError::outcome_unknown:
      return "outcome_unknown";
  }
  return "unknown";
}

}  // namespace fb
