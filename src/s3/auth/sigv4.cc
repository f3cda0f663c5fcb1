// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/sigv4.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include "base/ascii.h"
#include "base/assert.h"
#include "s3/auth/auth_parts.h"
#include "s3/auth/sigv2.h"
#include "s3/encoding.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kAmzHeaderPrefix = "x-amz-";

// The date in a credential scope must be that of the request.
bool same_date(const AuthRequest& auth) {
  std::array<char, kAmzDateLength> text;
  format_amz_date(auth.time_seconds, text.data());
  return auth.credential.date() == std::string_view(text.data(), kScopeDateLength);
}

// ---- Authorization header

struct AuthorizationParts {
  std::string_view credential, signed_headers, signature;
};

// "Credential=..., SignedHeaders=..., Signature=..." in any order, each once.
Result<AuthorizationParts> split_authorization(std::string_view text) {
  AuthorizationParts parts;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = ascii_trim(text.substr(0, comma));
    text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
    const size_t equals = part.find('=');
    if (equals == part.npos || equals + 1 == part.size()) return AuthError::header_malformed;
    const std::string_view name = part.substr(0, equals);
    std::string_view* const target = name == "Credential"      ? &parts.credential
                                     : name == "SignedHeaders" ? &parts.signed_headers
                                     : name == "Signature"     ? &parts.signature
                                                               : nullptr;
    if (target == nullptr || !target->empty()) return AuthError::header_malformed;
    *target = part.substr(equals + 1);
  }
  if (parts.credential.empty() || parts.signed_headers.empty() || parts.signature.empty()) {
    return AuthError::header_malformed;
  }
  return parts;
}

// From x-amz-date, or else from Date, which may also be in HTTP's own form.
Result<int64_t> header_time(const RequestHead& head, const Credential& credential) {
  FB_TRY(const std::string_view amz_date, single_header(head, "x-amz-date", AuthError::date_missing));
  FB_TRY(const std::string_view date, single_header(head, "date", AuthError::date_missing));
  const std::string_view text = amz_date.data() != nullptr ? amz_date : date;
  if (const auto time = parse_amz_date(text)) return *time;
  if (amz_date.data() != nullptr) return AuthError::date_missing;
  // The scope names the century that a two-digit year leaves open.
  constexpr std::string_view kMidnight = "T000000Z";
  std::array<char, kScopeDateLength + kMidnight.size()> midnight;
  std::ranges::copy(kMidnight, std::ranges::copy(credential.date(), midnight.data()).out);
  const auto near = parse_amz_date({midnight.data(), midnight.size()});
  if (!near) return AuthError::header_malformed;
  const auto time = parse_http_date(text, *near);
  if (!time) return AuthError::date_missing;
  return *time;
}

Result<AuthRequest> parse_header_auth(const RequestHead& head, std::string_view authorization) {
  if (authorization.starts_with("AWS ")) return parse_v2_header(head, authorization);
  if (!authorization.starts_with("AWS4-")) return AuthError::type_unsupported;
  if (!authorization.starts_with(kSigningAlgorithm)) return AuthError::mechanism_unsupported;
  authorization.remove_prefix(kSigningAlgorithm.size());
  if (!authorization.starts_with(' ')) return AuthError::header_malformed;

  FB_TRY(const AuthorizationParts parts, split_authorization(authorization));
  const auto credential = Credential::parse(parts.credential);
  if (!credential) return AuthError::header_malformed;
  AuthRequest auth{.kind = AuthKind::header,
                   .credential = *credential,
                   .signed_headers = parts.signed_headers,
                   .signature = parts.signature};
  FB_TRY(auth.time_seconds, header_time(head, auth.credential));
  if (!same_date(auth)) return AuthError::header_malformed;
  FB_TRY(const std::string_view content,
         single_header(head, "x-amz-content-sha256", AuthError::content_sha256_invalid));
  if (content.data() == nullptr) return AuthError::content_sha256_missing;
  FB_CHECK(set_payload(auth, content));
  return auth;
}

// ---- Presigned query

