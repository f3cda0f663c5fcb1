// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/auth_details.h"

#include <utility>

#include "s3/auth/auth_error.h"
#include "s3/time.h"

namespace fb::s3 {
namespace {

constexpr int64_t kMillisecondsPerSecond = 1000;

// "2013-05-24T00:01:00Z"
std::string iso_seconds(int64_t unix_seconds) {
  constexpr size_t kLengthToSeconds = 19;
  return format_iso8601_ms(unix_seconds * kMillisecondsPerSecond).substr(0, kLengthToSeconds) + "Z";
}

}  // namespace

S3Failure auth_refusal(const Error& error, const RequestHead& head, const AuthRequest& auth,
                       int64_t now_seconds) {
  S3Failure failure = to_failure(error);
  const bool version_2 = auth.version == SignatureVersion::v2;
  if (error.is(AuthError::time_skewed)) {
    const std::string sent = version_2 ? std::string(auth.date) : format_amz_date(auth.time_seconds);
    return std::move(failure)
        .with("RequestTime", sent)
        .with("ServerTime", iso_seconds(now_seconds))
        .with("MaxAllowedSkewMilliseconds", std::to_string(kClockSkewSecondsMax * kMillisecondsPerSecond));
  }
  if (error.is(AuthError::expired)) {
    if (!version_2) failure = std::move(failure).with("X-Amz-Expires", std::to_string(auth.expires_seconds));
    return std::move(failure)
        .with("Expires", iso_seconds(auth.time_seconds + auth.expires_seconds))
        .with("ServerTime", iso_seconds(now_seconds));
  }
  if (error.is(AuthError::headers_not_signed))
    return std::move(failure).with("HeadersNotSigned", headers_not_signed(head, auth));
  return failure;
}

}  // namespace fb::s3
