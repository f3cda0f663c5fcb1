// SPDX-License-Identifier: Apache-2.0
// OpenSSL 3's EVP interface allocates for every new or copied context and takes locks when it fetches an
// algorithm, which costs more than hashing a kilobyte. The older functions work on a plain struct, use the
// processor's SHA instructions just the same, and are deprecated only in favour of EVP; hence the one define
// below, in this file only.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "s3/checksum/hash.h"

#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <new>

namespace fb::s3 {
namespace {

template <class Context, size_t kSize>
Context* context(std::array<std::byte, kSize>& state) {
  static_assert(sizeof(Context) <= kSize);
  static_assert(alignof(Context) <= 8);
  return std::launder(reinterpret_cast<Context*>(state.data()));
}

}  // namespace

Md5::Md5() { MD5_Init(new (state_.data()) MD5_CTX); }
void Md5::update(Bytes bytes) { MD5_Update(context<MD5_CTX>(state_), bytes.data(), bytes.size()); }
Md5Digest Md5::finish() {
  Md5Digest digest;
  MD5_Final(digest.data(), context<MD5_CTX>(state_));
  return digest;
}

Sha1::Sha1() { SHA1_Init(new (state_.data()) SHA_CTX); }
void Sha1::update(Bytes bytes) { SHA1_Update(context<SHA_CTX>(state_), bytes.data(), bytes.size()); }
Sha1Digest Sha1::finish() {
  Sha1Digest digest;
  SHA1_Final(digest.data(), context<SHA_CTX>(state_));
  return digest;
}

Sha256::Sha256() { SHA256_Init(new (state_.data()) SHA256_CTX); }
void Sha256::update(Bytes bytes) { SHA256_Update(context<SHA256_CTX>(state_), bytes.data(), bytes.size()); }
Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  SHA256_Final(digest.data(), context<SHA256_CTX>(state_));
  return digest;
}

Md5Digest md5(Bytes bytes) {
  Md5 hash;
  hash.update(bytes);
  return hash.finish();
}

Sha1Digest hmac_sha1(Bytes key, Bytes message) {
  constexpr size_t kBlock = 64;
  std::array<uint8_t, kBlock> pad{};
  if (key.size() > kBlock) {
    Sha1 hash;
    hash.update(key);
    const Sha1Digest shortened = hash.finish();
    std::ranges::copy(shortened, pad.begin());
  } else {
    std::ranges::copy(key, pad.begin());
  }
  for (uint8_t& byte : pad) byte ^= 0x36;
  Sha1 inner;
  inner.update(pad);
  inner.update(message);
  const Sha1Digest inside = inner.finish();
  for (uint8_t& byte : pad) byte ^= 0x36 ^ 0x5c;
  Sha1 outer;
  outer.update(pad);
  outer.update(inside);
  OPENSSL_cleanse(pad.data(), pad.size());
  return outer.finish();
}

Sha256Digest sha256(Bytes bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

HmacSha256Key::HmacSha256Key(Bytes key) {
  constexpr uint8_t kInnerPad = 0x36;
  constexpr uint8_t kOuterPad = 0x5c;
  std::array<uint8_t, SHA256_CBLOCK> block{};
  Sha256Digest hashed;
  if (key.size() > block.size()) {
    hashed = sha256(key);
    key = hashed;
  }
  std::ranges::copy(key, block.begin());
  for (uint8_t& byte : block) byte ^= kInnerPad;
  inner_.update(block);
  for (uint8_t& byte : block) byte ^= kInnerPad ^ kOuterPad;
  outer_.update(block);
  OPENSSL_cleanse(block.data(), block.size());
}

Sha256Digest HmacSha256Key::mac(Bytes message) const {
  Sha256 inner = inner_;
  inner.update(message);
  const Sha256Digest digest = inner.finish();
  Sha256 outer = outer_;
  outer.update(digest);
  return outer.finish();
}

}  // namespace fb::s3
