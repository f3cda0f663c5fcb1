// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/assert.h"
#include "s3/auth/signer.h"
#include "s3/auth/sigv2.h"
#include "s3/auth/sigv4.h"
#include "s3/test_request.h"

// What both SigV4 targets check of a request that a fuzzer made: it may be refused, but parsing and verifying
// agree with themselves, and it never verifies with a secret that nobody signed with.

namespace fb::s3 {

constexpr int64_t kFuzzTime = 1369353600;
constexpr std::string_view kFuzzSecret = "a secret no seed was signed with";

inline void check_claims_v2(const RequestHead& head, const AuthRequest& auth) {
  for (const int64_t now : {kFuzzTime, auth.time_seconds}) {
    const auto verified = verify_v2(head, auth, kFuzzSecret, now, "bucket");
    FB_ASSERT(!verified);
  }
}

inline void check_claims(const RequestHead& head) {
  const auto auth = parse_auth(head);
  if (!auth || auth->kind == AuthKind::anonymous) return;
  if (auth->version == SignatureVersion::v2) return check_claims_v2(head, *auth);
  const SigningKey key(kFuzzSecret, auth->credential);
  const auto verified = verify(head, *auth, key, auth->time_seconds);
  FB_ASSERT(!verified);
  SigningKeyCache cache(4);
  const auto again = authenticate(head, *auth, kFuzzSecret, auth->time_seconds, cache);
  FB_ASSERT(!again);
  FB_ASSERT(again.error().code() == verified.error().code(), again.error().code(), verified.error().code());
  FB_ASSERT(cache.find(auth->credential, kFuzzSecret) == nullptr);
  const auto details = explain_signature(head, *auth);
  if (!details) return;
  const auto once_more = explain_signature(head, *auth);
  FB_ASSERT(details->canonical_request == once_more->canonical_request);
  FB_ASSERT(details->string_to_sign.ends_with(hex_encode(sha256(details->canonical_request))));
}

}  // namespace fb::s3
