// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/canonical.h"

#include <algorithm>
#include <compare>
#include <cstring>
#include <span>

#include "base/ascii.h"
#include "base/assert.h"
#include "s3/auth/auth_error.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

// Collects text in a small buffer and hashes it whenever that is full: a usual request is one call of the
// hash.
class HashWriter {
 public:
  explicit HashWriter(std::string* copy) : copy_(copy) {}

  void append(char c) {
    if (used_ == kSize) flush();
    buffer_[used_++] = c;
  }
  void append(std::string_view text) {
    while (!text.empty()) {
      if (used_ == kSize) flush();
      const size_t now = std::min(text.size(), kSize - used_);
      std::memcpy(buffer_.data() + used_, text.data(), now);
      used_ += now;
      text.remove_prefix(now);
    }
  }
  // False where `text` is not well-formed.
  bool append_normalized(std::string_view text, UriPart part, Slash slash) {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, piece_length(text));
      if (kSize - used_ < kUriEncodeGrowth * piece.size()) flush();
      char* const begin = buffer_.data() + used_;
      const char* const end = uri_normalize(piece, part, slash, begin);
      if (end == nullptr) return false;
      used_ += end - begin;
      text.remove_prefix(piece.size());
    }
    return true;
  }
  // Runs of white space become one space; what stands at the ends goes.
  void append_header_value(std::string_view value) {
    value = ascii_trim(value);
    if (value.find("  ") == value.npos && value.find('\t') == value.npos) return append(value);
    bool after_space = false;
    for (const char c : value) {
      const bool is_space = c == ' ' || c == '\t';
      if (!is_space) append(c);
      if (is_space && !after_space) append(' ');
      after_space = is_space;
    }
  }
  Sha256Digest finish() {
    flush();
    return hash_.finish();
  }

 private:
  static constexpr size_t kSize = 1536;
  static constexpr size_t kPieceMax = 256;
  static_assert(kUriEncodeGrowth * kPieceMax <= kSize);

  // At most kPieceMax, and not in the middle of a %XX.
  static size_t piece_length(std::string_view text) {
    if (text.size() <= kPieceMax) return text.size();
    if (text[kPieceMax - 1] == '%') return kPieceMax - 1;
    if (text[kPieceMax - 2] == '%') return kPieceMax - 2;
    return kPieceMax;
  }
  void flush() {
    const std::string_view text(buffer_.data(), used_);
    hash_.update(text);
    if (copy_ != nullptr) copy_->append(text);
    used_ = 0;
  }

  Sha256 hash_;
  std::string* copy_;
  size_t used_ = 0;
  std::array<char, kSize> buffer_;  // only the first used_ are set
};

struct RawItem {
  const char* begin;
  uint32_t name_length;
  uint32_t value_length;
  uint32_t value_offset;

  std::string_view name() const { return {begin, name_length}; }
  std::string_view value() const { return {begin + value_offset, value_length}; }
};

// Orders two raw texts as their normalised forms are ordered, without making these. Encoded characters start
// with '%', which is less than every character that stays as it is; among themselves they are in the order of
// their bytes.
std::strong_ordering compare_normalized(std::string_view a, std::string_view b) {
  const auto next_rank = [](std::string_view& text) -> int {
    constexpr int kPlain = 256;
    char c = 0;
    const size_t length = text.front() == '%' ? std::min<size_t>(3, text.size()) : 1;
    percent_decode(text.substr(0, length), UriPart::query, &c);
    text.remove_prefix(length);
    return static_cast<uint8_t>(c) + (is_uri_unreserved(c) ? kPlain : 0);
  };
  size_t same = 0;
  while (same < std::min(a.size(), b.size()) && a[same] == b[same] && a[same] != '%') ++same;
  a.remove_prefix(same);
  b.remove_prefix(same);
  while (!a.empty() && !b.empty()) {
    const int rank_a = next_rank(a);
    const int rank_b = next_rank(b);
    if (rank_a != rank_b) return rank_a <=> rank_b;
  }
  return a.size() <=> b.size();
}

bool comes_before(const RawItem& a, const RawItem& b) {
  const std::strong_ordering by_name = compare_normalized(a.name(), b.name());
  return by_name != 0 ? by_name < 0 : compare_normalized(a.value(), b.value()) < 0;
}

Result<void> append_query(HashWriter& out, const CanonicalInput& input) {
  std::array<RawItem, kQueryItemsMax> storage;
  size_t count = 0;
  for (const QueryItem& item : QueryView(input.query)) {
    if (input.presigned && item.is(kSignatureQueryName)) continue;
    if (count == kQueryItemsMax) return AuthError::too_many_query_items;
    storage[count++] = {.begin = item.name.data(),
                        .name_length = static_cast<uint32_t>(item.name.size()),
                        .value_length = static_cast<uint32_t>(item.value.size()),
                        .value_offset = static_cast<uint32_t>(item.name.size() + (item.has_equals ? 1 : 0))};
  }
  const std::span<RawItem> items(storage.data(), count);
  if (!std::ranges::is_sorted(items, comes_before)) std::ranges::sort(items, comes_before);
  for (const RawItem& item : items) {
    if (&item != items.data()) out.append('&');
    if (!out.append_normalized(item.name(), UriPart::query, Slash::encode)) return AuthError::uri_malformed;
    out.append('=');
    if (!out.append_normalized(item.value(), UriPart::query, Slash::encode)) return AuthError::uri_malformed;
  }
  return {};
}

// A name that is signed but not sent counts as sent empty.
void append_header(HashWriter& out, const CanonicalInput& input, std::string_view name) {
  out.append(name);
  out.append(':');
  if (!input.host.empty() && name == "host") {
    out.append_header_value(input.host);
  } else {
    bool first = true;
    for (const HeaderField& field : input.head.headers) {
      if (!ascii_iequals(field.name, name)) continue;
      if (!first) out.append(',');
      out.append_header_value(field.value);
      first = false;
    }
  }
  out.append('\n');
}

}  // namespace

Result<Sha256Digest> hash_canonical_request(const CanonicalInput& input, std::string* copy) {
  HashWriter out(copy);
  out.append(input.head.method);
  out.append('\n');
  const std::string_view path = input.head.path.empty() ? "/" : input.head.path;
  if (!out.append_normalized(path, UriPart::path, Slash::keep)) return AuthError::uri_malformed;
  out.append('\n');
  FB_CHECK(append_query(out, input));
  out.append('\n');
  for_each_signed_header(input.signed_headers, [&](std::string_view name) {
    append_header(out, input, name);
    return true;
  });
  out.append('\n');
  out.append(input.signed_headers);
  out.append('\n');
  out.append(input.payload_hash);
  return out.finish();
}

StringToSign::StringToSign(int64_t time_seconds, std::string_view scope, const Sha256Digest& canonical_hash) {
  FB_ASSERT(scope.size() <= kCredentialLengthMax, scope.size());
  char* out = std::ranges::copy(kSigningAlgorithm, text_.data()).out;
  *out++ = '\n';
  out = format_amz_date(time_seconds, out);
  *out++ = '\n';
  out = std::ranges::copy(scope, out).out;
  *out++ = '\n';
  out = hex_encode(canonical_hash, out);
  length_ = out - text_.data();
}

}  // namespace fb::s3
