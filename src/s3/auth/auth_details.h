// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/request_head.h"
#include "s3/auth/sigv4.h"
#include "s3/response/error.h"

namespace fb::s3 {

// The answer to a request whose verification failed with `error` (of AuthError; a mismatch is explained
// elsewhere), with the elements that S3 adds: clients set their clocks by them, people see what to mend.
//
//   time_skewed         RequestTime, ServerTime, MaxAllowedSkewMilliseconds
//   expired             X-Amz-Expires (version 4), Expires, ServerTime
//   headers_not_signed  HeadersNotSigned
S3Failure auth_refusal(const Error& error, const RequestHead& head, const AuthRequest& auth,
                       int64_t now_seconds);

}  // namespace fb::s3