// Values of a presigned query, still encoded; null data where absent.
struct PresignedParts {
  std::string_view algorithm, credential, date, expires, signed_headers, signature, content_sha256;
  bool version_2 = false;
  std::string_view others;  // of the query: from the first item that is none of these to the last such item

  bool any() const {
    return algorithm.data() != nullptr || credential.data() != nullptr || signature.data() != nullptr;
  }
  // Where the value of that item belongs, or null.
  std::string_view* find(const QueryItem& item) {
    struct Place {
      std::string_view name;
      std::string_view PresignedParts::* value;
    };
    static constexpr Place kPlaces[] = {{"X-Amz-Algorithm", &PresignedParts::algorithm},
                                        {"X-Amz-Credential", &PresignedParts::credential},
                                        {"X-Amz-Date", &PresignedParts::date},
                                        {"X-Amz-Expires", &PresignedParts::expires},
                                        {"X-Amz-SignedHeaders", &PresignedParts::signed_headers},
                                        {kSignatureQueryName, &PresignedParts::signature},
                                        {"X-Amz-Content-Sha256", &PresignedParts::content_sha256}};
    const bool encoded = item.name.find('%') != std::string_view::npos;
    for (const Place& place : kPlaces) {
      if (encoded ? item.is(place.name) : item.name == place.name) return &(this->*place.value);
    }
    return nullptr;
  }
};

Result<PresignedParts> find_presigned(std::string_view query) {
  PresignedParts parts;
  const char* others_end = nullptr;
  for (const QueryItem& item : QueryView(query)) {
    std::string_view* const target = parts.find(item);
    if (target == nullptr) {
      parts.version_2 = parts.version_2 || item.is("AWSAccessKeyId");
      if (parts.others.data() == nullptr) parts.others = query.substr(item.name.data() - query.data());
      others_end =
          item.has_equals ? item.value.data() + item.value.size() : item.name.data() + item.name.size();
      continue;
    }
    if (target->data() != nullptr) return AuthError::query_malformed;
    *target = item.has_equals ? item.value : item.name.substr(item.name.size());
  }
  if (others_end != nullptr) parts.others = parts.others.substr(0, others_end - parts.others.data());
  return parts;
}

std::optional<Credential> parse_encoded_credential(std::string_view raw) {
  std::array<char, kUriEncodeGrowth * kCredentialLengthMax> text;
  if (raw.size() > text.size()) return std::nullopt;
  const auto length = percent_decode(raw, UriPart::query, text.data());
  if (!length) return std::nullopt;
  return Credential::parse({text.data(), *length});
}

Result<AuthRequest> parse_presigned(const RequestHead& head, const PresignedParts& parts) {
  if (parts.algorithm.data() == nullptr || parts.credential.empty() || parts.date.empty() ||
      parts.expires.empty() || parts.signed_headers.empty() || parts.signature.empty()) {
    return AuthError::query_malformed;
  }
  if (parts.algorithm != kSigningAlgorithm) return AuthError::query_algorithm;
  const auto credential = parse_encoded_credential(parts.credential);
  if (!credential) return AuthError::query_credential;
  const auto time = parse_amz_date(parts.date);
  if (!time) return AuthError::query_date;

  int64_t expires = 0;
  const char* const end = parts.expires.data() + parts.expires.size();
  const auto [stop, error] = std::from_chars(parts.expires.data(), end, expires);
  if (stop != end || error == std::errc::invalid_argument) return AuthError::expires_no_number;
  if (error != std::errc() || expires > kPresignedSecondsMax) return AuthError::expires_too_long;
  if (expires < 1) return AuthError::expires_negative;
  AuthRequest auth{.kind = AuthKind::presigned,
                   .credential = *credential,
                   .time_seconds = *time,
                   .expires_seconds = expires,
                   .signed_headers = parts.signed_headers,
                   .signature = parts.signature};
  if (!same_date(auth)) return AuthError::query_credential;

  FB_TRY(std::string_view content,
         single_header(head, "x-amz-content-sha256", AuthError::content_sha256_invalid));
  if (content.data() == nullptr) {
    content = parts.content_sha256;
  } else if (parts.content_sha256.data() != nullptr && parts.content_sha256 != content) {
    return AuthError::content_sha256_invalid;
  }
  if (content.data() == nullptr) content = payload_text(PayloadKind::unsigned_payload);
  FB_CHECK(set_payload(auth, content));
  return auth;
}

