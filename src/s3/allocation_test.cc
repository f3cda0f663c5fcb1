// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "s3/auth/signer.h"
#include "s3/auth/sigv4.h"
#include "s3/request/chunked.h"
#include "s3/request/chunked_encoder.h"
#include "s3/request/payload.h"
#include "s3/request/requests.h"
#include "s3/test_request.h"

// The hot path of objects does not allocate: routing and parsing of GetObject, HeadObject, DeleteObject, and
// of a PutObject without stored headers; and verifying signatures with a known key, and aws-chunked bodies.
// Counted by replacing the global allocator of this test binary. ThreadSanitizer has its own, which cannot be
// replaced: a build with it has none of these tests.
#if !__has_feature(thread_sanitizer)

namespace {
size_t allocation_count = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocation_count;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace fb::s3 {
namespace {

template <class Parse>
size_t count_allocations(std::string_view method, std::string_view target,
                         std::span<const HeaderField> headers, Parse parse) {
  static const std::vector<std::string> kDomains = {"s3.example.com"};
  RequestHead head;
  head.method = method;
  head.target = target;
  head.path = target.substr(0, target.find('?'));
  if (head.path.size() < target.size()) head.query = target.substr(head.path.size() + 1);
  head.headers = headers;
  RouteBuffer buffer;
  const size_t before = allocation_count;
  const auto routed = route(head, head.header("host"), kDomains, buffer);
  EXPECT_TRUE(routed);
  const auto request = parse(ParseContext{head, *routed, "1", 0});
  EXPECT_TRUE(request);
  return allocation_count - before;
}

constexpr std::string_view kPresigned =
    "/bucket/datasets%2Fimagenet/shard%20001/0123456789abcdef.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAEXAMPLE%2F20260102%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z"
    "&X-Amz-Expires=604800&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&x-id=GetObject";

TEST(Allocations, TheCounterCounts) {
  const size_t before = allocation_count;
  const std::string text(100, 'x');
  EXPECT_GT(allocation_count, before) << text;
}

TEST(Allocations, NoneForObjects) {
  const HeaderField signed_headers[] = {{"Host", "bucket.s3.example.com"},
                                        {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"},
                                        {"x-amz-date", "20260102T030405Z"},
                                        {"Range", "bytes=0-9"},
                                        {"Authorization", "AWS4-HMAC-SHA256 ..."}};
  const HeaderField plain_headers[] = {{"Host", "localhost:8080"}, {"Content-Length", "4096"}};
  EXPECT_EQ(count_allocations("GET", kPresigned, plain_headers, parse_get_object), 0U);
  EXPECT_EQ(count_allocations("HEAD", "/a/b%20c", signed_headers, parse_get_object), 0U);
  EXPECT_EQ(count_allocations("DELETE", kPresigned, plain_headers, parse_delete_object), 0U);
  EXPECT_EQ(count_allocations("PUT", kPresigned, plain_headers, parse_put_object), 0U);
}

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr int64_t kTime = 1369353600;

TEST(Allocations, NoneForAKnownSigningKey) {
  const SigningIdentity identity{.access_key = "AKIAIOSFODNN7EXAMPLE", .secret = kSecret};
  TestRequest presigned("GET /bucket/a%20key?x-id=GetObject\nHost: h");
  const std::string target = presign(presigned.head(), identity, {.time_seconds = kTime}).value();
  presigned.set_target(target);
  TestRequest with_header(
      "PUT /bucket/a%20key?z=1&a=2\nHost: h\nx-amz-date: 20130524T000000Z\nx-amz-meta-a: b  c\n"
      "x-amz-content-sha256: UNSIGNED-PAYLOAD");
  const std::string authorization = sign_request(with_header.head(), identity).value();
  with_header.add("Authorization", authorization);
  SigningKeyCache cache;
  for (TestRequest* request : {&presigned, &with_header}) {
    const RequestHead& head = request->head();
    for (const bool known : {false, true}) {
      const size_t before = allocation_count;
      const auto auth = parse_auth(head);
      ASSERT_TRUE(auth);
      EXPECT_TRUE(authenticate(head, *auth, kSecret, kTime, cache));
      if (known) EXPECT_EQ(allocation_count, before);
    }
  }
}

TEST(Allocations, NoneForAPayloadsPlan) {
  const HeaderField headers[] = {{"Host", "h"},
                                 {"Content-Length", "80"},
                                 {"Content-Encoding", "aws-chunked"},
                                 {"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="},
                                 {"x-amz-decoded-content-length", "9"},
                                 {"x-amz-trailer", "x-amz-checksum-crc32"},
                                 {"x-amz-sdk-checksum-algorithm", "CRC32"}};
  RequestHead head;
  head.headers = headers;
  for (const PayloadUse use : {PayloadUse::object, PayloadUse::part, PayloadUse::completion}) {
    const size_t before = allocation_count;
    EXPECT_TRUE(plan_payload(
        {.head = head, .kind = PayloadKind::streaming_unsigned_trailer, .content_length = 80, .use = use}));
    EXPECT_EQ(allocation_count, before);
  }
}

TEST(Allocations, NoneForChunkedBodies) {
  const SignatureChain chain(SigningKey(kSecret, "20130524", "us-east-1"), kTime,
                             "20130524/us-east-1/s3/aws4_request", std::string(kSignatureLength, '0'));
  ChunkedEncoder encoder(PayloadKind::streaming_signed_trailer, &chain);
  std::string body;
  encoder.append_chunk(as_bytes("some data"), body);
  const ChunkedEncoder::Trailer trailers[] = {{"x-amz-checksum-crc32", "AAAAAA=="}};
  encoder.append_end(trailers, body);
  const size_t before = allocation_count;
  ChunkedDecoder decoder(
      {.kind = PayloadKind::streaming_signed_trailer, .announced_trailers = "x-amz-checksum-crc32"}, &chain);
  for (Bytes input = as_bytes(body); !input.empty();) {
    const auto piece = decoder.next(input);
    ASSERT_TRUE(piece);
    input = input.subspan(piece->consumed);
  }
  EXPECT_TRUE(decoder.finish());
  EXPECT_EQ(decoder.trailer("x-amz-checksum-crc32"), "AAAAAA==");
  EXPECT_EQ(allocation_count, before);
}

}  // namespace
}  // namespace fb::s3

#endif
