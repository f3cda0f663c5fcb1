// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/request_head.h"
#include "base/result.h"
#include "s3/auth/signing_key.h"
#include "s3/checksum/hash.h"

// The canonical request of signature version 4, as S3 wants it, and the string to sign made of it. Shared by
// the verifier and the signer.
//
//   method \n path \n query \n (name:value \n)... \n name;name... \n payload hash
//
// The path is decoded and encoded once, not normalised; query items are decoded, encoded and sorted by name,
// then value; header values are trimmed, runs of white space in them become one space, and fields of one name
// are joined by commas in their order.

namespace fb::s3 {

constexpr size_t kSignedHeadersMax = 128;
constexpr size_t kSignedHeadersLengthMax = 4096;
constexpr size_t kQueryItemsMax = 256;
constexpr std::string_view kSignatureQueryName = "X-Amz-Signature";

struct CanonicalInput {
  const RequestHead& head;
  std::string_view query;           // X-Amz-Signature is left out of it where `presigned`
  std::string_view signed_headers;  // "host;x-amz-date", lower case
  std::string_view payload_hash;
  std::string_view host;  // stands in for the Host header unless empty
  bool presigned = false;
};

// Its SHA-256, computed in one pass without allocating. Also appends its text to `copy` where given.
// AuthError where the path or query is malformed or has too many items.
Result<Sha256Digest> hash_canonical_request(const CanonicalInput& input, std::string* copy = nullptr);

// "AWS4-HMAC-SHA256 \n time \n scope \n hash of the canonical request", in place.
class StringToSign {
 public:
  StringToSign(int64_t time_seconds, std::string_view scope, const Sha256Digest& canonical_hash);
  std::string_view text() const { return {text_.data(), length_}; }

 private:
  size_t length_ = 0;
  std::array<char, kCredentialLengthMax + 128> text_;  // only the first length_ are set
};

// A signature in hex, as it stands in requests.
constexpr size_t kSignatureLength = 64;
using SignatureText = std::array<char, kSignatureLength>;
inline SignatureText signature_text(const Sha256Digest& signature) {
  SignatureText text;
  hex_encode(signature, text.data());
  return text;
}
inline std::string_view as_view(const SignatureText& text) { return {text.data(), text.size()}; }

// Calls `visit(name)` for each part of "a;b;c" until it returns false; returns whether all were visited.
template <class Visit>
bool for_each_signed_header(std::string_view signed_headers, Visit visit) {
  while (true) {
    const size_t end = signed_headers.find(';');
    if (!visit(signed_headers.substr(0, end))) return false;
    if (end == signed_headers.npos) return true;
    signed_headers.remove_prefix(end + 1);
  }
}

}  // namespace fb::s3