Result<AuthRequest> parse_anonymous(const RequestHead& head) {
  AuthRequest auth;
  FB_TRY(const std::string_view content,
         single_header(head, "x-amz-content-sha256", AuthError::content_sha256_invalid));
  if (content.data() == nullptr) return auth;
  FB_CHECK(set_payload(auth, content));
  // Chunk signatures need a key.
  if (auth.payload == PayloadKind::streaming_signed ||
      auth.payload == PayloadKind::streaming_signed_trailer) {
    return AuthError::content_sha256_invalid;
  }
  return auth;
}

// ---- Verification

// The list of signed headers in plain text, on the stack where it had to be decoded.
class SignedHeaderList {
 public:
  static Result<void> decode(const AuthRequest& auth, SignedHeaderList& list) {
    const AuthError malformed =
        auth.kind == AuthKind::header ? AuthError::header_malformed : AuthError::query_malformed;
    list.text_ = auth.signed_headers;
    if (auth.kind == AuthKind::presigned) {
      if (auth.signed_headers.size() > list.storage_.size()) return malformed;
      const auto length = percent_decode(auth.signed_headers, UriPart::query, list.storage_.data());
      if (!length) return malformed;
      list.text_ = {list.storage_.data(), *length};
    }
    if (list.text_.size() > kSignedHeadersLengthMax) return malformed;
    size_t count = 0;
    const bool good = for_each_signed_header(list.text_, [&](std::string_view name) {
      return ++count <= kSignedHeadersMax && is_header_name(name);
    });
    if (!good) return malformed;
    return {};
  }

  std::string_view text() const { return text_; }
  bool contains(std::string_view header) const {
    return !for_each_signed_header(text_,
                                   [&](std::string_view name) { return !ascii_iequals(name, header); });
  }

 private:
  // Visible ASCII without upper-case letters; ';' cannot occur.
  static bool is_header_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
      return c > ' ' && c < '\x7f' && c != ':' && !(c >= 'A' && c <= 'Z');
    });
  }

  std::string_view text_;
  std::array<char, kSignedHeadersLengthMax> storage_;
};

// Host and whatever begins with x-amz- steer what a request does, so they must be signed. Calls `found` with
// the names of those that are not, until it returns false.
void find_unsigned(const RequestHead& head, const SignedHeaderList& list, auto found) {
  if (!list.contains("host") && !found("host")) return;
  for (const HeaderField& field : head.headers) {
    if (field.name.size() < kAmzHeaderPrefix.size()) continue;
    if (!ascii_iequals(field.name.substr(0, kAmzHeaderPrefix.size()), kAmzHeaderPrefix)) continue;
    if (!list.contains(field.name) && !found(field.name)) return;
  }
}

Result<void> check_signed_headers(const RequestHead& head, const SignedHeaderList& list) {
  bool all = true;
  find_unsigned(head, list, [&](std::string_view) { return all = false; });
  if (!all) return AuthError::headers_not_signed;
  return {};
}

Result<void> check_time(const AuthRequest& auth, int64_t now_seconds) {
  const int64_t age = now_seconds - auth.time_seconds;
  if (auth.kind == AuthKind::presigned) {
    if (age < -kClockSkewSecondsMax) return AuthError::not_yet_valid;
    if (age > auth.expires_seconds) return AuthError::expired;
    return {};
  }
  if (age < -kClockSkewSecondsMax || age > kClockSkewSecondsMax) return AuthError::time_skewed;
  return {};
}

CanonicalInput canonical_input(const RequestHead& head, const AuthRequest& auth, const SignedHeaderList& list,
                               std::string_view host) {
  return {.head = head,
          .query = head.query,
          .signed_headers = list.text(),
          .payload_hash = auth.content_sha256,
          .host = host,
          .presigned = auth.kind == AuthKind::presigned};
}

}  // namespace

