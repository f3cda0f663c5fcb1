// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/signing_key.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "base/ascii.h"
#include "s3/encoding.h"

namespace fb::s3 {
namespace {

// Takes the part behind the last '/' off `text`; false where there is no '/'.
bool take_last_part(std::string_view& text, std::string_view& part) {
  const size_t slash = text.rfind('/');
  if (slash == text.npos) return false;
  part = text.substr(slash + 1);
  text = text.substr(0, slash);
  return true;
}

bool is_printable(char c) { return c > ' ' && c < '\x7f'; }

std::string_view as_text(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

HmacSha256Key derive(std::string_view secret, std::string_view date, std::string_view region) {
  std::string seed = "AWS4";
  seed += secret;
  Sha256Digest step = HmacSha256Key(seed).mac(date);
  step = HmacSha256Key(as_text(step)).mac(region);
  step = HmacSha256Key(as_text(step)).mac(kSigningService);
  step = HmacSha256Key(as_text(step)).mac(kSigningTerminator);
  const HmacSha256Key key(as_text(step));
  OPENSSL_cleanse(seed.data(), seed.size());
  OPENSSL_cleanse(step.data(), step.size());
  return key;
}

}  // namespace

std::optional<Credential> Credential::parse(std::string_view text) {
  if (text.size() > kCredentialLengthMax || !std::ranges::all_of(text, is_printable)) return std::nullopt;
  std::string_view rest = text;
  std::string_view terminator, service, region, date;
  if (!take_last_part(rest, terminator) || terminator != kSigningTerminator) return std::nullopt;
  if (!take_last_part(rest, service) || service != kSigningService) return std::nullopt;
  if (!take_last_part(rest, region)) return std::nullopt;
  if (!take_last_part(rest, date) || date.size() != kScopeDateLength) return std::nullopt;
  if (!std::ranges::all_of(date, ascii_is_digit) || rest.empty()) return std::nullopt;

  Credential credential;
  std::ranges::copy(text, credential.text_.begin());
  credential.length_ = static_cast<uint16_t>(text.size());
  credential.access_key_length_ = static_cast<uint16_t>(rest.size());
  credential.region_length_ = static_cast<uint16_t>(region.size());
  return credential;
}

std::optional<Credential> Credential::of_access_key(std::string_view access_key) {
  const bool good =
      std::ranges::all_of(access_key, [](char c) { return is_printable(c) && c != ':' && c != '/'; });
  if (access_key.empty() || access_key.size() > kCredentialLengthMax || !good) return std::nullopt;
  Credential credential;
  std::ranges::copy(access_key, credential.text_.begin());
  credential.length_ = credential.access_key_length_ = static_cast<uint16_t>(access_key.size());
  return credential;
}

SigningKey::SigningKey(std::string_view secret, std::string_view date, std::string_view region)
    : key_(derive(secret, date, region)) {}

SigningKeyCache::SigningKeyCache(size_t capacity) : entries_(std::bit_ceil(std::max(capacity, kWays))) {}

SigningKeyCache::Entry* SigningKeyCache::set_of(const Credential& credential) {
  const size_t set_count = entries_.size() / kWays;
  return &entries_[std::hash<std::string_view>()(credential.text()) % set_count * kWays];
}

const SigningKey* SigningKeyCache::find(const Credential& credential, std::string_view secret) {
  Entry* const set = set_of(credential);
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (!entry->key || entry->credential != credential.text()) continue;
    if (!constant_time_equal(entry->secret, secret)) return nullptr;
    entry->last_used = ++clock_;
    return &*entry->key;
  }
  return nullptr;
}

void SigningKeyCache::insert(const Credential& credential, std::string_view secret, const SigningKey& key) {
  Entry* const set = set_of(credential);
  Entry* chosen = set;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->credential == credential.text()) {
      chosen = entry;
      break;
    }
    if (entry->last_used < chosen->last_used) chosen = entry;
  }
  OPENSSL_cleanse(chosen->secret.data(), chosen->secret.size());
  chosen->credential = credential.text();
  chosen->secret = secret;
  chosen->key = key;
  chosen->last_used = ++clock_;
}

}  // namespace fb::s3
