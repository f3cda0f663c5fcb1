// SPDX-License-Identifier: Apache-2.0
#include "s3/operation.h"

#include <iterator>

namespace fb::s3 {
namespace {

constexpr std::string_view kMethods[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
static_assert(std::size(kMethods) == kMethodCount);

}  // namespace

std::string_view to_string(Method method) { return kMethods[static_cast<int>(method)]; }

std::optional<Method> parse_method(std::string_view text) {
  for (int i = 0; i < kMethodCount; ++i) {
    if (kMethods[i] == text) return static_cast<Method>(i);
  }
  return std::nullopt;
}

}  // namespace fb::s3
