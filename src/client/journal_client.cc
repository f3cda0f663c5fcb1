// SPDX-License-Identifier: Apache-2.0
#include "client/journal_client.h"

namespace fb {

std::string_view to_string(JournalError code) {
  switch (code) {
    case JournalError::sealed:
      return "sealed";
    case JournalError::wrong_end:
      return "wrong_end";
    case JournalError::trimmed:
      return "trimmed";
    case JournalError::missing:
      return "missing";
    case JournalError::damaged:
      return "damaged";
    case JournalError::full:
      return "full";
    case JournalError::unavailable:
      return "unavailable";
    case JournalError::timed_out:
      return "timed_out";
    case JournalError::outcome_unknown:
      return "outcome_unknown";
  }
  return "unknown";
}

Task<Result<uint64_t>> JournalClient::append(const CallContext& context, std::span<const std::byte> payload) {
  FB_CO_TRY(const uint64_t sequence, co_await submit(context, payload));
  FB_CO_CHECK(co_await wait_durable(sequence));
  co_return sequence;
}

}  // namespace fb
