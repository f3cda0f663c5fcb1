// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "s3/encoding.h"

// MD5, SHA-1, SHA-256 and HMACs, each a plain value: copying one forks the computation, and nothing
// allocates.

namespace fb::s3 {

using Md5Digest = std::array<uint8_t, 16>;
using Sha1Digest = std::array<uint8_t, 20>;
using Sha256Digest = std::array<uint8_t, 32>;

// update() any number of times, then finish() once; afterwards only assignment of a fresh object.
class Md5 {
 public:
  Md5();
  void update(Bytes bytes);
  Md5Digest finish();

 private:
  alignas(8) std::array<std::byte, 96> state_;
};

class Sha1 {
 public:
  Sha1();
  void update(Bytes bytes);
  Sha1Digest finish();

 private:
  alignas(8) std::array<std::byte, 96> state_;
};

class Sha256 {
 public:
  Sha256();
  void update(Bytes bytes);
  void update(std::string_view text) { update(as_bytes(text)); }
  Sha256Digest finish();

 private:
  alignas(8) std::array<std::byte, 112> state_;
};

Md5Digest md5(Bytes bytes);
Sha256Digest sha256(Bytes bytes);
inline Sha256Digest sha256(std::string_view text) { return sha256(as_bytes(text)); }

// For signature version 2 only.
Sha1Digest hmac_sha1(Bytes key, Bytes message);

// A key ready for use: the hash states behind its inner and outer pads, so that a message costs only its own
// blocks and one more.
class HmacSha256Key {
 public:
  explicit HmacSha256Key(Bytes key);
  explicit HmacSha256Key(std::string_view key) : HmacSha256Key(as_bytes(key)) {}
  Sha256Digest mac(Bytes message) const;
  Sha256Digest mac(std::string_view message) const { return mac(as_bytes(message)); }

 private:
  Sha256 inner_;
  Sha256 outer_;
};

// The hash of nothing, which AWS's string to sign of a chunk contains.
constexpr std::string_view kEmptySha256Hex =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace fb::s3
