// SPDX-License-Identifier: Apache-2.0
#include "s3/request/chunked.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "s3/checksum/checksum.h"
#include "s3/request/chunked_encoder.h"
#include "s3/test_request.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr int64_t kTime = 1369353600;  // 2013-05-24
constexpr std::string_view kScope = "20130524/us-east-1/s3/aws4_request";
constexpr std::string_view kCrc32c = "x-amz-checksum-crc32c";

SignatureChain chain_from(std::string_view seed) {
  return {SigningKey(kSecret, "20130524", "us-east-1"), kTime, kScope, seed};
}

const SignatureChain kChain = chain_from(std::string(64, '7'));

// Either the decoded bytes or the name of the error.
struct Outcome {
  std::string data;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Feeds the body in pieces that end at `cuts`.
Outcome decode(std::string_view body, const ChunkedDecoder::Options& options, std::vector<size_t> cuts = {},
               const SignatureChain& chain = kChain) {
  ChunkedDecoder decoder(options, &chain);
  Outcome outcome;
  cuts.push_back(body.size());
  size_t from = 0;
  for (const size_t cut : cuts) {
    Bytes input = as_bytes(body.substr(from, cut - from));
    from = cut;
    while (!input.empty()) {
      const auto piece = decoder.next(input);
      if (!piece) return {"", std::string(piece.error().domain().code_name(piece.error().code()))};
      outcome.data.append(reinterpret_cast<const char*>(piece->data.data()), piece->data.size());
      input = input.subspan(piece->consumed);
    }
  }
  if (const auto end = decoder.finish(); !end) {
    return {"", std::string(end.error().domain().code_name(end.error().code()))};
  }
  EXPECT_EQ(decoder.decoded_bytes(), outcome.data.size());
  return outcome;
}

void expect_error(const Outcome& outcome, BodyError error, std::string_view note = "") {
  EXPECT_EQ(outcome.error, to_string(error)) << note;
}

// The example of AWS's "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
// Chunks".
TEST(Chunked, PublishedExampleWithSignedChunks) {
  TestRequest request(
      "PUT /examplebucket/chunkObject.txt\n"
      "Host: s3.amazonaws.com\n"
      "x-amz-date: 20130524T000000Z\n"
      "x-amz-storage-class: REDUCED_REDUNDANCY\n"
      "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
      "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
      "x-amz-decoded-content-length;x-amz-storage-class,"
      "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n"
      "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n"
      "Content-Encoding: aws-chunked\n"
      "x-amz-decoded-content-length: 66560\n"
      "Content-Length: 66824");
  const auto auth = parse_auth(request.head());
  ASSERT_TRUE(auth);
  SigningKeyCache cache;
  const auto key = authenticate(request.head(), *auth, kSecret, kTime, cache);
  ASSERT_TRUE(key) << key.error().to_string();
  const std::string body =
      "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
      std::string(65536, 'a') +
      "\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
      std::string(1024, 'a') +
      "\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
  EXPECT_EQ(body.size(), 66824u);
  const SignatureChain chain(*key, *auth);
  const Outcome outcome = decode(body, {.kind = auth->payload, .decoded_length = 66560}, {}, chain);
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.data, std::string(66560, 'a'));
}

// The same with a trailer ("... With trailing headers"). Its final lines are written here as clients do.
TEST(Chunked, PublishedExampleWithSignedTrailer) {
  TestRequest request(
      "PUT /examplebucket/chunkObject.txt\n"
      "Host: s3.amazonaws.com\n"
      "x-amz-date: 20130524T000000Z\n"
      "x-amz-storage-class: REDUCED_REDUNDANCY\n"
      "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
      "SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;"
      "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,"
      "Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\n"
      "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\n"
      "Content-Encoding: aws-chunked\n"
      "x-amz-decoded-content-length: 66560\n"
      "x-amz-trailer: x-amz-checksum-crc32c");
  const auto auth = parse_auth(request.head());
  ASSERT_TRUE(auth);
  SigningKeyCache cache;
  const auto key = authenticate(request.head(), *auth, kSecret, kTime, cache);
  ASSERT_TRUE(key) << key.error().to_string();
  const std::string chunks =
      "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" +
      std::string(65536, 'a') +
      "\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" +
      std::string(1024, 'a') +
      "\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n";
  const std::string field = "x-amz-checksum-crc32c:sOO8/Q==";
  const std::string signature =
      "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
  const SignatureChain chain(*key, *auth);
  for (const std::string& trailer :
       {field + "\r\n" + signature + "\r\n\r\n", field + "\n\r\n" + signature + "\r\n\r\n\r\n",
        field + "\n" + signature + "\n"}) {
    const Outcome outcome =
        decode(chunks + trailer,
               {.kind = auth->payload, .decoded_length = 66560, .announced_trailers = kCrc32c}, {}, chain);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.data, std::string(66560, 'a'));
  }
  EXPECT_EQ(Checksum::of(ChecksumKind::crc32c, as_bytes(std::string(66560, 'a'))).to_base64(), "sOO8/Q==");
}

