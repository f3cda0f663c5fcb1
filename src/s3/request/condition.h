// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/request_head.h"

// Conditions on reads: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, and the same four on
// the source of a copy (x-amz-copy-source-if-*), on the source of a rename (x-amz-rename-source-if-*) and on
// its destination (the plain names). They are decided in the order of RFC 9110, which is also AWS's:
//
//   1. If-Match fails                                     -> 412
//   2. no If-Match, and If-Unmodified-Since fails         -> 412
//   3. If-None-Match matches                              -> 304, 412 where it is no read
//   4. no If-None-Match, and If-Modified-Since fails      -> 304, 412 where it is no read
//
// ETags are compared with or without their quotes; lists and "*" are understood. If-Match never matches a
// weak ETag. A date that is none is ignored, and so is an If-Modified-Since in the future, but in a rename,
// where a condition that does not count would let it happen.

namespace fb::s3 {

enum class ConditionOutcome : uint8_t { proceed, not_modified, failed };

// Views into the request.
class ReadConditions {
 public:
  ReadConditions() = default;
  static ReadConditions of_request(const RequestHead& head, int64_t now_seconds);
  static ReadConditions of_copy_source(const RequestHead& head, int64_t now_seconds);
  static ReadConditions of_rename_source(const RequestHead& head, int64_t now_seconds);
  static ReadConditions of_rename_destination(const RequestHead& head, int64_t now_seconds);

  bool empty() const { return !has_match_ && !has_none_match_ && !modified_since_ && !unmodified_since_; }
  // `etag` without quotes; times in seconds, as Last-Modified has them.
  ConditionOutcome evaluate(std::string_view etag, int64_t last_modified_seconds) const {
    return decide(etag, last_modified_seconds).outcome;
  }
  // With the name of the header that decided, as AWS spells it in <Condition>; empty where all hold.
  struct Decision {
    ConditionOutcome outcome = ConditionOutcome::proceed;
    std::string_view header{};
  };
  Decision decide(std::string_view etag, int64_t last_modified_seconds) const;
  // The same where there is no object: If-Match and If-Modified-Since want one.
  Decision decide_absent() const;

 private:
  struct Names;
  ReadConditions(const RequestHead& head, const Names& names, int64_t now_seconds);

  std::span<const HeaderField> headers_;
  const Names* names_ = nullptr;
  bool has_match_ = false;
  bool has_none_match_ = false;
  std::optional<int64_t> modified_since_;
  std::optional<int64_t> unmodified_since_;
};

// If-Range: true where a Range header counts. The value is one strong ETag or the exact Last-Modified date;
// empty where the request has no such header.
bool if_range_holds(std::string_view if_range, std::string_view etag, int64_t last_modified_seconds,
                    int64_t now_seconds);

// True where the value of If-Match or If-None-Match contains the ETag. With `strong`, weak entries do not
// match.
bool etag_list_matches(std::string_view list, std::string_view etag, bool strong);

}  // namespace fb::s3
