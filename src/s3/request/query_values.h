// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "s3/response/error.h"
#include "s3/uri.h"

// Typed values of query items, for the parsers of requests.

namespace fb::s3 {

// The decoded value of an item, if it is there: at most 1024 bytes of UTF-8 without NUL, as keys are.
S3Result<std::optional<std::string>> query_text(QueryView query, std::string_view name);
// The same with "" for an absent item.
S3Result<std::string> query_text_or_empty(QueryView query, std::string_view name);
// A decimal number from 0 to `max`; larger ones count as `max`. Nothing where the item is absent or empty.
S3Result<std::optional<uint32_t>> query_count(QueryView query, std::string_view name, uint32_t max);
// partNumber, 1 to 10000.
S3Result<std::optional<uint32_t>> query_part_number(QueryView query);
// encoding-type: absent or "url".
S3Result<bool> query_encode_url(QueryView query);
// versionId: absent or "null"; an empty one is InvalidArgument, any other one NotImplemented.
S3Result<void> check_version_id(QueryView query);

}  // namespace fb::s3