// A body of the given kind with chunks of 5, 300 and 1 bytes.
struct Sample {
  PayloadKind kind;
  std::string data;
  std::string body;
  ChunkedDecoder::Options options;
};

Sample sample(PayloadKind kind) {
  Sample sample{.kind = kind};
  ChunkedEncoder encoder(kind, &kChain);
  for (const size_t size : {5, 300, 1}) {
    const std::string chunk(size, static_cast<char>('a' + size % 26));
    encoder.append_chunk(as_bytes(chunk), sample.body);
    sample.data += chunk;
  }
  const ChunkedEncoder::Trailer trailers[] = {{kCrc32c, "sOO8/Q=="}};
  if (kind == PayloadKind::streaming_signed) {
    encoder.append_end({}, sample.body);
  } else {
    encoder.append_end(trailers, sample.body);
  }
  sample.options = {.kind = kind, .decoded_length = sample.data.size()};
  if (kind != PayloadKind::streaming_signed) sample.options.announced_trailers = kCrc32c;
  return sample;
}

constexpr PayloadKind kKinds[] = {PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer,
                                  PayloadKind::streaming_unsigned_trailer};

TEST(Chunked, EverySplitDecodesTheSame) {
  for (const PayloadKind kind : kKinds) {
    const Sample s = sample(kind);
    const Outcome expected{s.data, ""};
    for (size_t first = 0; first <= s.body.size(); ++first) {
      ASSERT_EQ(decode(s.body, s.options, {first}), expected) << first;
      for (size_t second = first; second <= s.body.size(); second += 41) {
        ASSERT_EQ(decode(s.body, s.options, {first, second}), expected) << first << " " << second;
      }
    }
    std::vector<size_t> every_byte(s.body.size());
    for (size_t i = 0; i < every_byte.size(); ++i) every_byte[i] = i;
    EXPECT_EQ(decode(s.body, s.options, every_byte), expected);
  }
}

TEST(Chunked, EveryTruncationIsIncomplete) {
  for (const PayloadKind kind : kKinds) {
    const Sample s = sample(kind);
    // Behind a trailer's signature the last line end may be missing.
    const size_t optional = kind == PayloadKind::streaming_signed_trailer ? 2 : 0;
    for (size_t size = 0; size + optional < s.body.size(); ++size) {
      expect_error(decode(s.body.substr(0, size), s.options), BodyError::incomplete, std::to_string(size));
    }
  }
}

TEST(Chunked, EveryFlippedByteIsNoticedWhereSigned) {
  for (const PayloadKind kind : {PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer}) {
    const Sample s = sample(kind);
    for (size_t i = 0; i < s.body.size(); ++i) {
      std::string body = s.body;
      body[i] = static_cast<char>(body[i] ^ 1);
      const Outcome outcome = decode(body, s.options);
      // The letter case of names in the trailer and some line ends carry no meaning.
      if (outcome.error.empty()) ASSERT_EQ(outcome.data, s.data) << i;
    }
    const size_t data_at = s.body.find("\r\n") + 2;
    std::string body = s.body;
    body[data_at] = 'Z';
    expect_error(decode(body, s.options), BodyError::signature_mismatch);
  }
}

TEST(Chunked, LengthsMustAgree) {
  for (const PayloadKind kind : kKinds) {
    Sample s = sample(kind);
    s.options.decoded_length = s.data.size() + 1;
    expect_error(decode(s.body, s.options), BodyError::incomplete);
    s.options.decoded_length = s.data.size() - 1;
    expect_error(decode(s.body, s.options), BodyError::too_long);
    s.options.decoded_length = std::nullopt;
    EXPECT_EQ(decode(s.body, s.options).data, s.data);
    expect_error(decode(s.body + "x", s.options), BodyError::too_long);
    expect_error(decode(s.body + s.body, s.options), BodyError::too_long);
  }
  Sample s = sample(PayloadKind::streaming_unsigned_trailer);
  EXPECT_EQ(decode(s.body + "\r\n", s.options).data, s.data);
  expect_error(decode(s.body + std::string(kLineEndsMax + 1, '\n'), s.options), BodyError::too_long);
}