std::string_view payload_text(PayloadKind kind) {
  switch (kind) {
    case PayloadKind::unsigned_payload:
      return "UNSIGNED-PAYLOAD";
    case PayloadKind::hash:
      return "";
    case PayloadKind::streaming_signed:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    case PayloadKind::streaming_signed_trailer:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    case PayloadKind::streaming_unsigned_trailer:
      return "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  }
  FB_UNREACHABLE();
}

Result<void> set_payload(AuthRequest& auth, std::string_view value) {
  auth.content_sha256 = value;
  for (const PayloadKind kind :
       {PayloadKind::unsigned_payload, PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer,
        PayloadKind::streaming_unsigned_trailer}) {
    if (value != payload_text(kind)) continue;
    auth.payload = kind;
    return {};
  }
  auth.payload = PayloadKind::hash;
  if (!hex_decode(value, auth.body_sha256)) return AuthError::content_sha256_invalid;
  return {};
}

Result<AuthRequest> parse_auth(const RequestHead& head) {
  FB_TRY(const std::string_view authorization,
         single_header(head, "authorization", AuthError::header_malformed));
  FB_TRY(const PresignedParts presigned, find_presigned(head.query));
  const bool in_query = presigned.any() || presigned.version_2;
  if (in_query && (authorization.data() != nullptr || (presigned.any() && presigned.version_2)))
    return AuthError::more_than_one_mechanism;
  auto auth = authorization.data() != nullptr ? parse_header_auth(head, authorization)
              : presigned.any()               ? parse_presigned(head, presigned)
              : presigned.version_2           ? parse_v2_query(head)
                                              : parse_anonymous(head);
  if (auth) auth->other_query = presigned.others;
  return auth;
}

Result<void> verify(const RequestHead& head, const AuthRequest& auth, const SigningKey& key,
                    int64_t now_seconds, std::string_view host) {
  FB_ASSERT(auth.kind != AuthKind::anonymous);
  FB_ASSERT(auth.version == SignatureVersion::v4);
  FB_CHECK(check_time(auth, now_seconds));
  SignedHeaderList list;
  FB_CHECK(SignedHeaderList::decode(auth, list));
  FB_CHECK(check_signed_headers(head, list));
  FB_TRY(const Sha256Digest canonical, hash_canonical_request(canonical_input(head, auth, list, host)));
  const StringToSign text(auth.time_seconds, auth.credential.scope(), canonical);
  const SignatureText expected = signature_text(key.sign(text.text()));
  if (!constant_time_equal(as_view(expected), auth.signature)) return AuthError::signature_mismatch;
  return {};
}

Result<SigningKey> authenticate(const RequestHead& head, const AuthRequest& auth, std::string_view secret,
                                int64_t now_seconds, SigningKeyCache& cache, std::string_view host) {
  if (const SigningKey* known = cache.find(auth.credential, secret)) {
    FB_CHECK(verify(head, auth, *known, now_seconds, host));
    return *known;
  }
  const SigningKey key(secret, auth.credential);
  FB_CHECK(verify(head, auth, key, now_seconds, host));
  cache.insert(auth.credential, secret, key);
  return key;
}

Result<SignatureDetails> explain_signature(const RequestHead& head, const AuthRequest& auth,
                                           std::string_view host) {
  FB_ASSERT(auth.kind != AuthKind::anonymous);
  SignedHeaderList list;
  FB_CHECK(SignedHeaderList::decode(auth, list));
  SignatureDetails details;
  FB_TRY(const Sha256Digest canonical,
         hash_canonical_request(canonical_input(head, auth, list, host), &details.canonical_request));
  details.string_to_sign = StringToSign(auth.time_seconds, auth.credential.scope(), canonical).text();
  return details;
}

std::string headers_not_signed(const RequestHead& head, const AuthRequest& auth) {
  std::string names;
  SignedHeaderList list;
  if (!SignedHeaderList::decode(auth, list)) return names;
  find_unsigned(head, list, [&](std::string_view name) {
    names.append(names.empty() ? "" : ", ").append(name);
    return true;
  });
  return names;
}

}  // namespace fb::s3
