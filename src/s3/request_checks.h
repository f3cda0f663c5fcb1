// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "s3/requests.h"

namespace fb::s3 {

// What every parser of a write begins with: no header of a function that is not built, no condition, no
// version.
S3Result<void> check_write(const ParseContext& context);
// The same for a write of one object that may be conditional on that object.
S3Result<WriteCondition> check_conditional_write(const ParseContext& context);

}  // namespace fb::s3
