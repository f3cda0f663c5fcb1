// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "s3/response/error.h"

namespace fb::api {

// The one table from the errors of the modules below to S3's. An operation that knows better (a missing
// upload is not a missing key) looks at the error first.
s3::S3Failure to_failure(const Error& error);

// Result<T> as S3Result<T>, for FB_CO_TRY in operations.
template <class T>
s3::S3Result<T> as_s3(Result<T>&& result) {
  if (!result) return to_failure(result.error());
  if constexpr (std::is_void_v<T>) {
    return s3::S3Result<T>();
  } else {
    return s3::S3Result<T>(std::move(*result));
  }
}

}  // namespace fb::api
