// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/request_head.h"
#include "http/limits.h"

// Parsers of HTTP/1.x heads, in place: they allocate nothing and copy nothing; names and values are views
// into the input. A head is read line by line. Each line is scanned once by vector instructions for its end
// and for control characters, however many receives it takes to arrive; a line is interpreted when it is
// whole.
//
// They are strict, because two parsers that disagree about the end of a message let one client's bytes become
// another one's request: line ends are CR LF only; no NUL or other control character but the tab; no folded
// lines; no white space in or around a field name; one Content-Length of digits at most, never beside
// Transfer-Encoding; one Transfer-Encoding, and only "chunked"; one Host, which an absolute target must
// repeat. The verdict does not depend on how the bytes were split.

namespace fb {

enum class ParseState : uint8_t { need_more, complete, failed };

// The header section's statements about the message's end and the connection.
struct MessageFraming {
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool connection_close = false;
  bool connection_keep_alive = false;
  bool expect_continue = false;
};

// The part common to requests and responses: lines, fields, framing.
class HeadParser {
 public:
  // After `failed`: the status that a server answers with (400, 414, 431, 501, 505).
  int error_status() const { return error_status_; }
  // After `complete`: bytes of the head, the empty line at its end included.
  size_t head_size() const { return position_; }
  const MessageFraming& framing() const { return framing_; }

 protected:
  HeadParser(std::span<HeaderField> fields, const HttpLimits& limits);

  // The next whole line of `input`, without its end, which must end before offset `end_max`.
  ParseState next_line(std::string_view input, size_t end_max, int status_beyond, std::string_view& line);
  // The field lines up to and with the empty one.
  ParseState parse_fields(std::string_view input);
  bool add_field(std::string_view line);
  bool note_framing(const HeaderField& field);
  ParseState fail(int status);
  void reset_head();

  std::span<HeaderField> fields_;
  const HttpLimits& limits_;
  size_t field_count_ = 0;
  size_t position_ = 0;      // start of the line being read
  size_t scanned_ = 0;       // up to here no control character was found
  size_t fields_start_ = 0;  // 0 until the first line is done
  size_t host_count_ = 0;
  size_t transfer_encoding_count_ = 0;
  std::string_view host_;
  MessageFraming framing_;
  int error_status_ = 0;
};

class RequestParser : public HeadParser {
 public:
  // `fields` is the room for header fields and, like `limits`, outlives the parser.
  RequestParser(std::span<HeaderField> fields, const HttpLimits& limits) : HeadParser(fields, limits) {}

  // `input` begins with the head's first byte and grows from call to call without moving; call reset() if it
  // moved.
  ParseState parse(std::string_view input);
  void reset();
  // Called after `complete` if the input was moved: makes all views point to the new place.
  void rebase(const char* from, const char* to);

  // After `complete`; `tls` is left to the caller.
  RequestHead& head() { return head_; }
  const RequestHead& head() const { return head_; }
  bool keep_alive() const {
    return !framing_.connection_close && (!head_.http_1_0 || framing_.connection_keep_alive);
  }

 private:
  bool parse_request_line(std::string_view line);
  bool parse_version(std::string_view version);
  bool parse_target(std::string_view target);
  ParseState finish();

  RequestHead head_;
  std::string_view authority_;  // of an absolute target
  size_t empty_lines_ = 0;
};

struct ResponseHead {
  int status = 0;
  std::string_view reason;
  std::span<const HeaderField> headers;
  bool http_1_0 = false;

  std::string_view header(std::string_view name) const {
    for (const HeaderField& field : headers) {
      if (ascii_iequals(field.name, name)) return field.value;
    }
    return {};
  }
};

class ResponseParser : public HeadParser {
 public:
  ResponseParser(std::span<HeaderField> fields, const HttpLimits& limits) : HeadParser(fields, limits) {}
  ParseState parse(std::string_view input);
  void reset();
  const ResponseHead& head() const { return head_; }
  bool keep_alive() const {
    return !framing_.connection_close && (!head_.http_1_0 || framing_.connection_keep_alive);
  }

 private:
  bool parse_status_line(std::string_view line);
  ResponseHead head_;
};

}  // namespace fb