TEST(Chunked, SignaturesAreChained) {
  const Sample s = sample(PayloadKind::streaming_signed);
  // Another seed, as if the chunks came from another request.
  expect_error(decode(s.body, s.options, {}, chain_from(std::string(64, '8'))),
               BodyError::signature_mismatch);
  // Two chunks of equal size exchanged.
  ChunkedEncoder encoder(PayloadKind::streaming_signed, &kChain);
  std::string one, two, end;
  encoder.append_chunk(as_bytes("one"), one);
  encoder.append_chunk(as_bytes("two"), two);
  encoder.append_end({}, end);
  const ChunkedDecoder::Options options{.kind = PayloadKind::streaming_signed};
  EXPECT_EQ(decode(one + two + end, options).data, "onetwo");
  expect_error(decode(two + one + end, options), BodyError::signature_mismatch);
  expect_error(decode(one + end, options), BodyError::signature_mismatch);
  expect_error(decode(end, options), BodyError::signature_mismatch);
}

TEST(Chunked, MalformedFraming) {
  const auto error_of = [](std::string_view body) {
    return decode(body, {.kind = PayloadKind::streaming_unsigned_trailer});
  };
  EXPECT_EQ(error_of("3\r\nabc\r\n0\r\n\r\n").data, "abc");
  EXPECT_EQ(error_of("0003\r\nabc\r\n00\r\n\r\n").data, "abc");
  EXPECT_EQ(error_of("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n").data, "01234567890123456789");
  EXPECT_EQ(error_of("0\r\n\r\n"), Outcome());
  for (const std::string_view bad :
       {"3\nabc\r\n0\r\n\r\n", "\r\n", "x\r\n", "-1\r\n", "+3\r\nabc", " 3\r\n", "3 \r\n", "0x3\r\n",
        "3;ext=1\r\nabc\r\n", "3;chunk-signature=0\r\n", "3\r\nabcd\r\n", "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n", "3\r\r\nabc\r\n"}) {
    expect_error(error_of(bad), BodyError::chunk_malformed, bad);
  }
  expect_error(error_of("10000000000000000\r\n"), BodyError::chunk_malformed);
  expect_error(error_of("1\r\na\r\nffffffffffffffff\r\n"), BodyError::chunk_malformed);
  expect_error(error_of(std::string(kChunkHeaderLengthMax + 1, '0')), BodyError::chunk_malformed);
  expect_error(error_of("ffffffffffffffff\r\nabc"), BodyError::incomplete);

  const auto signed_error_of = [](std::string_view body) {
    return decode(body, {.kind = PayloadKind::streaming_signed});
  };
  const std::string signature(64, '0');
  expect_error(signed_error_of("0;chunk-signature=" + signature + "\r\n\r\n"), BodyError::signature_mismatch);
  for (const std::string& bad :
       {std::string("0\r\n\r\n"), "0;" + signature + "\r\n\r\n", "0;chunk-signature=" + signature + "0\r\n",
        "0;chunk-signature=" + signature.substr(1) + "\r\n", "0;Chunk-Signature=" + signature + "\r\n",
        "0; chunk-signature=" + signature + "\r\n", ";chunk-signature=" + signature + "\r\n"}) {
    expect_error(signed_error_of(bad), BodyError::chunk_malformed, bad);
  }
}

