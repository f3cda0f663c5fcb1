// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/request_head.h"
#include "s3/response/error.h"
#include "s3/uri.h"

namespace fb::s3 {

// The head of a request as all parsers of parameters see it: its headers, and behind them the x-amz-* items
// of its query as further headers.
//
// Presigners of the JavaScript and Ruby SDKs move x-amz-* headers into the query, where AWS reads them as if
// they were headers. A parser needs no case for that: it looks a name up in `head().headers` as ever, and a
// function that is refused as a header is refused as a query item by the same line. Routing gets this head
// as well. Only the verification of the signature works on the head as it came.
//
//   X-Amz-Algorithm, -Credential, -Date, ...        belong to the signature: left out
//   x-amz-checksum-crc32, ..., x-amz-sdk-checksum-algorithm   left out, as AWS does: a presigner made them
//                                                   before there was a body
//   x-amz-copy-source...                            problem(): CopyObject's source has to be a header
//   x-amz-security-token                            problem(): no token is known here
//   the same name as a header, with another value   problem()
//   a value that could not stand in a header        problem()
//   content-type, content-md5                       in a URL of signature version 2 only, which signs them,
//   and
//                                                   only where no such header came
//
// Allocates nothing unless there is such an item.
class EffectiveHead {
 public:
  // `query` is what the signature leaves of the query (AuthRequest::other_query), or all of it.
  EffectiveHead(const RequestHead& sent, std::string_view query);
  EffectiveHead(const EffectiveHead&) = delete;
  EffectiveHead& operator=(const EffectiveHead&) = delete;

  // With `query` for its query, and with the headers that were sent where there is a problem. Lives as long
  // as this object and the request.
  const RequestHead& head() const { return head_; }
  // Kept until the signature has been found good.
  const S3Result<void>& problem() const { return problem_; }

 private:
  S3Result<void> fold();
  S3Result<void> add(const QueryItem& item, std::string_view name);

  const RequestHead& sent_;
  RequestHead head_;
  std::string text_;  // decoded names and values; its memory never moves
  std::vector<HeaderField> folded_;
  S3Result<void> problem_;
};

}  // namespace fb::s3
