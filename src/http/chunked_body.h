// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace fb {

// A size line with its extensions, which are discarded; the trailer section, which is checked and discarded.
inline constexpr size_t kChunkLineBytesMax = 4 * kKiB;
inline constexpr size_t kTrailerBytesMax = 8 * kKiB;

// Decoder of "Transfer-Encoding: chunked". It never touches the payload: it consumes the framing in between,
// and says how many payload bytes follow, which the caller takes from its buffer or receives straight into
// their place. Input may be split anywhere.
//
//   size = 1*HEXDIG [ext] CRLF, size bytes, CRLF, ..., 0 [ext] CRLF, *(trailer CRLF), CRLF
class ChunkedDecoder {
 public:
  void reset() { *this = ChunkedDecoder(); }

  // Consumes framing from the front of `input` until payload follows, the body ends, or the input does;
  // returns how many bytes that were. HttpError::malformed if it is no framing or exceeds its bound. Nothing
  // is consumed while payload is due.
  Result<size_t> consume(std::string_view input);
  // Payload bytes due now.
  uint64_t payload_due() const { return state_ == State::payload ? remaining_ : 0; }
  // The caller has taken `count` of them.
  void take_payload(uint64_t count);
  bool done() const { return state_ == State::done; }

 private:
  enum class State : uint8_t {
    size_first,  // at least one digit is needed
    size,
    extension,
    size_lf,
    payload,
    payload_cr,
    payload_lf,
    trailer_start,  // start of a line: CR ends the body
    trailer_name,   // up to the colon
    trailer_value,
    trailer_lf,
    end_lf,
    done,
  };
  // Moves on by one byte; false if it cannot stand here.
  bool step(char c);

  State state_ = State::size_first;
  uint64_t remaining_ = 0;
  size_t line_bytes_ = 0;
  size_t trailer_bytes_ = 0;
};

}  // namespace fb
