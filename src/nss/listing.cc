// SPDX-License-Identifier: Apache-2.0
#include "nss/listing.h"

#include <algorithm>

namespace fb {
namespace {

EntryMap::Iterator first_entry(const EntryMap& map, const ListRequest& request) {
  const std::string_view after = request.start_after;
  if (after.empty() || after < request.prefix) {
    const bool past_all = request.start_past_prefix && !after.empty() && request.prefix.starts_with(after);
    return past_all ? after_prefix(map, request.space, after)
                    : map.lower_bound({request.space, request.prefix});
  }
  if (request.start_past_prefix) return after_prefix(map, request.space, after);
  EntryMap::Iterator first = map.lower_bound({request.space, after});
  if (!first.at_end() && first->space() == request.space && first->path() == after) first.next();
  return first;
}

}  // namespace

std::string prefix_successor(std::string_view prefix) {
  std::string successor(prefix);
  while (!successor.empty() && static_cast<uint8_t>(successor.back()) == 0xff) successor.pop_back();
  if (!successor.empty()) successor.back() = static_cast<char>(static_cast<uint8_t>(successor.back()) + 1);
  return successor;
}

EntryMap::Iterator after_prefix(const EntryMap& map, Space space, std::string_view prefix) {
  const std::string successor = prefix_successor(prefix);
  if (!successor.empty()) return map.lower_bound({space, successor});
  return map.lower_bound({static_cast<Space>(static_cast<uint8_t>(space) + 1), {}});
}

ListPage list_entries(const EntryMap& map, const ListRequest& request) {
  ListPage page;
  const size_t entries_max = std::min(request.entries_max, kListEntriesMax);
  if (entries_max == 0) return page;
  EntryMap::Iterator next = first_entry(map, request);
  while (!next.at_end() && next->space() == request.space && next->path().starts_with(request.prefix)) {
    if (page.entries.size() == entries_max) {
      page.truncated = true;
      break;
    }
    const std::string_view path = next->path();
    const size_t found = request.delimiter.empty() ? std::string_view::npos
                                                   : path.find(request.delimiter, request.prefix.size());
    ListEntry& entry = page.entries.emplace_back();
    if (found != std::string_view::npos) {
      entry.key = path.substr(0, found + request.delimiter.size());
      entry.common_prefix = true;
      next = after_prefix(map, request.space, entry.key);
      continue;
    }
    entry.key = path;
    entry.version = next->version();
    if (request.with_records) entry.record = next->record();
    next.next();
  }
  return page;
}

}  // namespace fb
