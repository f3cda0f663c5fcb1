// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "s3/request/requests.h"

namespace fb::s3 {

// Refuses the conditions of an operation that takes none.
S3Result<void> check_write(const ParseContext& context);

}  // namespace fb::s3
