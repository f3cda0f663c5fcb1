// SPDX-License-Identifier: Apache-2.0
#include "base/bucket_name.h"

#include <algorithm>

#include "base/ascii.h"

namespace fb {
namespace {

constexpr std::string_view kReservedPrefixes[] = {"xn--", "sthree-", "amzn-s3-demo-"};
constexpr std::string_view kReservedSuffixes[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"};

bool is_lower_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || ascii_is_digit(c); }

// Four groups of one to three digits; AWS does not ask whether a group is above 255.
bool looks_like_ipv4(std::string_view name) {
  int groups = 1;
  size_t digits = 0;
  for (char c : name) {
    if (c == '.') {
      if (digits == 0) return false;
      ++groups;
      digits = 0;
    } else {
      if (!ascii_is_digit(c) || ++digits > 3) return false;
    }
  }
  return groups == 4 && digits > 0;
}

}  // namespace

bool is_valid_bucket_name(std::string_view name) {
  if (name.size() < kBucketNameSizeMin || name.size() > kBucketNameSizeMax) return false;
  if (!is_lower_alphanumeric(name.front()) || !is_lower_alphanumeric(name.back())) return false;
  char previous = 0;
  for (char c : name) {
    if (!is_lower_alphanumeric(c) && c != '.' && c != '-') return false;
    if (c == '.' && (previous == '.' || previous == '-')) return false;
    if (c == '-' && previous == '.') return false;
    previous = c;
  }
  if (std::ranges::any_of(kReservedPrefixes, [&](auto prefix) { return name.starts_with(prefix); }))
    return false;
  if (std::ranges::any_of(kReservedSuffixes, [&](auto suffix) { return name.ends_with(suffix); }))
    return false;
  return !looks_like_ipv4(name);
}

}  // namespace fb
