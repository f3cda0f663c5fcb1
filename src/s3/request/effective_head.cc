// SPDX-License-Identifier: Apache-2.0
#include "s3/request/effective_head.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kPrefix = "x-amz-";
constexpr size_t kFoldedMax = 128;  // as many as there may be headers
constexpr size_t kNameSizeMax = 256;

constexpr std::array<std::string_view, 6> kSignatureItems = {"x-amz-algorithm",     "x-amz-credential",
                                                             "x-amz-date",          "x-amz-expires",
                                                             "x-amz-signedheaders", "x-amz-signature"};
constexpr std::string_view kContentSha256 = "x-amz-content-sha256";
constexpr std::string_view kContentSha256Item = "X-Amz-Content-Sha256";  // the spelling that sigv4.cc reads

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ascii_iequals(text.substr(0, prefix.size()), prefix);
}

// The decoded name in lower case, at `out`, where it may be the name of a header; nothing for other items.
std::optional<std::string_view> header_name(const QueryItem& item, std::array<char, kNameSizeMax>& out) {
  const char first = item.name.empty() ? '\0' : item.name[0];
  if (first != 'x' && first != 'X' && first != 'c' && first != 'C' && first != '%') return std::nullopt;
  if (item.name.size() > out.size()) return std::nullopt;
  const auto size = percent_decode(item.name, UriPart::query, out.data());
  if (!size) return std::nullopt;  // the canonical request is refused for it
  std::transform(out.data(), out.data() + *size, out.data(), ascii_lower);
  return std::string_view(out.data(), *size);
}

bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return std::ranges::all_of(
      name, [&](char c) { return ascii_is_alpha(c) || ascii_is_digit(c) || kMarks.find(c) != kMarks.npos; });
}

// As src/http takes it on the wire.
bool may_be_value(std::string_view value) {
  return std::ranges::all_of(value, [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

bool is_left_out(std::string_view name) {
  constexpr std::string_view kChecksum = "x-amz-checksum-";
  if (name == "x-amz-sdk-checksum-algorithm") return true;
  if (std::ranges::find(kSignatureItems, name) != kSignatureItems.end()) return true;
  if (!name.starts_with(kChecksum)) return false;
  const std::string_view what = name.substr(kChecksum.size());
  return what != "algorithm" && what != "type" && what != "mode";
}

// An URL of signature version 2 carries the two headers that its signature covers beside x-amz-*.
bool is_version_2(QueryView query) { return query.has("AWSAccessKeyId") && query.has("Signature"); }

}  // namespace

EffectiveHead::EffectiveHead(const RequestHead& sent, std::string_view query) : sent_(sent), head_(sent) {
  head_.query = query;
  if (query.empty()) return;
  problem_ = fold();
  if (!problem_) folded_.clear();
  if (folded_.empty()) return;
  folded_.insert(folded_.begin(), sent_.headers.begin(), sent_.headers.end());
  head_.headers = folded_;
}

S3Result<void> EffectiveHead::fold() {
  std::optional<bool> version_2;
  std::array<char, kNameSizeMax> buffer;
  for (const QueryItem& item : QueryView(head_.query)) {
    const auto name = header_name(item, buffer);
    if (!name) {
      if (starts_with_ignoring_case(item.name, kPrefix))
        return S3Failure(S3Error::InvalidURI,
                         "The name of an x-amz-* item of the query is malformed or too long.");
      continue;
    }
    if (name->starts_with(kPrefix)) {
      if (is_left_out(*name)) continue;
    } else {
      if (*name != "content-type" && *name != "content-md5") continue;
      if (!version_2) version_2 = is_version_2(QueryView(sent_.query));
      if (!*version_2 || sent_.has_header(*name)) continue;
    }
    FB_CHECK(add(item, *name));
  }
  return {};
}

S3Result<void> EffectiveHead::add(const QueryItem& item, std::string_view name) {
  if (name == "x-amz-security-token") return S3Error::InvalidToken;
  if (name == kContentSha256) {
    if (item.is(kContentSha256Item)) return {};
    return invalid_argument("In a query this parameter is spelt X-Amz-Content-Sha256.", kContentSha256, "");
  }
  if (name.starts_with("x-amz-copy-source")) {
    return S3Failure(
        S3Error::InvalidRequest,
        "x-amz-copy-source has to be a header. Exclude it from what the presigner moves to the query "
        "(unhoistableHeaders), sign it and send it.");
  }
  if (!is_token(name)) return invalid_argument("This is no name of a header.", "query", item.name);
  if (folded_.size() == kFoldedMax)
    return S3Failure(S3Error::InvalidURI, "The query has too many x-amz-* items.");

  if (text_.capacity() < sent_.query.size()) text_.reserve(sent_.query.size());
  const size_t name_at = text_.size();
  text_.append(name);
  const size_t value_at = text_.size();
  text_.resize(value_at + item.value.size());
  const auto size = percent_decode(item.value, UriPart::query, text_.data() + value_at);
  if (!size) return S3Error::InvalidURI;
  text_.resize(value_at + *size);
  const HeaderField field{std::string_view(text_).substr(name_at, name.size()),
                          ascii_trim(std::string_view(text_).substr(value_at))};
  if (!may_be_value(field.value))
    return invalid_argument("The value contains a control character.", field.name, item.value);
  for (const HeaderField& other : sent_.headers) {
    if (!ascii_iequals(other.name, name)) continue;
    if (other.value == field.value) return {};
    return invalid_argument("The header and the query item of this name differ.", field.name, field.value);
  }
  folded_.push_back(field);
  return {};
}

}  // namespace fb::s3
