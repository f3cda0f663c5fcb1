// SPDX-License-Identifier: Apache-2.0
#include "s3/request/write_condition.h"

#include <fmt/format.h>

namespace fb::s3 {
namespace {

constexpr std::string_view kIfMatch = "If-Match";
constexpr std::string_view kIfNoneMatch = "If-None-Match";
constexpr std::string_view kConditions[] = {
    kIfMatch,
    kIfNoneMatch,
    "If-Modified-Since",
    "If-Unmodified-Since",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
};

std::string_view condition_name(std::string_view header) {
  for (std::string_view name : kConditions) {
    if (ascii_iequals(header, name)) return name;
  }
  return {};
}

std::string_view unquote(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') return etag.substr(1, etag.size() - 2);
  return etag;
}

S3Result<WriteCondition> if_none_match(std::string_view value) {
  if (value != "*") {
    return unsupported_condition(kIfNoneMatch,
                                 fmt::format("the value is {}, and a write takes none but *", value));
  }
  return WriteCondition{.kind = WriteCondition::Kind::must_not_exist};
}

}  // namespace

S3Failure unsupported_condition(std::string_view header, std::string_view why) {
  return S3Failure(S3Error::NotImplemented,
                   fmt::format("{} {}: {}.", info(S3Error::NotImplemented).message, header, why))
      .with("Header", header)
      .with("additionalMessage", why);
}

S3Result<WriteCondition> WriteCondition::if_match(std::string_view value) {
  value = ascii_trim(value);
  if (value == "*") return WriteCondition{.kind = Kind::must_exist};
  value = unquote(value);
  // No ETag of S3 has a comma in it.
  if (value.find(',') != std::string_view::npos) {
    return unsupported_condition(kIfMatch, "a write takes one ETag, not a list");
  }
  return WriteCondition{.kind = Kind::etag_is, .etag = value};
}

S3Result<WriteCondition> WriteCondition::of_request(const RequestHead& head) {
  WriteCondition condition;
  for (const HeaderField& field : head.headers) {
    const std::string_view name = condition_name(field.name);
    if (name.empty()) continue;
    if (!condition.empty()) return unsupported_condition(name, "a write takes one condition");
    if (name == kIfMatch) {
      FB_TRY(condition, if_match(field.value));
    } else if (name == kIfNoneMatch) {
      FB_TRY(condition, if_none_match(field.value));
    } else {
      return unsupported_condition(name, "this write takes If-Match and If-None-Match");
    }
  }
  return condition;
}

std::string_view find_write_condition(const RequestHead& head) {
  for (const HeaderField& field : head.headers) {
    if (const std::string_view name = condition_name(field.name); !name.empty()) return name;
  }
  return {};
}

}  // namespace fb::s3
