// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/request_auth.h"

#include "base/ascii.h"
#include "s3/auth/sigv2.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

// There are no temporary credentials here, so a token is nobody's. It need not be signed to be refused.
Result<void> check_security_token(const RequestHead& head, const AuthRequest& auth) {
  constexpr std::string_view kToken = "x-amz-security-token";
  if (head.has_header(kToken)) return AuthError::token_unknown;
  for (const QueryItem& item : QueryView(auth.other_query)) {
    if (item.name.size() < kToken.size()) continue;
    const bool encoded = item.name.find('%') != std::string_view::npos;
    const std::string decoded = encoded ? decode_query(item.name).value_or("") : std::string();
    if (ascii_iequals(encoded ? std::string_view(decoded) : item.name, kToken))
      return AuthError::token_unknown;
  }
  return {};
}

}  // namespace

Result<VerifiedRequest> authenticate_request(const RequestHead& head, const AuthRequest& auth,
                                             std::string_view secret, int64_t now_seconds,
                                             SigningKeyCache& cache, const ServedNames& names) {
  FB_CHECK(check_security_token(head, auth));
  for (const std::string_view host : HostForms(head.header("host"), names.external_host)) {
    if (auth.version == SignatureVersion::v2) {
      const auto verified = verify_v2(head, auth, secret, now_seconds, bucket_of_host(host, names.domains));
      if (verified) return VerifiedRequest{.host = host, .key = std::nullopt};
      if (!verified.error().is(AuthError::signature_mismatch)) return verified.error();
    } else {
      const auto key = authenticate(head, auth, secret, now_seconds, cache, host);
      if (key) return VerifiedRequest{.host = host, .key = *key};
      if (!key.error().is(AuthError::signature_mismatch)) return key.error();
    }
  }
  return AuthError::signature_mismatch;
}

}  // namespace fb::s3
