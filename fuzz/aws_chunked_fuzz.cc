// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "base/assert.h"
#include "s3/request/chunked.h"
#include "s3/request/chunked_encoder.h"

// The first byte of the input picks the kind, the second seeds the splits; the rest is fed as a framed body,
// whole and in pieces, which must come to the same end, and is framed and decoded again, which must give it
// back.

namespace {

using namespace fb::s3;
using fb::Result;

struct Outcome {
  std::string data;
  int error = -1;
  bool operator==(const Outcome&) const = default;
};

const SignatureChain& chain() {
  static const SignatureChain kChain(SigningKey("secret", "20130524", "us-east-1"), 1369353600,
                                     "20130524/us-east-1/s3/aws4_request",
                                     std::string(kSignatureLength, '\0'));
  return kChain;
}

// `piece_max` 0 feeds all at once; `copy` goes through read() with small buffers.
Outcome decode(Bytes body, const ChunkedDecoder::Options& options, uint32_t seed, size_t piece_max,
               bool copy) {
  std::minstd_rand random(seed + 1);
  ChunkedDecoder decoder(options, &chain());
  Outcome outcome;
  while (!body.empty()) {
    Bytes input =
        body.first(piece_max == 0 ? body.size() : std::min<size_t>(body.size(), 1 + random() % piece_max));
    body = body.subspan(input.size());
    while (!input.empty()) {
      if (copy) {
        std::array<uint8_t, 5> out;
        const auto written = decoder.read(input, std::span(out).first(1 + random() % out.size()));
        if (!written) return {"", written.error().code()};
        outcome.data.append(reinterpret_cast<const char*>(out.data()), *written);
        continue;
      }
      const auto piece = decoder.next(input);
      if (!piece) return {"", piece.error().code()};
      FB_ASSERT(piece->consumed > 0);
      FB_ASSERT(piece->consumed <= input.size(), piece->consumed, input.size());
      outcome.data.append(reinterpret_cast<const char*>(piece->data.data()), piece->data.size());
      input = input.subspan(piece->consumed);
    }
  }
  if (const auto end = decoder.finish(); !end) return {"", end.error().code()};
  FB_ASSERT(decoder.decoded_bytes() == outcome.data.size());
  return outcome;
}

void check_framed(Bytes body, const ChunkedDecoder::Options& options, uint32_t seed) {
  const Outcome whole = decode(body, options, seed, 0, false);
  FB_ASSERT(decode(body, options, seed, 1, false) == whole);
  FB_ASSERT(decode(body, options, seed, 40, false) == whole);
  FB_ASSERT(decode(body, options, seed, 40, true) == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr PayloadKind kKinds[] = {PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer,
                                    PayloadKind::streaming_unsigned_trailer};
  constexpr std::string_view kTrailer = "x-amz-checksum-crc32c";
  const PayloadKind kind = kKinds[data[0] % 3];
  const uint32_t seed = data[1];
  const Bytes body(data + 2, size - 2);
  ChunkedDecoder::Options options{.kind = kind};
  if (kind != PayloadKind::streaming_signed) options.announced_trailers = kTrailer;
  check_framed(body, options, seed);

  std::minstd_rand random(seed + 1);
  ChunkedEncoder encoder(kind, &chain());
  std::string framed;
  for (Bytes rest = body; !rest.empty();) {
    const Bytes chunk = rest.first(std::min<size_t>(rest.size(), 1 + random() % 100));
    encoder.append_chunk(chunk, framed);
    rest = rest.subspan(chunk.size());
  }
  const ChunkedEncoder::Trailer trailers[] = {{kTrailer, "sOO8/Q=="}};
  encoder.append_end(std::span(trailers).first(kind == PayloadKind::streaming_signed ? 0 : 1), framed);
  options.decoded_length = body.size();
  const Outcome decoded = decode(as_bytes(framed), options, seed, 40, false);
  FB_ASSERT(decoded.error == -1, decoded.error);
  FB_ASSERT(std::ranges::equal(as_bytes(decoded.data), body));
  return 0;
}
