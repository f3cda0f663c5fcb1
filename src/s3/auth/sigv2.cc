// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/sigv2.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/assert.h"
#include "s3/auth/auth_parts.h"
#include "s3/auth/canonical.h"
#include "s3/checksum/hash.h"
#include "s3/encoding.h"
#include "s3/request/route.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kScheme = "AWS ";
constexpr std::string_view kAmzPrefix = "x-amz-";
constexpr size_t kExpiresDigitsMax = 12;

// AWS's list and botocore's, sorted: items of the query that enter the resource.
constexpr auto kSignedItems = std::to_array<std::string_view>({"accelerate",
                                                               "acl",
                                                               "analytics",
                                                               "cors",
                                                               "defaultObjectAcl",
                                                               "delete",
                                                               "inventory",
                                                               "lifecycle",
                                                               "location",
                                                               "logging",
                                                               "metrics",
                                                               "notification",
                                                               "object-lock",
                                                               "partNumber",
                                                               "policy",
                                                               "replication",
                                                               "requestPayment",
                                                               "response-cache-control",
                                                               "response-content-disposition",
                                                               "response-content-encoding",
                                                               "response-content-language",
                                                               "response-content-type",
                                                               "response-expires",
                                                               "restore",
                                                               "select",
                                                               "select-type",
                                                               "storageClass",
                                                               "tagging",
                                                               "torrent",
                                                               "uploadId",
                                                               "uploads",
                                                               "versionId",
                                                               "versioning",
                                                               "versions",
                                                               "website"});
static_assert(std::ranges::is_sorted(kSignedItems));

// Decoded text that could pass for more than one line of the string to sign is refused: a value of the query
// may hold any byte, a header may not.
Result<std::string> decode_line(std::string_view encoded) {
  auto text = decode_query(encoded);
  if (!text) return AuthError::uri_malformed;
  if (std::ranges::any_of(*text, [](char c) { return c == '\n' || c == '\r' || c == '\0'; }))
    return AuthError::query_malformed;
  return *std::move(text);
}

// The resource has its values decoded, so "a=1%26uploadId%3Dx" would read as "a=1&uploadId=x".
bool reads_as_further_item(std::string_view value) {
  for (size_t at = value.find('&'); at != value.npos; at = value.find('&', at + 1)) {
    const std::string_view rest = value.substr(at + 1);
    if (std::ranges::binary_search(kSignedItems, rest.substr(0, rest.find_first_of("=&")))) return true;
  }
  return false;
}

struct Line {
  std::string name;
  std::string value;
  bool has_value = true;
  size_t position = 0;  // among the headers and items as they came
};

bool is_amz(std::string_view name) {
  return name.size() > kAmzPrefix.size() && ascii_iequals(name.substr(0, kAmzPrefix.size()), kAmzPrefix);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), ascii_lower);
  return out;
}

// An item that came as a header too, with the same value, counts once: users of presigned URLs send both.
Result<void> add_amz_item(const QueryItem& item, std::string name, std::vector<Line>& lines,
                          size_t header_count) {
  if (name.find(':') != name.npos) return AuthError::query_malformed;
  FB_TRY(const std::string value, decode_line(item.value));
  Line line{.name = std::move(name), .value = std::string(ascii_trim(value))};
  const auto same = [&](const Line& other) { return other.name == line.name && other.value == line.value; };
  if (std::any_of(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(header_count), same)) return {};
  lines.push_back(std::move(line));
  return {};
}

struct CanonicalParts {
  std::vector<Line> amz;    // sorted by name; fields of one name in their order
  std::vector<Line> items;  // of the resource, sorted by name
};

Result<CanonicalParts> collect_parts(const RequestHead& head) {
  CanonicalParts parts;
  for (const HeaderField& field : head.headers) {
    if (is_amz(field.name))
      parts.amz.push_back({.name = lower(field.name), .value = std::string(ascii_trim(field.value))});
  }
  const size_t header_count = parts.amz.size();
  size_t count = 0;
  for (const QueryItem& item : QueryView(head.query)) {
    if (++count > kQueryItemsMax) return AuthError::too_many_query_items;
    FB_TRY(std::string name, decode_line(item.name));
    if (is_amz(name)) {
      FB_CHECK(add_amz_item(item, lower(name), parts.amz, header_count));
    } else if (std::ranges::binary_search(kSignedItems, name)) {
      FB_TRY(std::string value, decode_line(item.value));
      if (reads_as_further_item(value)) return AuthError::query_malformed;
      parts.items.push_back(
          {.name = std::move(name), .value = std::move(value), .has_value = item.has_equals});
    } else if (const std::string_view selects = sub_resource_of(item);
               !selects.empty() && selects != "list-type") {
      return AuthError::item_not_signed;
    }
  }
  for (size_t i = 0; i < parts.amz.size(); ++i) parts.amz[i].position = i;
  // Fields of one name stay in their order. Items of one name are refused below.
  std::ranges::sort(parts.amz, [](const Line& a, const Line& b) {
    return std::tie(a.name, a.position) < std::tie(b.name, b.position);
  });
  std::ranges::sort(parts.items, {}, &Line::name);
  if (std::ranges::adjacent_find(parts.items, {}, &Line::name) != parts.items.end())
    return AuthError::query_malformed;
  return parts;
}

