// SPDX-License-Identifier: Apache-2.0
#include "client/root_client.h"

namespace fb {

std::string_view to_string(RootError code) {
  switch (code) {
    case RootError::no_such_bucket:
      return "no_such_bucket";
    case RootError::bucket_exists:
      return "bucket_exists";
    case RootError::bucket_not_empty:
      return "bucket_not_empty";
    case RootError::no_such_key:
      return "no_such_key";
    case RootError::name_invalid:
      return "name_invalid";
    case RootError::full:
      return "full";
    case RootError::limit:
      return "limit";
    case RootError::unavailable:
      return "unavailable";
    case RootError::timed_out:
      return "timed_out";
    case RootError::outcome_unknown:
      return "outcome_unknown";
    case RootError::damaged:
      return "damaged";
  }
  return "unknown";
}

}  // namespace fb
