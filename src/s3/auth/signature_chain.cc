// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/signature_chain.h"

#include <algorithm>

#include "base/assert.h"
#include "s3/put_text.h"
#include "s3/time.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kChunkLabel = "AWS4-HMAC-SHA256-PAYLOAD\n";
constexpr std::string_view kTrailerLabel = "AWS4-HMAC-SHA256-TRAILER\n";
static_assert(kChunkLabel.size() == kTrailerLabel.size());

}  // namespace

SignatureChain::SignatureChain(const SigningKey& key, int64_t time_seconds, std::string_view scope,
                               std::string_view seed)
    : key_(key) {
  constexpr size_t kLineEnds = 5;
  static_assert(kChunkLabel.size() + kAmzDateLength + kCredentialLengthMax + 3 * kSignatureLength +
                    kLineEnds <=
                kTextMax);
  FB_ASSERT(seed.size() == kSignatureLength, seed.size());
  FB_ASSERT(scope.size() <= kCredentialLengthMax, scope.size());
  char* out = format_amz_date(time_seconds, text_.data() + kChunkLabel.size());
  *out++ = '\n';
  out = put(scope, out);
  *out++ = '\n';
  previous_at_ = out - text_.data();
  out = put(seed, out);
  *out = '\n';
}

SignatureText SignatureChain::chunk(const Sha256Digest& data_hash) {
  char* out = put(kEmptySha256Hex, text_.data() + previous_at_ + kSignatureLength + 1);
  *out++ = '\n';
  return sign(kChunkLabel, hex_encode(data_hash, out));
}

SignatureText SignatureChain::trailer(const Sha256Digest& trailer_hash) {
  return sign(kTrailerLabel, hex_encode(trailer_hash, text_.data() + previous_at_ + kSignatureLength + 1));
}

SignatureText SignatureChain::sign(std::string_view label, char* end) {
  put(label, text_.data());
  const SignatureText signature =
      signature_text(key_.sign({text_.data(), static_cast<size_t>(end - text_.data())}));
  put(as_view(signature), text_.data() + previous_at_);
  return signature;
}

}  // namespace fb::s3
