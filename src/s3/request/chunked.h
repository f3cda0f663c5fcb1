// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "s3/auth/auth_error.h"
#include "s3/auth/signature_chain.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/hash.h"
#include "s3/encoding.h"

// aws-chunked, the framing of streaming bodies (independent of HTTP's own chunked coding, which may lie
// around it):
//
//   streaming_signed            size;chunk-signature=SIG CRLF data CRLF ... 0;chunk-signature=SIG CRLF CRLF
//   streaming_signed_trailer    ... 0;chunk-signature=SIG CRLF name:value CRLF x-amz-trailer-signature:SIG
//   CRLF CRLF streaming_unsigned_trailer  size CRLF data CRLF ... 0 CRLF name:value CRLF CRLF
//
// Sizes are in hex. Lines of the trailer may end in a bare LF, and empty lines may stand around its
// signature: some clients send both. Everything else must be exact.

namespace fb::s3 {

constexpr size_t kChunkHeaderLengthMax = 128;
constexpr size_t kTrailerFieldsMax = 8;
constexpr size_t kTrailerLengthMax = 2048;  // of all its lines together
constexpr size_t kLineEndsMax = 16;         // characters of empty lines around a trailer and its signature

// Decodes a body as it arrives, in pieces cut anywhere. Holds no data: it returns views into its input, and
// hashes signed data on the way. Data may be passed on before its chunk's signature, which comes into force
// at the chunk's end, has been checked; but it may become visible only once finish() has succeeded.
class ChunkedDecoder {
 public:
  struct Options {
    PayloadKind kind = PayloadKind::streaming_unsigned_trailer;
    std::optional<uint64_t> decoded_length;  // x-amz-decoded-content-length
    std::string_view announced_trailers;     // x-amz-trailer, names with commas; must outlive the decoder
  };
  struct Piece {
    size_t consumed = 0;
    Bytes data;  // within the input, before its byte `consumed`; may be empty
  };

  // `chain` is for the signed kinds.
  explicit ChunkedDecoder(const Options& options, const SignatureChain* chain = nullptr);

  // Consumes input up to the end of the next run of data, or all of it. Until an empty input is left the
  // caller goes on calling. BodyError where the framing, a length or a signature is wrong; then the decoder
  // is of no further use.
  Result<Piece> next(Bytes input);
  // The same with the data copied: takes what it consumes off `input`, returns how much it wrote to `out`.
  Result<size_t> read(Bytes& input, std::span<uint8_t> out);
  // To be called at the end of the body. All has been verified where it succeeds.
  Result<void> finish() const;

  std::optional<uint64_t> decoded_length() const { return options_.decoded_length; }
  uint64_t decoded_bytes() const { return decoded_bytes_; }
  // A trailer field by its lower-case name, once finish() has succeeded.
  std::optional<std::string_view> trailer(std::string_view name) const;

 private:
  enum class State : uint8_t { chunk_header, data, data_end, last_end, trailer, complete };

  struct Field {
    uint16_t begin;
    uint16_t name_length;
    uint16_t value_length;
  };

  bool is_signed() const { return options_.kind != PayloadKind::streaming_unsigned_trailer; }
  bool has_trailer() const { return options_.kind != PayloadKind::streaming_signed; }

  Result<Piece> step(Bytes input, size_t data_max);
  Result<bool> take_line(Bytes input, size_t& consumed, size_t length_max, BodyError if_longer);
  Result<void> on_chunk_header();
  Result<void> on_chunk_size(std::string_view digits);
  Result<void> on_chunk_end();
  Result<void> on_trailer_line();
  Result<void> on_empty_trailer_line();
  Result<void> on_trailer_field(std::string_view name, std::string_view value);
  Result<void> on_trailer_signature(std::string_view signature);
  Result<void> check_trailers_complete() const;
  std::string_view name_of(const Field& field) const {
    return {trailer_text_.data() + field.begin, field.name_length};
  }

  Options options_;
  std::optional<SignatureChain> chain_;
  Sha256 data_hash_;
  State state_ = State::chunk_header;
  bool last_chunk_ = false;
  uint64_t chunk_left_ = 0;
  uint64_t decoded_bytes_ = 0;
  SignatureText chunk_signature_{};

  size_t line_length_ = 0;
  size_t line_ends_ = 0;  // characters of empty lines seen in and behind the trailer
  std::array<char, kTrailerLengthMax> line_{};

  // Fields as "name:value\n", names in lower case: as they are signed.
  size_t trailer_length_ = 0;
  size_t field_count_ = 0;
  std::array<Field, kTrailerFieldsMax> fields_{};
  std::array<char, kTrailerLengthMax> trailer_text_{};
};

// The value of x-amz-decoded-content-length; nothing where it is not a decimal number.
std::optional<uint64_t> decoded_content_length(std::string_view text);

}  // namespace fb::s3
