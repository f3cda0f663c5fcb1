// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "s3/auth/canonical.h"
#include "s3/auth/signing_key.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/hash.h"

namespace fb::s3 {

// The signatures of an aws-chunked body: each chunk's covers its data and the signature before it, from that
// of the request head to that of the trailer. So no chunk can be changed, left out, moved or taken from
// another request.
class SignatureChain {
 public:
  // `seed` is the verified signature of the head.
  SignatureChain(const SigningKey& key, int64_t time_seconds, std::string_view scope, std::string_view seed);
  SignatureChain(const SigningKey& key, int64_t time_seconds, std::string_view scope,
                 const SignatureText& seed)
      : SignatureChain(key, time_seconds, scope, as_view(seed)) {}
  SignatureChain(const SigningKey& key, const AuthRequest& verified)
      : SignatureChain(key, verified.time_seconds, verified.credential.scope(), verified.signature) {}

  // The signature that the next chunk (or the trailer behind the last one) has; the following one builds on
  // it.
  SignatureText chunk(const Sha256Digest& data_hash);
  SignatureText trailer(const Sha256Digest& trailer_hash);

 private:
  // What is signed: label, time, scope, the signature before, and behind it one or two hashes, a line each.
  static constexpr size_t kTextMax = 512;

  SignatureText sign(std::string_view label, char* end);

  SigningKey key_;
  size_t previous_at_ = 0;
  std::array<char, kTextMax> text_{};
};

}  // namespace fb::s3
