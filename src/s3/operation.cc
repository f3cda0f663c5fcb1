// SPDX-License-Identifier: Apache-2.0
#include "s3/operation.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kMethods[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
static_assert(std::size(kMethods) == kMethodCount);

#define FB_S3_ACTION_NAME(name) "s3:" #name,
constexpr std::string_view kActions[] = {FB_S3_ACTIONS(FB_S3_ACTION_NAME)};
#undef FB_S3_ACTION_NAME
static_assert(std::size(kActions) == kActionCount);

constexpr Action kOfCopied[] = {Action::GetObject};
constexpr Action kOfMoved[] = {Action::GetObject, Action::DeleteObject};

constexpr bool stands_at_its_place(const OperationInfo& row) {
  return &info(row.operation) == &row && !row.name.empty();
}
static_assert(std::ranges::all_of(kOperations, stands_at_its_place));

// A body comes with the methods that HTTP gives one to.
constexpr bool has_method_for_body(const OperationInfo& row) {
  return row.body == PayloadUse::none || row.method == Method::put || row.method == Method::post;
}
static_assert(std::ranges::all_of(kOperations, has_method_for_body));

constexpr bool has_resource_of_target(const OperationInfo& row) {
  if (!row.is_built()) return true;
  switch (row.right->resource) {
    case Resource::account:
      return row.target == Target::service;
    case Resource::new_bucket:
    case Resource::bucket:
      return row.target == Target::bucket;
    case Resource::object:
      return row.target == Target::object;
    case Resource::listed_objects:
      return row.target == Target::bucket && row.body != PayloadUse::none;
  }
  return false;
}
static_assert(std::ranges::all_of(kOperations, has_resource_of_target));

}  // namespace

std::string_view to_string(Method method) { return kMethods[static_cast<int>(method)]; }

std::string_view to_string(Action action) { return kActions[static_cast<int>(action)]; }

std::optional<Method> parse_method(std::string_view text) {
  for (int i = 0; i < kMethodCount; ++i) {
    if (kMethods[i] == text) return static_cast<Method>(i);
  }
  return std::nullopt;
}

std::span<const Action> source_actions(Source source) {
  switch (source) {
    case Source::none:
      return {};
    case Source::copied:
      return kOfCopied;
    case Source::moved:
      return kOfMoved;
  }
  FB_UNREACHABLE();
}

}  // namespace fb::s3
