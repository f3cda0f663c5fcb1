// SPDX-License-Identifier: Apache-2.0
#include "http/http_parser.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "http/scan.h"

namespace fb {
namespace {

constexpr size_t kMethodBytesMax = 32;
constexpr size_t kEmptyLinesMax = 2;  // before a request line: some clients send an empty line after a body
constexpr std::string_view kVersionPrefix = "HTTP/";
constexpr size_t kVersionBytes = 8;  // "HTTP/1.1"

constexpr int kBadRequest = 400;
constexpr int kUriTooLong = 414;
constexpr int kHeadersTooLarge = 431;
constexpr int kNotImplemented = 501;
constexpr int kVersionNotSupported = 505;

// Digits only, at most 2^63-1.
std::optional<uint64_t> parse_length(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, ascii_is_digit)) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return static_cast<uint64_t>(value);
}

// Calls `visit` with each trimmed element of a comma separated list.
template <class Visit>
void for_each_element(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    visit(ascii_trim(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

// HTTP/1.0 and every HTTP/1.x are served; other versions of HTTP are 505, anything else is 400.
int version_status(std::string_view version) {
  if (version.size() != kVersionBytes || !version.starts_with(kVersionPrefix) ||
      !ascii_is_digit(version[5]) || version[6] != '.' || !ascii_is_digit(version[7])) {
    return kBadRequest;
  }
  return version[5] == '1' ? 0 : kVersionNotSupported;
}

}  // namespace

HeadParser::HeadParser(std::span<HeaderField> fields, const HttpLimits& limits)
    : fields_(fields.first(std::min(fields.size(), limits.header_count))), limits_(limits) {}

void HeadParser::reset_head() {
  field_count_ = 0;
  position_ = 0;
  scanned_ = 0;
  fields_start_ = 0;
  host_count_ = 0;
  transfer_encoding_count_ = 0;
  host_ = {};
  framing_ = {};
  error_status_ = 0;
}

ParseState HeadParser::fail(int status) {
  error_status_ = status;
  return ParseState::failed;
}

ParseState HeadParser::next_line(std::string_view input, size_t end_max, int status_beyond,
                                 std::string_view& line) {
  const size_t visible = std::min(input.size(), end_max);
  const size_t found = find_control(input.substr(0, visible), scanned_);
  scanned_ = found;
  if (found == visible) return visible == end_max ? fail(status_beyond) : ParseState::need_more;
  if (input[found] != '\r') return fail(kBadRequest);
  if (found + 1 == end_max) return fail(status_beyond);
  if (found + 1 == input.size()) return ParseState::need_more;
  if (input[found + 1] != '\n') return fail(kBadRequest);
  line = input.substr(position_, found - position_);
  position_ = found + 2;
  scanned_ = position_;
  return ParseState::complete;
}

ParseState HeadParser::parse_fields(std::string_view input) {
  const size_t end_max = fields_start_ + limits_.header_section_bytes;
  for (;;) {
    std::string_view line;
    const ParseState state = next_line(input, end_max, kHeadersTooLarge, line);
    if (state != ParseState::complete) return state;
    if (line.empty()) return ParseState::complete;
    if (!add_field(line)) return ParseState::failed;
  }
}

bool HeadParser::add_field(std::string_view line) {
  size_t colon = 0;
  while (colon < line.size() && http_is_token_char(line[colon])) ++colon;
  // Also refuses folded lines, which begin with white space, and white space before the colon.
  if (colon == 0 || colon == line.size() || line[colon] != ':') return fail(kBadRequest), false;
  if (field_count_ == fields_.size()) return fail(kHeadersTooLarge), false;
  HeaderField& field = fields_[field_count_++];
  field.name = line.substr(0, colon);
  field.value = ascii_trim(line.substr(colon + 1));
  return note_framing(field);
}

bool HeadParser::note_framing(const HeaderField& field) {
  const std::string_view value = field.value;
  switch (field.name.size()) {
    case 4:
      if (ascii_iequals(field.name, "host")) {
        host_ = value;
        if (++host_count_ > 1 || !is_host_text(value)) return fail(kBadRequest), false;
      }
      return true;
    case 6:
      // Other expectations are ignored, as HTTP allows and S3 does.
      if (ascii_iequals(field.name, "expect") && ascii_iequals(value, "100-continue")) {
        framing_.expect_continue = true;
      }
      return true;
    case 10:
      if (ascii_iequals(field.name, "connection")) {
        for_each_element(value, [&](std::string_view option) {
          if (ascii_iequals(option, "close")) framing_.connection_close = true;
          if (ascii_iequals(option, "keep-alive")) framing_.connection_keep_alive = true;
        });
      }
      return true;
    case 14:
      if (ascii_iequals(field.name, "content-length")) {
        if (framing_.content_length) return fail(kBadRequest), false;
        framing_.content_length = parse_length(value);
        if (!framing_.content_length) return fail(kBadRequest), false;
      }
      return true;
    case 17:
      if (ascii_iequals(field.name, "transfer-encoding")) {
        if (++transfer_encoding_count_ > 1) return fail(kBadRequest), false;
        framing_.chunked = ascii_iequals(value, "chunked");
      }
      return true;
    default:
      return true;
  }
}

void RequestParser::reset() {
  reset_head();
  head_ = {};
  authority_ = {};
  empty_lines_ = 0;
}

ParseState RequestParser::parse(std::string_view input) {
  if (error_status_ != 0) return ParseState::failed;
  while (fields_start_ == 0) {
    std::string_view line;
    const size_t end_max = position_ + limits_.request_line_bytes + 2;
    const ParseState state = next_line(input, end_max, kUriTooLong, line);
    if (state != ParseState::complete) return state;
    if (line.empty()) {
      if (++empty_lines_ > kEmptyLinesMax) return fail(kBadRequest);
      continue;
    }
    if (!parse_request_line(line)) return ParseState::failed;
    fields_start_ = position_;
  }
  const ParseState state = parse_fields(input);
  return state == ParseState::complete ? finish() : state;
}

bool RequestParser::parse_request_line(std::string_view line) {
  const size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos) return fail(kBadRequest), false;
  head_.method = line.substr(0, method_end);
  if (!http_is_token(head_.method)) return fail(kBadRequest), false;
  if (head_.method.size() > kMethodBytesMax) return fail(kNotImplemented), false;
  const std::string_view rest = line.substr(method_end + 1);
  const size_t target_end = rest.rfind(' ');
  if (target_end == std::string_view::npos) return fail(kBadRequest), false;
  return parse_version(rest.substr(target_end + 1)) && parse_target(rest.substr(0, target_end));
}

bool RequestParser::parse_version(std::string_view version) {
  if (const int status = version_status(version); status != 0) return fail(status), false;
  head_.http_1_0 = version[7] == '0';
  return true;
}

bool RequestParser::parse_target(std::string_view target) {
  if (target.empty() || !is_target_text(target)) return fail(kBadRequest), false;
  if (target == "*") {
    if (head_.method != "OPTIONS") return fail(kBadRequest), false;
    head_.target = target;
    head_.path = "/";
    return true;
  }
  if (target.front() != '/') {
    const size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return fail(kBadRequest), false;
    const std::string_view scheme = target.substr(0, scheme_end);
    if (!ascii_iequals(scheme, "http") && !ascii_iequals(scheme, "https")) return fail(kBadRequest), false;
    target.remove_prefix(scheme_end + 3);
    const size_t authority_end = std::min(target.find_first_of("/?"), target.size());
    authority_ = target.substr(0, authority_end);
    target.remove_prefix(authority_end);
    if (authority_.empty() || !is_host_text(authority_)) return fail(kBadRequest), false;
    if (target.empty()) target = "/";
    if (target.front() != '/') return fail(kBadRequest), false;
  }
  head_.target = target;
  const size_t question = std::min(target.find('?'), target.size());
  head_.path = target.substr(0, question);
  head_.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

ParseState RequestParser::finish() {
  head_.headers = fields_.first(field_count_);
  if (transfer_encoding_count_ != 0) {
    // Attackers use both at once, or a coding that HTTP/1.0 does not have, to smuggle requests past a proxy.
    if (framing_.content_length || head_.http_1_0) return fail(kBadRequest);
    if (!framing_.chunked) return fail(kNotImplemented);
  }
  if (host_count_ == 0 && !head_.http_1_0) return fail(kBadRequest);
  if (!authority_.empty() && host_count_ != 0 && !ascii_iequals(authority_, host_)) return fail(kBadRequest);
  if (head_.http_1_0) framing_.expect_continue = false;  // such a client cannot understand 100
  return ParseState::complete;
}

void RequestParser::rebase(const char* from, const char* to) {
  const auto move = [&](std::string_view& view) {
    // A path that is not part of the input ("/" for an absolute target without a path) stays.
    if (view.data() < from || view.data() > from + position_) return;
    view = std::string_view(to + (view.data() - from), view.size());
  };
  move(head_.method);
  move(head_.target);
  move(head_.path);
  move(head_.query);
  for (HeaderField& field : fields_.first(field_count_)) {
    move(field.name);
    move(field.value);
  }
}

void ResponseParser::reset() {
  reset_head();
  head_ = {};
}

ParseState ResponseParser::parse(std::string_view input) {
  if (error_status_ != 0) return ParseState::failed;
  if (fields_start_ == 0) {
    std::string_view line;
    const ParseState state = next_line(input, limits_.request_line_bytes + 2, kBadRequest, line);
    if (state != ParseState::complete) return state;
    if (!parse_status_line(line)) return ParseState::failed;
    fields_start_ = position_;
  }
  const ParseState state = parse_fields(input);
  if (state != ParseState::complete) return state;
  head_.headers = fields_.first(field_count_);
  if (transfer_encoding_count_ != 0) {
    if (framing_.content_length) return fail(kBadRequest);
    if (!framing_.chunked) return fail(kNotImplemented);
  }
  return ParseState::complete;
}

// "HTTP/1.1 200 OK"; the reason, and the space before it, may be missing.
bool ResponseParser::parse_status_line(std::string_view line) {
  constexpr size_t kStatusEnd = kVersionBytes + 4;
  if (line.size() < kStatusEnd || line[kVersionBytes] != ' ') return fail(kBadRequest), false;
  if (const int status = version_status(line.substr(0, kVersionBytes)); status != 0)
    return fail(status), false;
  head_.http_1_0 = line[7] == '0';
  for (size_t i = kVersionBytes + 1; i < kStatusEnd; ++i) {
    if (!ascii_is_digit(line[i])) return fail(kBadRequest), false;
    head_.status = head_.status * 10 + (line[i] - '0');
  }
  if (head_.status < 100 || (line.size() > kStatusEnd && line[kStatusEnd] != ' ')) {
    return fail(kBadRequest), false;
  }
  head_.reason = line.substr(std::min(kStatusEnd + 1, line.size()));
  return true;
}

}  // namespace fb
