// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "base/result.h"
#include "s3/auth/auth_error.h"
#include "s3/auth/canonical.h"
#include "s3/auth/signing_key.h"
#include "s3/checksum/hash.h"

// Authentication by AWS signature version 4 (parse_auth() also knows version 2, see sigv2.h), in the
// Authorization header or in the query of a presigned URL. Works in place on the request head, allocates
// nothing on success, and remembers no outcome.
//
//   FB_TRY(AuthRequest auth, parse_auth(head));              what is claimed: who, when, what kind of body
//   if (auth.kind == AuthKind::anonymous) ...                the caller decides what those may do
//   secret = look up auth.credential.access_key()            asynchronous; unknown is InvalidAccessKeyId
//   FB_TRY(VerifiedRequest verified, authenticate_request(head, auth, secret, now_seconds, cache, names));
//
// A signature covers the head only. The body is bound to it by auth.payload: for `hash` the caller compares
// the body's SHA-256 with auth.body_sha256, for the streaming kinds it reads the body through ChunkedDecoder
// with `verified.key`. Until that has succeeded, nothing of the body may become visible.

namespace fb::s3 {

enum class AuthKind : uint8_t { anonymous, header, presigned };
enum class SignatureVersion : uint8_t { v2, v4 };  // see sigv2.h

// What x-amz-content-sha256 says of the body.
enum class PayloadKind : uint8_t {
  unsigned_payload,            // UNSIGNED-PAYLOAD
  hash,                        // 64 hex digits
  streaming_signed,            // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
  streaming_signed_trailer,    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
  streaming_unsigned_trailer,  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};
constexpr bool is_streaming(PayloadKind kind) { return kind >= PayloadKind::streaming_signed; }
std::string_view payload_text(PayloadKind kind);  // "" for hash

constexpr int64_t kClockSkewSecondsMax = 15 * 60;
constexpr int64_t kPresignedSecondsMax = 7 * 24 * 3600;

// What a request claims, not yet verified. Views into the head.
struct AuthRequest {
  AuthKind kind = AuthKind::anonymous;
  SignatureVersion version = SignatureVersion::v4;
  PayloadKind payload = PayloadKind::unsigned_payload;
  Sha256Digest body_sha256{};       // of PayloadKind::hash
  std::string_view content_sha256;  // as it enters the canonical request
  // The query without the signature's own items at its ends: what else the request asks for.
  std::string_view other_query;
  // The rest is set for other kinds than anonymous only.
  Credential credential;
  int64_t time_seconds = 0;         // of an URL of version 2: when it expires
  int64_t expires_seconds = 0;      // of a presigned request: how long it is valid after its time
  std::string_view signed_headers;  // "host;x-amz-date"; of a presigned request still percent-encoded
  std::string_view signature;
  std::string_view date;  // of version 2: as it enters the string to sign, or the value of x-amz-date
};

Result<AuthRequest> parse_auth(const RequestHead& head);

// Checks time, signed headers and signature; `auth` is of version 4 and not anonymous. Where `host` is given
// it is what the client signed as Host: behind a proxy that rewrites the header, the configured external
// name.
Result<void> verify(const RequestHead& head, const AuthRequest& auth, const SigningKey& key,
                    int64_t now_seconds, std::string_view host = {});

// verify() with the key from `cache`, or derived and, once it has verified the request, put there. Returns
// the key, which a streaming body needs.
Result<SigningKey> authenticate(const RequestHead& head, const AuthRequest& auth, std::string_view secret,
                                int64_t now_seconds, SigningKeyCache& cache, std::string_view host = {});

// What the server signed, for the answer to a mismatch: S3 shows it so that authors of clients can compare.
// Reveals nothing that the request did not contain.
struct SignatureDetails {
  std::string canonical_request;
  std::string string_to_sign;
};
Result<SignatureDetails> explain_signature(const RequestHead& head, const AuthRequest& auth,
                                           std::string_view host = {});

// The names that AuthError::headers_not_signed is about: "host, x-amz-acl".
std::string headers_not_signed(const RequestHead& head, const AuthRequest& auth);

}  // namespace fb::s3
