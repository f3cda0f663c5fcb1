// SPDX-License-Identifier: Apache-2.0
#include "client/page_client.h"

namespace fb {

std::string_view to_string(PageError code) {
  switch (code) {
    case PageError::not_found:
      return "not_found";
    case PageError::damaged:
      return "damaged";
    case PageError::stale_version:
      return "stale_version";
    case PageError::sealed:
      return "sealed";
    case PageError::full:
      return "full";
    case PageError::unavailable:
      return "unavailable";
    case PageError::unsupported:
      return "unsupported";
    case PageError::timed_out:
      return "timed_out";
    case PageError::outcome_unknown:
      return "outcome_unknown";
  }
  return "unknown";
}

Task<Result<void>> PageClient::write_page(const CallContext& context, uint64_t epoch, PageId id, Page page) {
  Write write{.id = id, .page = std::move(page), .result = {}};
  co_return co_await write_pages(context, epoch, std::span(&write, 1));
}

Task<Result<void>> PageClient::erase_page(const CallContext& context, uint64_t epoch, PageId id,
                                          Lsn version) {
  Erase erase{.id = id, .version = version, .result = {}};
  co_return co_await erase_pages(context, epoch, std::span(&erase, 1));
}

}  // namespace fb
