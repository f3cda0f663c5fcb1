// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/request_head.h"
#include "s3/response/error.h"

// Values of the x-amz-* headers that stand for functions which are not built, or for a fixed property of this
// server: S3's default passes, so that clients which always send it work, another value that S3 knows is
// NotImplemented, and one that S3 does not know is refused as S3 refuses it.

namespace fb::s3 {

constexpr size_t kAmzPrefixSize = 6;  // "x-amz-"
bool is_amz_header(std::string_view name);
// The name of such a header behind its prefix.
inline std::string_view behind_amz(std::string_view name) { return name.substr(kAmzPrefixSize); }

// `name` in lower case, behind "x-amz-"; the field's value is not empty. `account_id` is the bucket owner's
// canonical user id, whose last twelve digits are the number of the account.
S3Result<void> check_header_value(std::string_view name, const HeaderField& field,
                                  std::string_view account_id);

// NotImplemented, naming the header, its value and, unless empty, what would be taken.
S3Failure unsupported_header(const HeaderField& field, std::string_view taken);

}  // namespace fb::s3