TEST(Chunked, Trailers) {
  const auto outcome_of = [](std::string_view trailer, std::string_view announced) {
    return decode("0\r\n" + std::string(trailer),
                  {.kind = PayloadKind::streaming_unsigned_trailer, .announced_trailers = announced});
  };
  EXPECT_EQ(outcome_of("x-amz-checksum-crc32c:AAAAAA==\r\n\r\n", kCrc32c), Outcome());
  EXPECT_EQ(outcome_of("X-Amz-Checksum-CRC32C: AAAAAA== \r\n\r\n", kCrc32c), Outcome());
  EXPECT_EQ(outcome_of("x-amz-checksum-crc32c:AAAAAA==\n\r\n\r\n", kCrc32c), Outcome());
  EXPECT_EQ(outcome_of("b:2\r\na:1\r\n\r\n", " a , b"), Outcome());
  const std::pair<std::string, std::string_view> bad[] = {
      {"\r\n", kCrc32c},
      {"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", kCrc32c},
      {"x-amz-checksum-crc32c:AAAAAA==\r\n\r\n", ""},
      {"a:1\r\na:1\r\n\r\n", "a"},
      {"a:1\r\n\r\n", "a,b"},
      {"a\r\n\r\n", "a"},
      {":1\r\n\r\n", "a"},
      {"x-amz-trailer-signature:00\r\n\r\n", "a"},
      {"a:" + std::string(kTrailerLengthMax, 'x') + "\r\n\r\n", "a"},
      {"a:" + std::string(1500, 'x') + "\r\nb:" + std::string(1500, 'x') + "\r\n\r\n", "a,b"}};
  for (const auto& [trailer, announced] : bad) {
    expect_error(outcome_of(trailer, announced), BodyError::trailer_malformed, trailer.substr(0, 50));
  }
  std::string many, names;
  for (size_t i = 0; i <= kTrailerFieldsMax; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    many += name + ":1\r\n";
    names += name + ",";
  }
  expect_error(outcome_of(many + "\r\n", names), BodyError::trailer_malformed);
}

TEST(Chunked, SignedTrailers) {
  const Sample s = sample(PayloadKind::streaming_signed_trailer);
  const auto changed = [&](std::string_view what, std::string_view by) {
    std::string body = s.body;
    body.replace(body.find(what), what.size(), by);
    return decode(body, s.options);
  };
  expect_error(changed("sOO8", "sOO9"), BodyError::signature_mismatch);
  expect_error(changed("crc32c:sOO8/Q==", "crc32c:"), BodyError::signature_mismatch);
  expect_error(changed("x-amz-checksum-crc32c:sOO8/Q==\r\n", ""), BodyError::trailer_malformed);
  expect_error(changed("x-amz-trailer-signature:", "x-amz-trailer-signature:0"),
               BodyError::signature_mismatch);
  expect_error(
      changed("x-amz-trailer-signature:", std::string(kLineEndsMax, '\n') + "x-amz-trailer-signature:"),
      BodyError::trailer_malformed);
  const size_t at = s.body.find("x-amz-trailer-signature");
  expect_error(decode(s.body.substr(0, at) + "\r\n", s.options), BodyError::incomplete);

  // Signed in the order of names, in whatever order they are sent.
  ChunkedEncoder encoder(PayloadKind::streaming_signed_trailer, &kChain);
  const ChunkedEncoder::Trailer trailers[] = {{"a", "1"}, {"b", "2"}};
  std::string body;
  encoder.append_end(trailers, body);
  const ChunkedDecoder::Options options{.kind = PayloadKind::streaming_signed_trailer,
                                        .announced_trailers = "b,a"};
  EXPECT_EQ(decode(body, options), Outcome());
  const size_t fields = body.find("a:1\r\nb:2");
  EXPECT_EQ(decode(body.replace(fields, 8, "b:2\r\na:1"), options), Outcome());
}

TEST(Chunked, DecodedContentLength) {
  EXPECT_EQ(decoded_content_length("12"), 12u);
  EXPECT_EQ(decoded_content_length("18446744073709551615"), UINT64_MAX);
  for (const std::string_view bad : {"", "-1", "+1", "1x", "0x1", "1,1", " 1", "18446744073709551616"})
    EXPECT_EQ(decoded_content_length(bad), std::nullopt) << bad;
}

TEST(Chunked, TrailerValuesCanBeRead) {
  const Sample s = sample(PayloadKind::streaming_unsigned_trailer);
  ChunkedDecoder decoder(s.options);
  Bytes input = as_bytes(s.body);
  std::string data(s.data.size(), '\0');
  // Into buffers of 7 bytes.
  size_t total = 0;
  while (!input.empty()) {
    std::array<uint8_t, 7> out;
    const auto written = decoder.read(input, out);
    ASSERT_TRUE(written);
    std::ranges::copy(std::span(out).first(*written), data.begin() + static_cast<ptrdiff_t>(total));
    total += *written;
  }
  EXPECT_TRUE(decoder.finish());
  EXPECT_EQ(data, s.data);
  EXPECT_EQ(decoder.trailer(kCrc32c), "sOO8/Q==");
  EXPECT_EQ(decoder.trailer("other"), std::nullopt);
}

}  // namespace
}  // namespace fb::s3
