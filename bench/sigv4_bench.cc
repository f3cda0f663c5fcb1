// SPDX-License-Identifier: Apache-2.0
// What authentication and integrity cost a request: a verification should stay under 3 microseconds.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "s3/auth/signer.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/md5_lanes.h"
#include "s3/request/chunked.h"
#include "s3/request/chunked_encoder.h"
#include "s3/test_request.h"

namespace {

using namespace fb::s3;

constexpr int64_t kTime = 1369353600;
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr SigningIdentity kIdentity{.access_key = "AKIAIOSFODNN7EXAMPLE", .secret = kSecret};

void verify_in_loop(benchmark::State& state, const fb::RequestHead& head) {
  SigningKeyCache cache;
  for (auto _ : state) {
    const auto auth = parse_auth(head);
    const auto key = authenticate(head, *auth, kSecret, kTime, cache);
    if (!key) state.SkipWithError("refused");
    benchmark::DoNotOptimize(key);
  }
}

void presigned_get(benchmark::State& state) {
  TestRequest request(
      "GET /bucket/datasets/imagenet-01/train/class-0042/shard-017/0123456789abcdef.jpg\n"
      "Host: 127.0.0.1:8080\nUser-Agent: wrk\nAccept: */*");
  TestRequest to_sign(
      "GET /bucket/datasets/imagenet-01/train/class-0042/shard-017/0123456789abcdef.jpg\nHost: "
      "127.0.0.1:8080");
  const std::string target = presign(to_sign.head(), kIdentity, {.time_seconds = kTime}).value();
  request.set_target(target);
  verify_in_loop(state, request.head());
}
BENCHMARK(presigned_get);

void header_put(benchmark::State& state) {
  TestRequest request(
      "PUT /bucket/datasets/imagenet-01/train/class-0042/shard-017/0123456789abcdef.jpg?x-id=PutObject\n"
      "Host: 127.0.0.1:8080\nContent-Length: 4096\nContent-Type: image/jpeg\n"
      "x-amz-checksum-crc32: y/Q5Jg==\nx-amz-sdk-checksum-algorithm: CRC32\nx-amz-date: 20130524T000000Z\n"
      "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
      "amz-sdk-request: attempt=1; max=3");
  const std::string authorization = sign_request(request.head(), kIdentity).value();
  request.add("User-Agent", "aws-sdk");
  request.add("Authorization", authorization);
  verify_in_loop(state, request.head());
}
BENCHMARK(header_put);

void derive_signing_key(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SigningKey(kSecret, "20130524", "us-east-1"));
}
BENCHMARK(derive_signing_key);

void checksum(benchmark::State& state) {
  const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(1)), 7);
  const auto kind = static_cast<ChecksumKind>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(Checksum::of(kind, bytes));
  state.SetBytesProcessed(state.iterations() * state.range(1));
  state.SetLabel(std::string(checksum_name(kind)));
}
BENCHMARK(checksum)->ArgsProduct({{0, 1, 2, 3, 4}, {4096, 1 << 20}});

// Bodies of 4 KiB, so many at a time; one is what OpenSSL does.
void md5_of_bodies(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const std::vector<uint8_t> bytes(4096 * count, 7);
  std::vector<Md5Message> messages(count);
  for (size_t i = 0; i < count; ++i) messages[i].bytes = Bytes(bytes).subspan(4096 * i, 4096);
  for (auto _ : state) {
    md5_together(messages);
    benchmark::DoNotOptimize(messages.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
  state.counters["us_each"] = benchmark::Counter(static_cast<double>(state.iterations() * count) / 1e6,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(md5_of_bodies)->Arg(1)->Arg(2)->Arg(3)->Arg(4)->Arg(6)->Arg(8)->Arg(12)->Arg(16);

void decode_chunked(benchmark::State& state) {
  const auto kind = static_cast<PayloadKind>(state.range(0));
  const SignatureChain chain(SigningKey(kSecret, "20130524", "us-east-1"), kTime,
                             "20130524/us-east-1/s3/aws4_request", std::string(kSignatureLength, '\0'));
  const std::vector<uint8_t> data(64 << 10, 7);
  ChunkedEncoder encoder(kind, &chain);
  std::string body;
  encoder.append_chunk(data, body);
  encoder.append_end({}, body);
  for (auto _ : state) {
    ChunkedDecoder decoder({.kind = kind}, &chain);
    for (Bytes input = as_bytes(body); !input.empty();) input = input.subspan(decoder.next(input)->consumed);
    if (!decoder.finish()) state.SkipWithError("refused");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(data.size()));
}
BENCHMARK(decode_chunked)
    ->Arg(static_cast<int>(PayloadKind::streaming_signed))
    ->Arg(static_cast<int>(PayloadKind::streaming_unsigned_trailer));

}  // namespace

BENCHMARK_MAIN();
