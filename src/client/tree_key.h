// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/bucket_name.h"
#include "base/object_key.h"
#include "client/types.h"

// The names that clients chose, in the form they have in the keys of a tree.

namespace fb {

// In Space::system: the record of a bucket lies under this and its name.
inline constexpr std::string_view kBucketKeyPrefix = "bucket/";
// In Space::system: each put of this record gives the root service a number, the put's version.
inline constexpr std::string_view kNumberKey = "number";

// Why no request can have made this key, as the end of a sentence about it; empty if one can have. For keys
// of objects, of uploads (which begin with an object's key) and of buckets; programs make the keys of the
// other spaces.
inline std::string_view fault_of_tree_key(Space space, std::string_view key) {
  if (space == Space::system && key.starts_with(kBucketKeyPrefix)) {
    const bool valid = is_valid_bucket_name(key.substr(kBucketKeyPrefix.size()));
    return valid ? "" : "it is not a name that a bucket can have";
  }
  if (space == Space::uploads) key = key.substr(0, key.find('\0'));
  if (space != Space::objects && space != Space::uploads) return {};
  const KeyFault fault = fault_of_key(key);
  return fault == KeyFault::none ? std::string_view() : to_string(fault);
}

}  // namespace fb
