// SPDX-License-Identifier: Apache-2.0
#include "s3/response/object_metadata.h"

#include <algorithm>

#include "s3/encoding.h"
#include "s3/uri.h"

namespace fb::s3 {

constexpr std::array<SystemHeader, kSystemFieldCount> kSystemHeaders = {{
    {MetadataField::content_type, "Content-Type", "response-content-type"},
    {MetadataField::cache_control, "Cache-Control", "response-cache-control"},
    {MetadataField::content_disposition, "Content-Disposition", "response-content-disposition"},
    {MetadataField::content_encoding, "Content-Encoding", "response-content-encoding"},
    {MetadataField::content_language, "Content-Language", "response-content-language"},
    {MetadataField::expires, "Expires", "response-expires"},
}};

namespace {

constexpr uint8_t kFormatVersion = 1;
constexpr size_t kSizeFieldSize = 2;
constexpr std::string_view kAwsChunked = "aws-chunked";

void append_sized(std::string& out, std::string_view bytes) {
  FB_ASSERT(bytes.size() <= UINT16_MAX, bytes.size());
  out.push_back(static_cast<char>(bytes.size() & 0xFF));
  out.push_back(static_cast<char>(bytes.size() >> 8));
  out.append(bytes);
}

void begin_entry(std::string& out, MetadataField field) {
  if (out.empty()) out.push_back(static_cast<char>(kFormatVersion));
  out.push_back(static_cast<char>(field));
}

// The values of all fields of that name, in their order, as one list.
std::string joined_values(const RequestHead& head, std::string_view name) {
  std::string joined;
  bool first = true;
  for (const HeaderField& field : head.headers) {
    if (!ascii_iequals(field.name, name)) continue;
    if (!first) joined.push_back(',');
    joined.append(field.value);
    first = false;
  }
  return joined;
}

// The other codings as they were written; the list is only joined anew where something was taken out.
std::string without_aws_chunked(const std::string& codings) {
  std::string kept;
  bool found = false;
  std::string_view rest = codings;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view coding = ascii_trim(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (ascii_iequals(coding, kAwsChunked)) {
      found = true;
    } else if (!coding.empty()) {
      if (!kept.empty()) kept.push_back(',');
      kept.append(coding);
    }
  }
  return found ? kept : codings;
}

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
}

std::string latin1_to_utf8(std::string_view text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) {
      out.push_back(c);
    } else {
      out.push_back(static_cast<char>(0xC0 | (byte >> 6)));
      out.push_back(static_cast<char>(0x80 | (byte & 0x3F)));
    }
  }
  return out;
}

std::optional<std::string> decode_q(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      out.push_back(' ');
    } else if (text[i] == '=') {
      uint8_t byte = 0;
      if (!hex_decode(text.substr(i + 1, 2), {&byte, 1})) return std::nullopt;
      out.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// One encoded word at the start of `text`: "=?charset?B|Q?data?=".
struct Word {
  std::string utf8;
  size_t size;  // in `text`
};
std::optional<Word> decode_one_word(std::string_view text) {
  if (!text.starts_with("=?")) return std::nullopt;
  const size_t charset_end = text.find('?', 2);
  if (charset_end == std::string_view::npos || charset_end + 2 >= text.size() ||
      text[charset_end + 2] != '?') {
    return std::nullopt;
  }
  const size_t data_start = charset_end + 3;
  const size_t data_end = text.find("?=", data_start);
  if (data_end == std::string_view::npos) return std::nullopt;
  const std::string_view charset = text.substr(2, charset_end - 2);
  const std::string_view data = text.substr(data_start, data_end - data_start);
  const char kind = ascii_lower(text[charset_end + 1]);
  std::optional<std::string> bytes;
  if (kind == 'b') bytes = base64_decode(data);
  if (kind == 'q') bytes = decode_q(data);
  if (!bytes) return std::nullopt;
  if (ascii_iequals(charset, "iso-8859-1")) {
    bytes = latin1_to_utf8(*bytes);
  } else if (!(ascii_iequals(charset, "utf-8") || ascii_iequals(charset, "us-ascii")) ||
             !is_valid_utf8(*bytes)) {
    return std::nullopt;
  }
  return Word{std::move(*bytes), data_end + 2};
}

S3Result<void> append_system_headers(const RequestHead& head, std::string& out) {
  size_t total = 0;
  for (const SystemHeader& header : kSystemHeaders) {
    std::string joined;
    std::string_view value = head.header(header.name);
    if (value.empty()) continue;
    if (header.field == MetadataField::content_encoding) {
      joined = without_aws_chunked(joined_values(head, header.name));
      value = joined;
    } else if (header.field == MetadataField::cache_control ||
               header.field == MetadataField::content_language) {
      joined = joined_values(head, header.name);
      value = joined;
    }
    if (value.empty()) continue;
    if (std::ranges::any_of(value, [](char c) { return c != '\t' && static_cast<uint8_t>(c) < 0x20; })) {
      return invalid_argument("The header contains a control character.", header.name, value);
    }
    total += header.name.size() + value.size();
    if (total > kSystemHeadersSizeMax) return S3Error::RequestHeaderSectionTooLarge;
    begin_entry(out, header.field);
    append_sized(out, value);
  }
  return {};
}

bool is_user_metadata(const HeaderField& field) {
  return field.name.size() >= kUserMetadataPrefix.size() &&
         ascii_iequals(field.name.substr(0, kUserMetadataPrefix.size()), kUserMetadataPrefix);
}

S3Result<void> append_user_metadata(const RequestHead& head, std::string& out) {
  size_t total = 0;
  for (size_t i = 0; i < head.headers.size(); ++i) {
    const HeaderField& field = head.headers[i];
    if (!is_user_metadata(field)) continue;
    if (field.name.size() == kUserMetadataPrefix.size()) {
      return S3Failure(S3Error::InvalidArgument, "A user metadata header needs a name behind x-amz-meta-.");
    }
    const auto same_name = [&](const HeaderField& other) { return ascii_iequals(other.name, field.name); };
    if (std::ranges::any_of(head.headers.first(i), same_name)) continue;  // joined with the first one

    const std::string value = decode_words(joined_values(head, field.name));
    total += field.name.size() - kUserMetadataPrefix.size() + value.size();
    if (total > kUserMetadataSizeMax) {
      return S3Failure(S3Error::MetadataTooLarge)
          .with("Size", std::to_string(total))
          .with("MaxSizeAllowed", std::to_string(kUserMetadataSizeMax));
    }
    std::string name(field.name);
    std::ranges::transform(name, name.begin(), ascii_lower);
    begin_entry(out, MetadataField::user);
    append_sized(out, name);
    append_sized(out, is_printable_ascii(value) ? value : encode_word(value));
  }
  return {};
}

}  // namespace

