// SPDX-License-Identifier: Apache-2.0
#include "http/chunked_body.h"

#include "base/assert.h"
#include "http/error.h"
#include "http/scan.h"

namespace fb {
namespace {

constexpr uint64_t kChunkBytesMax = uint64_t{1} << 62;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<size_t> ChunkedDecoder::consume(std::string_view input) {
  size_t consumed = 0;
  while (consumed < input.size() && state_ != State::payload && state_ != State::done) {
    if (!step(input[consumed])) return HttpError::malformed;
    ++consumed;
  }
  return consumed;
}

bool ChunkedDecoder::step(char c) {
  switch (state_) {
    case State::size_first:
    case State::size: {
      if (++line_bytes_ > kChunkLineBytesMax) return false;
      if (const int digit = hex_value(c); digit >= 0) {
        if (remaining_ > kChunkBytesMax / 16) return false;
        remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
        state_ = State::size;
        return true;
      }
      if (state_ == State::size_first) return false;
      if (c == '\r') {
        state_ = State::size_lf;
        return true;
      }
      state_ = State::extension;
      return c == ';';  // not white space either: "5 5" would be read as 5 by one parser and as 55 by another
    }
    case State::extension:
      if (++line_bytes_ > kChunkLineBytesMax) return false;
      if (c == '\r') {
        state_ = State::size_lf;
        return true;
      }
      return !http_is_control(c);
    case State::size_lf:
      state_ = remaining_ == 0 ? State::trailer_start : State::payload;
      line_bytes_ = 0;
      return c == '\n';
    case State::payload_cr:
      state_ = State::payload_lf;
      return c == '\r';
    case State::payload_lf:
      state_ = State::size_first;
      return c == '\n';
    case State::trailer_start:
      if (c == '\r') {
        state_ = State::end_lf;
        return true;
      }
      state_ = State::trailer_name;
      return ++trailer_bytes_ <= kTrailerBytesMax && http_is_token_char(c);
    case State::trailer_name:
      if (c == ':') state_ = State::trailer_value;
      return ++trailer_bytes_ <= kTrailerBytesMax && (c == ':' || http_is_token_char(c));
    case State::trailer_value:
      if (c == '\r') state_ = State::trailer_lf;
      return ++trailer_bytes_ <= kTrailerBytesMax && (c == '\r' || !http_is_control(c));
    case State::trailer_lf:
      state_ = State::trailer_start;
      return c == '\n';
    case State::end_lf:
      state_ = State::done;
      return c == '\n';
    case State::payload:
    case State::done:
      break;
  }
  FB_UNREACHABLE();
}

void ChunkedDecoder::take_payload(uint64_t count) {
  FB_ASSERT(count <= payload_due(), count, remaining_);
  remaining_ -= count;
  if (remaining_ == 0 && state_ == State::payload) state_ = State::payload_cr;
}

}  // namespace fb
