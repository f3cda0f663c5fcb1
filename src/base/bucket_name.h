// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace fb {

constexpr size_t kBucketNameSizeMin = 3;
constexpr size_t kBucketNameSizeMax = 63;

// AWS's rules for general purpose buckets: 3 to 63 lower-case letters, digits, dots and hyphens, a letter or
// digit at both ends of the name and of each label between dots, not shaped like an IPv4 address, and none of
// the prefixes and suffixes that AWS keeps for access points, aliases and other kinds of bucket.
bool is_valid_bucket_name(std::string_view name);

}  // namespace fb
