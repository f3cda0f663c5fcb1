// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/signer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/ascii.h"
#include "s3/auth/auth_error.h"
#include "s3/auth/canonical.h"
#include "s3/auth/signing_key.h"
#include "s3/auth/sigv4.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

// What a connection or a proxy may add, change or drop.
constexpr std::array<std::string_view, 8> kNeverSigned = {
    "authorization",     "accept-encoding", "connection", "expect", "te",
    "transfer-encoding", "user-agent",      "via"};

// "host;range;x-amz-date"
std::string signed_headers_of(const RequestHead& head) {
  std::vector<std::string> names;
  for (const HeaderField& field : head.headers) {
    std::string name(field.name);
    std::ranges::transform(name, name.begin(), ascii_lower);
    if (std::ranges::find(kNeverSigned, name) == kNeverSigned.end()) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return fmt::format("{}", fmt::join(names, ";"));
}

std::string scope_of(const SigningIdentity& identity, std::string_view date) {
  return fmt::format("{}/{}/{}/{}", date, identity.region, kSigningService, kSigningTerminator);
}

Result<std::string> signature_of(const CanonicalInput& input, const SigningIdentity& identity,
                                 int64_t time_seconds) {
  const std::string date = format_amz_date(time_seconds).substr(0, kScopeDateLength);
  FB_TRY(const Sha256Digest canonical, hash_canonical_request(input));
  const StringToSign text(time_seconds, scope_of(identity, date), canonical);
  const SigningKey key(identity.secret, date, identity.region);
  return hex_encode(key.sign(text.text()));
}

}  // namespace

Result<std::string> sign_request(const RequestHead& head, const SigningIdentity& identity) {
  const std::string_view amz_date = head.header("x-amz-date");
  const auto time = parse_amz_date(amz_date);
  if (!time) return AuthError::date_missing;
  if (!head.has_header("host")) return AuthError::headers_not_signed;
  if (!head.has_header("x-amz-content-sha256")) return AuthError::content_sha256_missing;
  const std::string signed_headers = signed_headers_of(head);
  const CanonicalInput input{.head = head,
                             .query = head.query,
                             .signed_headers = signed_headers,
                             .payload_hash = head.header("x-amz-content-sha256")};
  FB_TRY(const std::string signature, signature_of(input, identity, *time));
  return fmt::format("{} Credential={}/{},SignedHeaders={},Signature={}", kSigningAlgorithm,
                     identity.access_key, scope_of(identity, amz_date.substr(0, kScopeDateLength)),
                     signed_headers, signature);
}

Result<std::string> presign(const RequestHead& head, const SigningIdentity& identity,
                            const PresignOptions& options) {
  if (!head.has_header("host")) return AuthError::headers_not_signed;
  const std::string amz_date = format_amz_date(options.time_seconds);
  const std::string credential =
      fmt::format("{}/{}", identity.access_key, scope_of(identity, amz_date.substr(0, kScopeDateLength)));
  const std::string signed_headers = signed_headers_of(head);
  const std::string query = fmt::format(
      "{}{}X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}&X-Amz-SignedHeaders={}",
      head.query, head.query.empty() ? "" : "&", kSigningAlgorithm, uri_encode(credential, Slash::encode),
      amz_date, options.expires_seconds, uri_encode(signed_headers, Slash::encode));
  const bool has_payload = head.has_header("x-amz-content-sha256");
  const CanonicalInput input{.head = head,
                             .query = query,
                             .signed_headers = signed_headers,
                             .payload_hash = has_payload ? head.header("x-amz-content-sha256")
                                                         : payload_text(PayloadKind::unsigned_payload),
                             .presigned = true};
  FB_TRY(const std::string signature, signature_of(input, identity, options.time_seconds));
  return fmt::format("{}?{}&{}={}", head.path, query, kSignatureQueryName, signature);
}

}  // namespace fb::s3
