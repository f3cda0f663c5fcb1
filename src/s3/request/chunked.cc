// SPDX-License-Identifier: Apache-2.0
#include "s3/request/chunked.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/ascii.h"
#include "base/assert.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kChunkSignature = "chunk-signature=";
constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature";

// Calls `visit(name)` for each name of "a, b,c".
template <class Visit>
void for_each_announced(std::string_view names, Visit visit) {
  while (!names.empty()) {
    const size_t comma = names.find(',');
    const std::string_view name = ascii_trim(names.substr(0, comma));
    if (!name.empty()) visit(name);
    names = comma == names.npos ? std::string_view() : names.substr(comma + 1);
  }
}

// Takes a whole line end off the back; false where the line does not end in CRLF.
bool strip_crlf(std::string_view& line) {
  if (!line.ends_with("\r\n")) return false;
  line.remove_suffix(2);
  return true;
}

}  // namespace

ChunkedDecoder::ChunkedDecoder(const Options& options, const SignatureChain* chain) : options_(options) {
  FB_ASSERT(is_streaming(options.kind), options.kind);
  FB_ASSERT(!is_signed() || chain != nullptr, options.kind);
  if (is_signed()) chain_ = *chain;
}

Result<ChunkedDecoder::Piece> ChunkedDecoder::next(Bytes input) { return step(input, input.size()); }

Result<size_t> ChunkedDecoder::read(Bytes& input, std::span<uint8_t> out) {
  size_t written = 0;
  while (!input.empty() && (written < out.size() || state_ != State::data)) {
    FB_TRY(const Piece piece, step(input, out.size() - written));
    std::ranges::copy(piece.data, out.begin() + static_cast<ptrdiff_t>(written));
    written += piece.data.size();
    input = input.subspan(piece.consumed);
  }
  return written;
}

Result<void> ChunkedDecoder::finish() const {
  if (state_ != State::complete) return BodyError::incomplete;
  return {};
}

std::optional<std::string_view> ChunkedDecoder::trailer(std::string_view name) const {
  for (const Field& field : std::span(fields_).first(field_count_)) {
    if (name_of(field) != name) continue;
    return std::string_view(trailer_text_.data() + field.begin + field.name_length + 1, field.value_length);
  }
  return std::nullopt;
}

// Goes through the states until data has been found, `data_max` bytes at most, or the input is used up.
Result<ChunkedDecoder::Piece> ChunkedDecoder::step(Bytes input, size_t data_max) {
  Piece piece;
  while (piece.consumed < input.size() && piece.data.empty()) {
    const Bytes rest = input.subspan(piece.consumed);
    switch (state_) {
      case State::chunk_header: {
        FB_TRY(const bool whole,
               take_line(rest, piece.consumed, kChunkHeaderLengthMax, BodyError::chunk_malformed));
        if (whole) FB_CHECK(on_chunk_header());
        break;
      }
      case State::data: {
        if (data_max == 0) return piece;
        piece.data = rest.first(std::min({uint64_t{rest.size()}, uint64_t{data_max}, chunk_left_}));
        if (is_signed()) data_hash_.update(piece.data);
        piece.consumed += piece.data.size();
        decoded_bytes_ += piece.data.size();
        chunk_left_ -= piece.data.size();
        if (chunk_left_ == 0) FB_CHECK(on_chunk_end());
        break;
      }
      case State::data_end:
      case State::last_end: {
        FB_TRY(const bool whole, take_line(rest, piece.consumed, 2, BodyError::chunk_malformed));
        if (!whole) break;
        if (std::string_view(line_.data(), line_length_) != "\r\n") return BodyError::chunk_malformed;
        line_length_ = 0;
        state_ = state_ == State::data_end ? State::chunk_header : State::complete;
        break;
      }
      case State::trailer: {
        FB_TRY(const bool whole,
               take_line(rest, piece.consumed, kTrailerLengthMax, BodyError::trailer_malformed));
        if (whole) FB_CHECK(on_trailer_line());
        break;
      }
      case State::complete: {
        const bool is_line_end = rest.front() == '\r' || rest.front() == '\n';
        if (!has_trailer() || !is_line_end || ++line_ends_ > kLineEndsMax) return BodyError::too_long;
        ++piece.consumed;
        break;
      }
    }
  }
  return piece;
}

// Collects a line with its LF in line_; true once it is whole. The user of the line resets line_length_.
Result<bool> ChunkedDecoder::take_line(Bytes input, size_t& consumed, size_t length_max,
                                       BodyError if_longer) {
  const auto* lf = static_cast<const uint8_t*>(std::memchr(input.data(), '\n', input.size()));
  const size_t length = lf != nullptr ? lf - input.data() + 1 : input.size();
  if (length > length_max - line_length_) return if_longer;
  std::memcpy(line_.data() + line_length_, input.data(), length);
  line_length_ += length;
  consumed += length;
  return lf != nullptr;
}

// "size" or "size;chunk-signature=SIG"
Result<void> ChunkedDecoder::on_chunk_header() {
  std::string_view line(line_.data(), line_length_);
  line_length_ = 0;
  if (!strip_crlf(line)) return BodyError::chunk_malformed;
  const size_t semicolon = line.find(';');
  if (is_signed() != (semicolon != line.npos)) return BodyError::chunk_malformed;
  if (is_signed()) {
    std::string_view signature = line.substr(semicolon + 1);
    if (!signature.starts_with(kChunkSignature)) return BodyError::chunk_malformed;
    signature.remove_prefix(kChunkSignature.size());
    if (signature.size() != kSignatureLength) return BodyError::chunk_malformed;
    std::ranges::copy(signature, chunk_signature_.begin());
    data_hash_ = Sha256();
  }
  FB_CHECK(on_chunk_size(line.substr(0, semicolon)));
  state_ = State::data;
  if (last_chunk_) return on_chunk_end();
  return {};
}

