// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/auth_error.h"

#include <gtest/gtest.h>

namespace fb::s3 {
namespace {

TEST(AuthFailure, EveryCodeHasItsAnswer) {
  EXPECT_EQ(to_failure(AuthError::signature_mismatch).code(), "SignatureDoesNotMatch");
  EXPECT_EQ(to_failure(AuthError::time_skewed).status(), 403);
  EXPECT_EQ(to_failure(AuthError::expired).text(), "Request has expired");
  EXPECT_EQ(to_failure(BodyError::incomplete).code(), "IncompleteBody");
  EXPECT_EQ(to_failure(BodyError::trailer_malformed).code(), "MalformedTrailerError");
  for (int code = 0; code < kAuthErrorCount; ++code) {
    const S3Failure failure = to_failure(static_cast<AuthError>(code));
    EXPECT_TRUE(failure.status() == 400 || failure.status() == 403) << code;
    EXPECT_NE(to_string(static_cast<AuthError>(code)), "unknown");
  }
  for (int code = 0; code < kBodyErrorCount; ++code) {
    const S3Failure failure = to_failure(static_cast<BodyError>(code));
    EXPECT_TRUE(failure.status() == 400 || failure.status() == 403) << code;
    EXPECT_NE(to_string(static_cast<BodyError>(code)), "unknown");
  }
  EXPECT_EQ(to_string(AuthError::expires_malformed_v2), "expires_malformed_v2");
  EXPECT_EQ(to_string(static_cast<AuthError>(kAuthErrorCount)), "unknown");
  EXPECT_EQ(to_failure(AuthError::type_unsupported).text(), "Unsupported Authorization Type");
  EXPECT_EQ(to_failure(AuthError::query_malformed).text(),
            info(S3Error::AuthorizationQueryParametersError).message);
  EXPECT_FALSE(auth_failure(S3Error::NoSuchKey).has_value());
}

}  // namespace
}  // namespace fb::s3