S3Result<std::string> parse_object_metadata(const RequestHead& head) {
  std::string out;
  FB_CHECK(append_system_headers(head, out));
  FB_CHECK(append_user_metadata(head, out));
  FB_ASSERT(out.size() <= kEncodedMetadataSizeMax, out.size());
  return out;
}

std::string decode_words(std::string_view text) {
  if (text.find("=?") == std::string_view::npos) {
    return is_valid_utf8(text) ? std::string(text) : latin1_to_utf8(text);
  }
  if (!is_printable_ascii(text)) return is_valid_utf8(text) ? std::string(text) : latin1_to_utf8(text);
  std::string out;
  std::string pending_space;  // dropped between two encoded words
  bool after_word = false;
  while (!text.empty()) {
    if (auto word = decode_one_word(text)) {
      if (!after_word) out.append(pending_space);
      pending_space.clear();
      out.append(word->utf8);
      text.remove_prefix(word->size);
      after_word = true;
    } else if (text.front() == ' ') {
      pending_space.push_back(' ');
      text.remove_prefix(1);
    } else {
      out.append(pending_space);
      pending_space.clear();
      out.push_back(text.front());
      text.remove_prefix(1);
      after_word = false;
    }
  }
  return out + pending_space;
}

std::string encode_word(std::string_view utf8) { return "=?UTF-8?B?" + base64_encode(as_bytes(utf8)) + "?="; }

MetadataReader::MetadataReader(std::string_view encoded) : rest_(encoded) {
  if (rest_.empty()) return;
  if (rest_.front() != static_cast<char>(kFormatVersion)) {
    fail();
    return;
  }
  rest_.remove_prefix(1);
}

std::optional<MetadataEntry> MetadataReader::fail() {
  damaged_ = true;
  rest_ = {};
  return std::nullopt;
}

std::optional<std::string_view> MetadataReader::take_sized() {
  if (rest_.size() < kSizeFieldSize) return std::nullopt;
  const size_t size = static_cast<uint8_t>(rest_[0]) | static_cast<size_t>(static_cast<uint8_t>(rest_[1]))
                                                           << 8;
  rest_.remove_prefix(kSizeFieldSize);
  if (rest_.size() < size) return std::nullopt;
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::optional<MetadataEntry> MetadataReader::next() {
  if (rest_.empty()) return std::nullopt;
  const auto field = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  constexpr auto kUser = static_cast<uint8_t>(MetadataField::user);
  if (field == 0 || field > kUser) return fail();
  if (field < last_field_ || (field == last_field_ && field != kUser)) return fail();
  last_field_ = field;
  MetadataEntry entry;
  entry.field = static_cast<MetadataField>(field);
  if (entry.field == MetadataField::user) {
    const auto name = take_sized();
    if (!name || !name->starts_with(kUserMetadataPrefix)) return fail();
    entry.name = *name;
  } else {
    entry.name = kSystemHeaders[field - 1].name;
  }
  const auto value = take_sized();
  if (!value) return fail();
  entry.value = *value;
  return entry;
}

}  // namespace fb::s3
