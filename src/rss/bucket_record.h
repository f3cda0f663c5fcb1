// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "client/root_client.h"

namespace fb {

// The registry stores this under "bucket/NAME" in the system tree: a record of kind bucket
// (docs/formats/record.md).
std::string encode_bucket(const BucketInfo& bucket);
// RecordError::malformed, unsupported.
Result<BucketInfo> decode_bucket(std::string_view name, std::string_view record);

}  // namespace fb
