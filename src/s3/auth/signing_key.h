// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "s3/checksum/hash.h"

// What AWS signature version 4 signs with: the credential a request names, the key derived from the secret
// for one day, region and service, and a bounded cache of such keys.

namespace fb::s3 {

constexpr std::string_view kSigningAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kSigningService = "s3";
constexpr std::string_view kSigningTerminator = "aws4_request";
constexpr size_t kScopeDateLength = 8;
constexpr size_t kCredentialLengthMax = 256;

// "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request". Keeps its own copy of the text, since in a
// presigned URL that text stands percent-encoded.
class Credential {
 public:
  Credential() = default;
  // Nothing unless the last four parts are a date, a region, "s3" and "aws4_request" behind an access key,
  // all of printable ASCII and at most kCredentialLengthMax long. Any region passes, the empty one too:
  // libcloud and aws-sdk-go-v2 with a bare endpoint name none.
  static std::optional<Credential> parse(std::string_view text);

  // Of signature version 2, which names no more: there is no scope, date or region. Printable ASCII without
  // ':' and '/', not empty.
  static std::optional<Credential> of_access_key(std::string_view access_key);

  std::string_view text() const { return {text_.data(), length_}; }
  std::string_view access_key() const { return text().substr(0, access_key_length_); }
  std::string_view scope() const { return text().substr(access_key_length_ + 1); }
  std::string_view date() const { return scope().substr(0, kScopeDateLength); }
  std::string_view region() const { return scope().substr(kScopeDateLength + 1, region_length_); }

 private:
  uint16_t length_ = 0;
  uint16_t access_key_length_ = 0;
  uint16_t region_length_ = 0;
  std::array<char, kCredentialLengthMax> text_{};
};

// Knowing it allows signing for that day and region, so it is as secret as the secret itself.
class SigningKey {
 public:
  SigningKey(std::string_view secret, std::string_view date, std::string_view region);
  SigningKey(std::string_view secret, const Credential& credential)
      : SigningKey(secret, credential.date(), credential.region()) {}
  Sha256Digest sign(std::string_view string_to_sign) const { return key_.mac(string_to_sign); }

 private:
  HmacSha256Key key_;
};

// Remembers signing keys by credential. An entry also holds the secret it was made from and is found only
// with that very secret, so replacing or revoking a secret needs no message to the caches. Owned by one core.
//
// Sets of kWays entries, the least recently used one of a set gives way. Only keys that have verified a
// request should be inserted: then nobody without a secret can displace an entry by naming many regions.
class SigningKeyCache {
 public:
  static constexpr size_t kDefaultCapacity = 1024;

  explicit SigningKeyCache(size_t capacity = kDefaultCapacity);
  // Valid until the next insert().
  const SigningKey* find(const Credential& credential, std::string_view secret);
  void insert(const Credential& credential, std::string_view secret, const SigningKey& key);

 private:
  static constexpr size_t kWays = 4;

  struct Entry {
    std::string credential;
    std::string secret;
    std::optional<SigningKey> key;
    uint64_t last_used = 0;
  };

  Entry* set_of(const Credential& credential);

  std::vector<Entry> entries_;
  uint64_t clock_ = 0;
};

}  // namespace fb::s3
