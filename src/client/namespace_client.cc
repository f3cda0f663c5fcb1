// SPDX-License-Identifier: Apache-2.0
#include "client/namespace_client.h"

namespace fb {

std::string_view to_string(NamespaceError code) {
  switch (code) {
    case NamespaceError::not_found:
      return "not_found";
    case NamespaceError::no_such_tree:
      return "no_such_tree";
    case NamespaceError::tree_exists:
      return "tree_exists";
    case NamespaceError::tree_not_empty:
      return "tree_not_empty";
    case NamespaceError::precondition_failed:
      return "precondition_failed";
    case NamespaceError::key_too_long:
      return "key_too_long";
    case NamespaceError::key_invalid:
      return "key_invalid";
    case NamespaceError::record_too_large:
      return "record_too_large";
    case NamespaceError::destination_occupied:
      return "destination_occupied";
    case NamespaceError::rename_into_itself:
      return "rename_into_itself";
    case NamespaceError::stale_blob:
      return "stale_blob";
    case NamespaceError::full:
      return "full";
    case NamespaceError::unsupported:
      return "unsupported";
    case NamespaceError::unavailable:
      return "unavailable";
    case NamespaceError::timed_out:
      return "timed_out";
    case NamespaceError::damaged:
      return "damaged";
    case NamespaceError::not_owner:
      return "not_owner";
    case NamespaceError::outcome_unknown:
      return "outcome_unknown";
  }
  return "unknown";
}

Task<std::vector<Result<MutationResult>>> NamespaceClient::apply_each(const CallContext& context,
                                                                      BucketId bucket,
                                                                      std::span<const Mutation> mutations) {
  std::vector<Result<MutationResult>> results;
  results.reserve(mutations.size());
  for (const Mutation& mutation : mutations) results.push_back(co_await apply(context, bucket, mutation));
  co_return results;
}

}  // namespace fb
