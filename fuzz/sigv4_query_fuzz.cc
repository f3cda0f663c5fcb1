// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>

#include "sigv4_fuzz.h"

// The input is a request target. Presigned URLs made of it verify; changed by one character of the signature
// they do not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::s3;
  const std::string_view target(reinterpret_cast<const char*>(data), size);
  TestRequest request("GET /\nHost: examplebucket.s3.amazonaws.com");
  request.set_target(target);
  check_claims(request.head());

  const SigningIdentity identity{.access_key = "key", .secret = kFuzzSecret};
  auto presigned = presign(request.head(), identity, {.time_seconds = kFuzzTime, .expires_seconds = 60});
  if (!presigned) return 0;
  request.set_target(*presigned);
  const auto auth = parse_auth(request.head());
  if (!auth) {
    // Only if the target had items of this kind before.
    FB_ASSERT(target.find('?') != target.npos, auth.error().code());
    return 0;
  }
  const SigningKey key(kFuzzSecret, auth->credential);
  const auto verified = verify(request.head(), *auth, key, kFuzzTime);
  if (!verified) FB_ASSERT(target.find('?') != target.npos, verified.error().code());
  if (!verified) return 0;
  presigned->back() = presigned->back() == '0' ? '1' : '0';
  request.set_target(*presigned);
  const auto forged = parse_auth(request.head());
  FB_ASSERT(forged.has_value());
  FB_ASSERT(verify(request.head(), *forged, key, kFuzzTime).error().is(AuthError::signature_mismatch));
  return 0;
}
