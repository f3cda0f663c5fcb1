// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"

// The functions that do the operations of S3, each in a file of its name. The rows of s3/operation.h name
// them, in the column `handler`; they are declared here from those rows. A function sends the response
// itself; if it returns a failure before the response has begun, the caller sends the error document.

namespace fb::api {

#define FB_API_DECLARE(name, method, target, sub_resource, also, body, action, resource, source, handler) \
  Task<S3Result<void>> handler(Call& call);
#define FB_API_NOTHING(...)
FB_S3_OPERATIONS(FB_API_DECLARE, FB_API_NOTHING)
#undef FB_API_DECLARE
#undef FB_API_NOTHING

using Handler = Task<S3Result<void>> (*)(Call& call);

// In the order of the rows; null for operations that are not built, which route() refuses.
inline constexpr std::array<Handler, s3::kOperationCount> kHandlers = {
#define FB_API_HANDLER(name, method, target, sub_resource, also, body, action, resource, source, handler) \
  handler,
#define FB_API_NO_HANDLER(...) nullptr,
    FB_S3_OPERATIONS(FB_API_HANDLER, FB_API_NO_HANDLER)
#undef FB_API_HANDLER
#undef FB_API_NO_HANDLER
};

}  // namespace fb::api