Result<void> ChunkedDecoder::on_chunk_size(std::string_view digits) {
  if (digits.empty()) return BodyError::chunk_malformed;
  constexpr size_t kDigitsMax = 2 * sizeof(uint64_t);
  if (digits.size() > kDigitsMax) return BodyError::chunk_malformed;
  std::array<char, kDigitsMax> padded;
  padded.fill('0');
  std::ranges::copy(digits, padded.end() - static_cast<ptrdiff_t>(digits.size()));
  std::array<uint8_t, sizeof(uint64_t)> bytes;
  if (!hex_decode({padded.data(), padded.size()}, bytes)) return BodyError::chunk_malformed;
  uint64_t size = 0;
  for (const uint8_t byte : bytes) size = size << 8 | byte;

  if (size > UINT64_MAX - decoded_bytes_) return BodyError::chunk_malformed;
  if (options_.decoded_length && size > *options_.decoded_length - decoded_bytes_) return BodyError::too_long;
  chunk_left_ = size;
  last_chunk_ = size == 0;
  return {};
}

Result<void> ChunkedDecoder::on_chunk_end() {
  if (is_signed()) {
    const SignatureText expected = chain_->chunk(data_hash_.finish());
    if (!constant_time_equal(as_view(expected), as_view(chunk_signature_)))
      return BodyError::signature_mismatch;
  }
  if (!last_chunk_) {
    state_ = State::data_end;
    return {};
  }
  if (options_.decoded_length && decoded_bytes_ != *options_.decoded_length) return BodyError::incomplete;
  state_ = has_trailer() ? State::trailer : State::last_end;
  return {};
}

Result<void> ChunkedDecoder::on_trailer_line() {
  std::string_view line(line_.data(), line_length_);
  line_length_ = 0;
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return on_empty_trailer_line();
  const size_t colon = line.find(':');
  if (colon == line.npos) return BodyError::trailer_malformed;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = ascii_trim(line.substr(colon + 1));
  if (is_signed() && ascii_iequals(name, kTrailerSignature)) return on_trailer_signature(value);
  return on_trailer_field(name, value);
}

// Ends an unsigned trailer. A signed one ends with its signature, and empty lines before that mean nothing.
Result<void> ChunkedDecoder::on_empty_trailer_line() {
  if (is_signed()) {
    line_ends_ += 2;
    if (line_ends_ > kLineEndsMax) return BodyError::trailer_malformed;
    return {};
  }
  FB_CHECK(check_trailers_complete());
  state_ = State::complete;
  return {};
}

Result<void> ChunkedDecoder::on_trailer_field(std::string_view name, std::string_view value) {
  bool announced = false;
  for_each_announced(options_.announced_trailers, [&](std::string_view expected) {
    announced = announced || ascii_iequals(expected, name);
  });
  if (!announced || field_count_ == kTrailerFieldsMax) return BodyError::trailer_malformed;
  if (trailer_length_ + name.size() + value.size() + 2 > kTrailerLengthMax)
    return BodyError::trailer_malformed;

  const Field field{.begin = static_cast<uint16_t>(trailer_length_),
                    .name_length = static_cast<uint16_t>(name.size()),
                    .value_length = static_cast<uint16_t>(value.size())};
  char* out = std::ranges::transform(name, trailer_text_.data() + trailer_length_, ascii_lower).out;
  if (trailer(name_of(field))) return BodyError::trailer_malformed;  // a second field of that name
  *out++ = ':';
  out = std::ranges::copy(value, out).out;
  *out++ = '\n';
  trailer_length_ = out - trailer_text_.data();
  fields_[field_count_++] = field;
  return {};
}

Result<void> ChunkedDecoder::on_trailer_signature(std::string_view signature) {
  FB_CHECK(check_trailers_complete());
  std::array<Field, kTrailerFieldsMax> sorted = fields_;
  const std::span<Field> fields = std::span(sorted).first(field_count_);
  std::ranges::sort(fields, [&](const Field& a, const Field& b) { return name_of(a) < name_of(b); });
  Sha256 hash;
  for (const Field& field : fields) {
    hash.update(
        std::string_view(trailer_text_.data() + field.begin, field.name_length + field.value_length + 2u));
  }
  const SignatureText expected = chain_->trailer(hash.finish());
  if (!constant_time_equal(as_view(expected), signature)) return BodyError::signature_mismatch;
  state_ = State::complete;
  return {};
}

Result<void> ChunkedDecoder::check_trailers_complete() const {
  bool complete = true;
  for_each_announced(options_.announced_trailers, [&](std::string_view expected) {
    const bool found = std::ranges::any_of(std::span(fields_).first(field_count_), [&](const Field& field) {
      return ascii_iequals(expected, name_of(field));
    });
    complete = complete && found;
  });
  if (!complete) return BodyError::trailer_malformed;
  return {};
}

std::optional<uint64_t> decoded_content_length(std::string_view text) {
  uint64_t length = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, length);
  if (error != std::errc() || stop != end) return std::nullopt;
  return length;
}

}  // namespace fb::s3
