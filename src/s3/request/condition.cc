// SPDX-License-Identifier: Apache-2.0
#include "s3/request/condition.h"

#include <algorithm>

#include "s3/time.h"

namespace fb::s3 {

struct ReadConditions::Names {
  std::string_view match;
  std::string_view none_match;
  std::string_view modified_since;
  std::string_view unmodified_since;
  ConditionOutcome unchanged;  // what the last two say where they do not hold
  bool ignores_future = true;  // whether a time to come is passed over, as RFC 9110 has it for reads
};

namespace {

// Takes the first entry off a list of ETags: `"quoted, with comma"`, `W/"weak"` or `bare`.
struct ListEntry {
  std::string_view etag;
  bool weak = false;
};
ListEntry take_entry(std::string_view& list) {
  ListEntry entry;
  list = ascii_trim(list);
  if (list.starts_with("W/")) {
    entry.weak = true;
    list.remove_prefix(2);
  }
  if (list.starts_with('"')) {
    const size_t end = list.find('"', 1);
    entry.etag = list.substr(1, end == std::string_view::npos ? end : end - 1);
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    list.remove_prefix(std::min(list.find(','), list.size()));
  } else {
    entry.etag = ascii_trim(list.substr(0, list.find(',')));
    list.remove_prefix(std::min(list.find(','), list.size()));
  }
  if (!list.empty()) list.remove_prefix(1);  // the comma
  return entry;
}

// A header may stand several times; together they are one list.
bool any_matches(std::span<const HeaderField> headers, std::string_view name, std::string_view etag,
                 bool strong) {
  return std::ranges::any_of(headers, [&](const HeaderField& field) {
    return ascii_iequals(field.name, name) && etag_list_matches(field.value, etag, strong);
  });
}

}  // namespace

bool etag_list_matches(std::string_view list, std::string_view etag, bool strong) {
  if (ascii_trim(list) == "*") return true;
  while (!list.empty()) {
    const ListEntry entry = take_entry(list);
    if (entry.etag == etag && !entry.etag.empty() && !(strong && entry.weak)) return true;
  }
  return false;
}

ReadConditions::ReadConditions(const RequestHead& head, const Names& names, int64_t now_seconds)
    : headers_(head.headers), names_(&names) {
  for (const HeaderField& field : head.headers) {
    if (ascii_iequals(field.name, names.match)) {
      has_match_ = true;
    } else if (ascii_iequals(field.name, names.none_match)) {
      has_none_match_ = true;
    } else if (ascii_iequals(field.name, names.modified_since)) {
      modified_since_ = parse_http_date(field.value, now_seconds);
      if (names.ignores_future && modified_since_ && *modified_since_ > now_seconds) modified_since_.reset();
    } else if (ascii_iequals(field.name, names.unmodified_since)) {
      unmodified_since_ = parse_http_date(field.value, now_seconds);
    }
  }
}

ReadConditions ReadConditions::of_request(const RequestHead& head, int64_t now_seconds) {
  static constexpr Names kNames{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
                                ConditionOutcome::not_modified};
  return {head, kNames, now_seconds};
}

ReadConditions ReadConditions::of_copy_source(const RequestHead& head, int64_t now_seconds) {
  static constexpr Names kNames{"x-amz-copy-source-If-Match", "x-amz-copy-source-If-None-Match",
                                "x-amz-copy-source-If-Modified-Since",
                                "x-amz-copy-source-If-Unmodified-Since", ConditionOutcome::failed};
  return {head, kNames, now_seconds};
}

ReadConditions ReadConditions::of_rename_source(const RequestHead& head, int64_t now_seconds) {
  static constexpr Names kNames{"x-amz-rename-source-If-Match",
                                "x-amz-rename-source-If-None-Match",
                                "x-amz-rename-source-If-Modified-Since",
                                "x-amz-rename-source-If-Unmodified-Since",
                                ConditionOutcome::failed,
                                false};
  return {head, kNames, now_seconds};
}

ReadConditions ReadConditions::of_rename_destination(const RequestHead& head, int64_t now_seconds) {
  static constexpr Names kNames{
      "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", ConditionOutcome::failed,
      false};
  return {head, kNames, now_seconds};
}

ReadConditions::Decision ReadConditions::decide_absent() const {
  if (empty()) return {};
  if (has_match_) return {ConditionOutcome::failed, names_->match};
  if (!has_none_match_ && modified_since_) return {names_->unchanged, names_->modified_since};
  return {};
}

ReadConditions::Decision ReadConditions::decide(std::string_view etag, int64_t last_modified_seconds) const {
  if (empty()) return {};
  if (has_match_) {
    if (!any_matches(headers_, names_->match, etag, true)) return {ConditionOutcome::failed, names_->match};
  } else if (unmodified_since_ && last_modified_seconds > *unmodified_since_) {
    return {ConditionOutcome::failed, names_->unmodified_since};
  }
  if (has_none_match_) {
    if (any_matches(headers_, names_->none_match, etag, false))
      return {names_->unchanged, names_->none_match};
  } else if (modified_since_ && last_modified_seconds <= *modified_since_) {
    return {names_->unchanged, names_->modified_since};
  }
  return {};
}

bool if_range_holds(std::string_view if_range, std::string_view etag, int64_t last_modified_seconds,
                    int64_t now_seconds) {
  if (if_range.empty()) return true;
  if (const auto date = parse_http_date(if_range, now_seconds)) return *date == last_modified_seconds;
  ListEntry entry = take_entry(if_range);
  return if_range.empty() && !entry.weak && entry.etag == etag;
}

}  // namespace fb::s3
