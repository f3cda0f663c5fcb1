// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/request_head.h"
#include "s3/response/error.h"

// Conditions on writes: If-Match and If-None-Match on the object that is written or deleted. Unlike those on
// reads they are decided when the change is committed, so they are kept to what can be decided there:
//
//   If-None-Match: *      the key must be free        else 412
//   If-Match: <etag>      the object must have it     else 412; no object: 404
//   If-Match: *           there must be an object     else 404
//
// Anything else is NotImplemented, as AWS answers, and never ignored: another If-None-Match, several
// conditions at once, a list of ETags, times and sizes.

namespace fb::s3 {

// A view into the request.
struct WriteCondition {
  enum class Kind : uint8_t { none, must_not_exist, must_exist, etag_is };
  Kind kind = Kind::none;
  std::string_view etag{};  // etag_is: without quotes; a weak one stays as it is and matches nothing

  bool empty() const { return kind == Kind::none; }
  // The header's name as AWS spells it in <Condition>.
  std::string_view header() const { return kind == Kind::must_not_exist ? "If-None-Match" : "If-Match"; }

  static S3Result<WriteCondition> of_request(const RequestHead& head);
  // From the value of If-Match, or of an <ETag> in the body of DeleteObjects.
  static S3Result<WriteCondition> if_match(std::string_view value);
};

// The first header of the request that makes a write conditional, or an empty view.
std::string_view find_write_condition(const RequestHead& head);
// NotImplemented for such a header.
S3Failure unsupported_condition(std::string_view header, std::string_view why);

}  // namespace fb::s3