void append_amz_lines(const std::vector<Line>& lines, std::string& out) {
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0 && lines[i].name == lines[i - 1].name) {
      out.back() = ',';  // in place of the line's end
    } else {
      out.append(lines[i].name).push_back(':');
    }
    out.append(lines[i].value).push_back('\n');
  }
}

// Clients write the resource in two ways in two places, whichever they send. All verify: they mean the same.
struct ResourceForm {
  bool bucket_slash = true;  // a bucket alone is "/bucket/" (AWS's SDKs), not "/bucket" (rclone)
  bool empty_equals = true;  // an item "uploads=" is signed so (boto), not as "uploads" (rclone)
};

// Whether the path is a bucket alone: "/bucket" or "/bucket/".
bool is_bucket_alone(std::string_view path) {
  return path.size() > 1 && path.find('/', 1) >= path.size() - 1;
}

void append_resource(const RequestHead& head, std::optional<std::string_view> bucket, ResourceForm form,
                     const std::vector<Line>& items, std::string& out) {
  if (bucket) out.append("/").append(lower(*bucket));
  std::string_view path = head.path.empty() ? "/" : head.path;
  const bool alone = !bucket && is_bucket_alone(path);
  if (alone && path.ends_with('/')) path.remove_suffix(1);
  out.append(path);
  if (alone && form.bucket_slash) out.push_back('/');
  char separator = '?';
  for (const Line& item : items) {
    out.push_back(separator);
    out.append(item.name);
    if (item.has_value && (form.empty_equals || !item.value.empty())) out.append("=").append(item.value);
    separator = '&';
  }
}

// A header, or what an URL says in its place.
Result<std::string> header_or_item(const RequestHead& head, const AuthRequest& auth, std::string_view name) {
  FB_TRY(const std::string_view value, single_header(head, name, AuthError::header_malformed));
  if (value.data() != nullptr || auth.kind != AuthKind::presigned) return std::string(ascii_trim(value));
  for (const QueryItem& item : QueryView(head.query)) {
    const auto decoded = decode_query(item.name);
    if (!decoded || !ascii_iequals(*decoded, name)) continue;
    return decode_line(item.value);
  }
  return std::string();
}

Result<void> check_time_v2(const AuthRequest& auth, int64_t now_seconds) {
  if (auth.kind == AuthKind::presigned) {
    if (now_seconds > auth.time_seconds) return AuthError::expired;
    if (auth.time_seconds - now_seconds > kPresignedSecondsMax + kClockSkewSecondsMax)
      return AuthError::expires_too_late;
    return {};
  }
  auto time = parse_http_date(auth.date, now_seconds);
  if (!time) time = parse_amz_date(auth.date);
  if (!time) return AuthError::date_missing;
  const int64_t age = now_seconds - *time;
  if (age < -kClockSkewSecondsMax || age > kClockSkewSecondsMax) return AuthError::time_skewed;
  return {};
}

// The body is not signed, so a form whose chunks are has nothing to hang them on.
Result<void> read_payload(const RequestHead& head, AuthRequest& auth) {
  FB_TRY(std::string_view content,
         single_header(head, "x-amz-content-sha256", AuthError::content_sha256_invalid));
  if (content.data() == nullptr) {
    if (const auto item = QueryView(head.query).get("X-Amz-Content-Sha256")) content = *item;
  }
  if (content.data() == nullptr) content = payload_text(PayloadKind::unsigned_payload);
  FB_CHECK(set_payload(auth, content));
  if (is_streaming(auth.payload)) return AuthError::streaming_needs_v4;
  return {};
}

std::optional<int64_t> parse_expires(std::string_view text) {
  int64_t seconds = 0;
  if (text.empty() || text.size() > kExpiresDigitsMax || !std::ranges::all_of(text, ascii_is_digit))
    return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return seconds;
}

}  // namespace

