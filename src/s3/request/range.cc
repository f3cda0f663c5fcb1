// SPDX-License-Identifier: Apache-2.0
#include "s3/request/range.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/ascii.h"
#include "base/assert.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kUnit = "bytes=";
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

// Digits only; numbers past 64 bits count as the largest, since they lie behind every object.
std::optional<uint64_t> parse_saturating(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (!ascii_is_digit(c)) return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    value = value > (kMax - digit) / 10 ? kMax : value * 10 + digit;
  }
  return value;
}

// The two sides of "bytes=first-last", unparsed.
struct Sides {
  std::string_view first;
  std::string_view last;
};
std::optional<Sides> split_range(std::string_view text) {
  if (text.size() < kUnit.size() || !ascii_iequals(text.substr(0, kUnit.size()), kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  return Sides{text.substr(0, dash), text.substr(dash + 1)};
}

}  // namespace

ResolvedRange resolve_range(std::string_view header, uint64_t object_size) {
  const ResolvedRange whole{RangeKind::whole, 0, object_size};
  const ResolvedRange unsatisfiable{RangeKind::unsatisfiable, 0, 0};
  const auto sides = split_range(header);
  if (!sides) return whole;

  if (sides->first.empty()) {
    const auto suffix = parse_saturating(sides->last);
    if (!suffix) return whole;
    if (*suffix == 0) return unsatisfiable;
    if (object_size == 0) return whole;
    const uint64_t size = std::min(*suffix, object_size);
    return {RangeKind::partial, object_size - size, size};
  }

  const auto first = parse_saturating(sides->first);
  if (!first) return whole;
  uint64_t last = kMax;
  if (!sides->last.empty()) {
    const auto parsed = parse_saturating(sides->last);
    if (!parsed || *parsed < *first) return whole;
    last = *parsed;
  }
  if (*first >= object_size) return unsatisfiable;
  last = std::min(last, object_size - 1);
  return {RangeKind::partial, *first, last - *first + 1};
}

char* write_content_range(const ResolvedRange& range, uint64_t object_size, char* out) {
  if (range.kind == RangeKind::unsatisfiable) return fmt::format_to(out, "bytes */{}", object_size);
  FB_ASSERT(range.size > 0);
  return fmt::format_to(out, "bytes {}-{}/{}", range.offset, range.offset + range.size - 1, object_size);
}

std::string content_range(const ResolvedRange& range, uint64_t object_size) {
  char text[kContentRangeSizeMax];
  return {text, write_content_range(range, object_size, text)};
}

std::optional<CopyRange> parse_copy_range(std::string_view text) {
  const auto sides = split_range(text);
  if (!sides) return std::nullopt;
  const auto first = parse_saturating(sides->first);
  const auto last = parse_saturating(sides->last);
  if (!first || !last || *last < *first || *last == kMax) return std::nullopt;
  return CopyRange{*first, *last};
}

}  // namespace fb::s3
