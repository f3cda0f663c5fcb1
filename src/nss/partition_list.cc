// SPDX-License-Identifier: Apache-2.0
// Listings, straight from the cursor: beneath a common prefix one key is looked at, and the rest is passed
// over by one descent.
#include <algorithm>

#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kEntriesExpected = 1000;  // S3's page
// Of records that have memory of their own: those of large multipart objects. A page ends behind them.
constexpr size_t kSpilledBytesMax = 16 * kMiB;

// The least key above everything that begins with `prefix`; a space byte comes first, so there is one.
std::string behind(std::string prefix) {
  while (static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

std::string first_key(const ListRequest& request) {
  const std::string_view after = request.start_after;
  const std::string space(1, static_cast<char>(request.space));
  if (after.empty() || after < request.prefix) {
    const bool past_all = request.start_past_prefix && !after.empty() && request.prefix.starts_with(after);
    return past_all ? behind(space + std::string(after)) : space + std::string(request.prefix);
  }
  if (request.start_past_prefix) return behind(space + std::string(after));
  return space + std::string(after) + '\0';
}

}  // namespace

// The records of a page that are in blobs of their own. There may be a thousand: the page ends where they get
// too long.
Task<Result<void>> PartitionFront::read_listed(const CallContext& context, ReadPin held,
                                               std::span<const ListedSpilled> spilled, ListPage& page) {
  struct Rest final : LongRead::Needs {
    std::span<const ListedSpilled> left;
    void name_blobs(std::vector<BlobId>& out) const override {
      for (const auto& [index, record] : left) out.push_back(record.blob);
    }
  } rest;
  rest.left = spilled;
  LongRead read(std::move(held), rest);
  size_t spilled_bytes = 0;
  for (; !rest.left.empty(); rest.left = rest.left.subspan(1)) {
    const auto& [index, record] = rest.left.front();
    if (spilled_bytes >= kSpilledBytesMax) {
      page.entries.resize(index);
      page.truncated = true;
      break;
    }
    read.come_to(record.blob);
    FB_CO_TRY(const std::string bytes, co_await read_spilled(context, record));
    page.entries[index].record = page.texts.add(bytes);
    spilled_bytes += bytes.size();
  }
  co_return Result<void>();
}

Task<Result<ListPage>> PartitionFront::list(const CallContext& context, const ListRequest& request) {
  const size_t entries_max = std::min(request.entries_max, kListEntriesMax);
  const std::string begin = first_key(request);
  const std::string within = std::string(1, static_cast<char>(request.space)) + std::string(request.prefix);
  ListPage page;
  std::vector<ListedSpilled> spilled;
  PageId gone;
  ReadPin held;  // for spilled records
  for (bool again = false;; again = true) {
    // Renames one after the other may have it begin many times.
    if (again) FB_CO_CHECK(co_await begin_again(context));
    FB_CO_TRY(const HandleRef handle, co_await find(context, request.bucket));
    held = pin();
    page = {};
    page.entries.reserve(std::min(entries_max, kEntriesExpected));
    spilled.clear();
    art::Cursor<Source> cursor(handle->source, handle->state->gate);
    cursor.begin();
    art::Answer answer{.outcome = art::Outcome::absent};
    if (entries_max != 0) answer = cursor.seek(begin);
    for (;;) {
      if (answer.outcome == art::Outcome::missing) {
        FB_CO_CHECK(co_await after(context, answer, gone));
        answer = cursor.again();
        continue;
      }
      if (answer.outcome != art::Outcome::done || !cursor.key().starts_with(within)) break;
      if (page.entries.size() == entries_max) {
        page.truncated = true;
        break;
      }
      const std::string_view path = cursor.key().substr(1);
      const size_t found = request.delimiter.empty() ? std::string_view::npos
                                                     : path.find(request.delimiter, request.prefix.size());
      ListEntry& entry = page.entries.emplace_back();
      if (found != std::string_view::npos) {
        const size_t size = found + request.delimiter.size();
        entry.key = page.texts.add(path.substr(0, size));
        entry.common_prefix = true;
        answer = cursor.skip(static_cast<uint32_t>(1 + size));
        continue;
      }
      entry.key = page.texts.add(path);
      const std::optional<TreeValue> value = decode_value(cursor.value_flags(), cursor.value());
      if (!value) co_return NamespaceError::damaged;
      entry.version = value->version;
      if (request.with_records && value->spilled) {
        spilled.emplace_back(page.entries.size() - 1, *value->spilled);
      } else if (request.with_records) {
        entry.record = page.texts.add(value->record);
      }
      answer = cursor.next();
    }
    if (handle->state->state.load() == TreeState::State::dropped) continue;
    if (answer.outcome == art::Outcome::damaged) co_return NamespaceError::damaged;
    if (answer.outcome == art::Outcome::renamed) continue;
    FB_CO_CHECK(co_await durable(context, cursor.lsn().position));
    break;
  }
  FB_CO_CHECK(co_await read_listed(context, std::move(held), spilled, page));
  co_return page;
}

}  // namespace fb