Result<AuthRequest> parse_v2_header(const RequestHead& head, std::string_view authorization) {
  FB_ASSERT(authorization.starts_with(kScheme));
  authorization.remove_prefix(kScheme.size());
  const size_t colon = authorization.rfind(':');
  if (colon == authorization.npos) return AuthError::header_malformed;
  const auto credential = Credential::of_access_key(authorization.substr(0, colon));
  if (!credential) return AuthError::header_malformed;
  AuthRequest auth{.kind = AuthKind::header,
                   .version = SignatureVersion::v2,
                   .credential = *credential,
                   .signature = authorization.substr(colon + 1)};
  FB_TRY(const std::string_view amz_date, single_header(head, "x-amz-date", AuthError::date_missing));
  FB_TRY(const std::string_view date, single_header(head, "date", AuthError::date_missing));
  auth.date = amz_date.data() != nullptr ? amz_date : date;
  if (auth.date.empty()) return AuthError::date_missing;
  FB_CHECK(read_payload(head, auth));
  return auth;
}

Result<AuthRequest> parse_v2_query(const RequestHead& head) {
  std::optional<std::string_view> key, expires, signature;
  for (const QueryItem& item : QueryView(head.query)) {
    for (const auto& [name, target] : {std::pair("AWSAccessKeyId", &key), std::pair("Expires", &expires),
                                       std::pair("Signature", &signature)}) {
      if (!item.is(name)) continue;
      if (*target) return AuthError::query_malformed;
      *target = item.value;
    }
  }
  if (!key || !expires || !signature) return AuthError::query_incomplete_v2;
  const auto plain_key = decode_query(*key);
  const auto credential = plain_key ? Credential::of_access_key(*plain_key) : std::nullopt;
  const auto time = parse_expires(*expires);
  if (!credential) return AuthError::query_malformed;
  if (!time) return AuthError::expires_malformed_v2;
  AuthRequest auth{.kind = AuthKind::presigned,
                   .version = SignatureVersion::v2,
                   .credential = *credential,
                   .time_seconds = *time,
                   .signature = *signature,
                   .date = *expires};
  FB_CHECK(read_payload(head, auth));
  return auth;
}

namespace {

// All of the string to sign but the resource.
Result<std::string> text_before_resource(const RequestHead& head, const AuthRequest& auth,
                                         const CanonicalParts& parts) {
  FB_TRY(const std::string md5, header_or_item(head, auth, "content-md5"));
  FB_TRY(const std::string type, header_or_item(head, auth, "content-type"));
  std::string text(head.method);
  text.append("\n").append(md5).append("\n").append(type).append("\n");
  const bool by_amz_date = auth.kind == AuthKind::header && head.has_header("x-amz-date");
  if (!by_amz_date) text.append(auth.date);
  text.push_back('\n');
  append_amz_lines(parts.amz, text);
  return text;
}

}  // namespace

Result<std::string> string_to_sign_v2(const RequestHead& head, const AuthRequest& auth,
                                      std::optional<std::string_view> bucket) {
  FB_TRY(const CanonicalParts parts, collect_parts(head));
  FB_TRY(std::string text, text_before_resource(head, auth, parts));
  append_resource(head, bucket, {}, parts.items, text);
  return text;
}

std::string signature_v2(std::string_view secret, std::string_view string_to_sign) {
  return base64_encode(hmac_sha1(as_bytes(secret), as_bytes(string_to_sign)));
}

Result<void> verify_v2(const RequestHead& head, const AuthRequest& auth, std::string_view secret,
                       int64_t now_seconds, std::optional<std::string_view> bucket) {
  FB_ASSERT(auth.kind != AuthKind::anonymous);
  FB_ASSERT(auth.version == SignatureVersion::v2);
  FB_CHECK(check_time_v2(auth, now_seconds));
  // In a query '+' stays itself: it belongs to base64, a space does not, and old clients leave it as it is.
  const auto given = auth.kind == AuthKind::presigned ? decode_path(auth.signature)
                                                      : std::optional(std::string(auth.signature));
  if (!given) return AuthError::query_malformed;
  FB_TRY(const CanonicalParts parts, collect_parts(head));
  FB_TRY(std::string text, text_before_resource(head, auth, parts));
  const size_t resource_at = text.size();
  const bool has_empty =
      std::ranges::any_of(parts.items, [](const Line& item) { return item.has_value && item.value.empty(); });
  const bool is_alone = !bucket && is_bucket_alone(head.path);
  for (const ResourceForm form :
       {ResourceForm{}, ResourceForm{.bucket_slash = false}, ResourceForm{.empty_equals = false},
        ResourceForm{.bucket_slash = false, .empty_equals = false}}) {
    // A form that this request cannot show would be another's text again.
    if ((!form.bucket_slash && !is_alone) || (!form.empty_equals && !has_empty)) continue;
    text.resize(resource_at);
    append_resource(head, bucket, form, parts.items, text);
    if (constant_time_equal(signature_v2(secret, text), *given)) return {};
  }
  return AuthError::signature_mismatch;
}

}  // namespace fb::s3
