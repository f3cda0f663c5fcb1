// SPDX-License-Identifier: Apache-2.0
// The one table of errors and their outcomes. A new error code does not compile before it has its row.
#include "client/outcome.h"

#include "client/blob_client.h"
#include "client/journal_client.h"
#include "client/namespace_client.h"
#include "client/page_client.h"
#include "client/root_client.h"

namespace fb {
namespace {

Outcome outcome_of(NamespaceError code) {
  switch (code) {
    case NamespaceError::not_found:
    case NamespaceError::no_such_tree:
    case NamespaceError::tree_exists:
    case NamespaceError::tree_not_empty:
    case NamespaceError::precondition_failed:
    case NamespaceError::key_too_long:
    case NamespaceError::key_invalid:
    case NamespaceError::record_too_large:
    case NamespaceError::destination_occupied:
    case NamespaceError::rename_into_itself:
    case NamespaceError::stale_blob:
    case NamespaceError::unsupported:
      return Outcome::answer;
    case NamespaceError::full:
    case NamespaceError::unavailable:
    case NamespaceError::timed_out:
      return Outcome::not_done;
    case NamespaceError::not_owner:
      return Outcome::not_mine;
    case NamespaceError::outcome_unknown:
      return Outcome::unknown;
    case NamespaceError::damaged:
      return Outcome::damaged;
  }
  return Outcome::unknown;
}

Outcome outcome_of(BlobError code) {
  switch (code) {
    case BlobError::not_found:
    case BlobError::exists:
    case BlobError::too_large:
      return Outcome::answer;
    case BlobError::full:
    case BlobError::unavailable:
    case BlobError::timed_out:
      return Outcome::not_done;
    case BlobError::outcome_unknown:
      return Outcome::unknown;
    case BlobError::damaged:
      return Outcome::damaged;
  }
  return Outcome::unknown;
}

Outcome outcome_of(PageError code) {
  switch (code) {
    case PageError::not_found:
    case PageError::stale_version:
    case PageError::unsupported:
      return Outcome::answer;
    case PageError::full:
    case PageError::unavailable:
    case PageError::timed_out:
      return Outcome::not_done;
    case PageError::sealed:
      return Outcome::not_mine;
    case PageError::outcome_unknown:
      return Outcome::unknown;
    case PageError::damaged:
      return Outcome::damaged;
  }
  return Outcome::unknown;
}

Outcome outcome_of(JournalError code) {
  switch (code) {
    case JournalError::wrong_end:
    case JournalError::trimmed:
    case JournalError::missing:
      return Outcome::answer;
    case JournalError::full:
    case JournalError::unavailable:
    case JournalError::timed_out:
      return Outcome::not_done;
    case JournalError::sealed:
      return Outcome::not_mine;
    case JournalError::outcome_unknown:
      return Outcome::unknown;
    case JournalError::damaged:
      return Outcome::damaged;
  }
  return Outcome::unknown;
}

Outcome outcome_of(RootError code) {
  switch (code) {
    case RootError::no_such_bucket:
    case RootError::bucket_exists:
    case RootError::bucket_not_empty:
    case RootError::no_such_key:
    case RootError::name_invalid:
    case RootError::limit:
      return Outcome::answer;
    case RootError::full:
    case RootError::unavailable:
    case RootError::timed_out:
      return Outcome::not_done;
    case RootError::outcome_unknown:
      return Outcome::unknown;
    case RootError::damaged:
      return Outcome::damaged;
  }
  return Outcome::unknown;
}

template <ErrorCode Code>
bool is_of(const Error& error) {
  return &error.domain() == &error_domain(Code());
}

}  // namespace

Outcome outcome_of(const Error& error) {
  const int code = error.code();
  if (is_of<NamespaceError>(error)) return outcome_of(static_cast<NamespaceError>(code));
  if (is_of<BlobError>(error)) return outcome_of(static_cast<BlobError>(code));
  if (is_of<PageError>(error)) return outcome_of(static_cast<PageError>(code));
  if (is_of<JournalError>(error)) return outcome_of(static_cast<JournalError>(code));
  if (is_of<RootError>(error)) return outcome_of(static_cast<RootError>(code));
  return Outcome::unknown;
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::answer:
      return "answer";
    case Outcome::not_done:
      return "not_done";
    case Outcome::not_mine:
      return "not_mine";
    case Outcome::unknown:
      return "unknown";
    case Outcome::damaged:
      return "damaged";
  }
  return "?";
}

}  // namespace fb
