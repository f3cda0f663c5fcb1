// SPDX-License-Identifier: Apache-2.0
// The forms of a body through the whole server. src/s3/request/payload_test.cc goes through all combinations
// of what a head says; here are those that are to be stored, and one of each kind that is to be refused.
#include "api/api_test_world.h"
#include "client/record.h"

namespace fb::api {
namespace {

const Headers kAsking = {{"x-amz-checksum-mode", "ENABLED"}};

bool has_trailer(Auth auth) {
  return auth == Auth::streaming_signed_trailer || auth == Auth::streaming_unsigned_trailer;
}

bool is_framed(Auth auth) { return auth == Auth::streaming_signed || has_trailer(auth); }

TEST(ApiPayload, EveryFormIsStoredWithItsChecksum) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    std::vector<std::optional<s3::ChecksumKind>> sent = {std::nullopt};
    for (const s3::ChecksumKind kind : s3::kChecksumKinds) sent.emplace_back(kind);
    for (const size_t size : {size_t{0}, size_t{5}, size_t{100'000}}) {
      const std::string body = random_bytes(size, size);
      for (const Auth auth : kAccepted) {
        for (const auto& kind : sent) {
          for (const bool http_chunked : {false, true}) {
            // The test's client adds a trailer with CRC32 where there is no header.
            const auto expected = kind                ? *kind
                                  : has_trailer(auth) ? s3::ChecksumKind::crc32
                                                      : s3::ChecksumKind::crc64nvme;
            const std::string header(s3::checksum_header(expected));
            Req put{.method = "PUT", .path = "/bucket/key", .body = body, .auth = auth};
            put.http_chunked = http_chunked;
            put.headers = {{"Content-MD5", base64_md5(body)}};
            if (kind) put.headers.emplace_back(header, checksum_base64(*kind, body));
            const Reply done = co_await server.call(put);
            EXPECT_EQ(done.status, 200) << size << " " << static_cast<int>(auth) << done.body;
            EXPECT_EQ(done.header(header), checksum_base64(expected, body));
            EXPECT_EQ(done.header("x-amz-checksum-type"), "FULL_OBJECT");
            const Reply got = co_await server.call("GET", "/bucket/key", "", "", kAsking);
            EXPECT_TRUE(got.body == body);
            EXPECT_EQ(got.header(header), checksum_base64(expected, body));
            EXPECT_EQ(got.header("x-amz-checksum-type"), "FULL_OBJECT");
          }
        }
      }
    }
    co_await server.check_blobs();
  });
}

struct Refused {
  Headers headers;
  std::string code;
  bool framed_too = true;
};

const std::string kCrc32OfX = checksum_base64(s3::ChecksumKind::crc32, "x");
const std::string kSha1OfX = checksum_base64(s3::ChecksumKind::sha1, "x");

const std::vector<Refused>& refusals() {
  static const std::vector<Refused> kRefusals = {
      {{{"Content-Encoding", "aws-chunked"}}, "InvalidArgument", false},
      {{{"Content-Encoding", "gzip"}, {"Content-Encoding", "AWS-Chunked"}}, "InvalidArgument", false},
      {{{"x-amz-decoded-content-length", "2"}}, "InvalidRequest", false},
      {{{"x-amz-trailer", "x-amz-checksum-crc32"}}, "InvalidRequest", false},
      {{{"x-amz-sdk-checksum-algorithm", "CRC32"}}, "InvalidRequest", false},
      {{{"x-amz-sdk-checksum-algorithm", "SHA1"}, {"x-amz-checksum-crc32", kCrc32OfX}}, "InvalidRequest"},
      {{{"x-amz-sdk-checksum-algorithm", "MD9"}, {"x-amz-checksum-crc32", kCrc32OfX}}, "InvalidRequest"},
      {{{"x-amz-checksum-sha1", kSha1OfX}, {"x-amz-checksum-crc32", kCrc32OfX}}, "InvalidRequest"},
      {{{"x-amz-checksum-crc32", kCrc32OfX}, {"x-amz-checksum-crc32", kCrc32OfX}}, "InvalidArgument"},
      {{{"x-amz-checksum-md9", kCrc32OfX}}, "InvalidRequest"},
      {{{"x-amz-checksum-sha512", kCrc32OfX}}, "NotImplemented"},
      {{{"x-amz-checksum-crc32", "AAAA"}}, "InvalidRequest"},
      {{{"x-amz-checksum-crc32", checksum_base64(s3::ChecksumKind::crc32, "y")}}, "BadDigest"},
      {{{"Content-MD5", base64_md5("x")}, {"Content-MD5", base64_md5("x")}}, "InvalidArgument"},
      {{{"Content-MD5", "AAAA"}}, "InvalidDigest"},
      {{{"Content-MD5", base64_md5("y")}}, "BadDigest"},
  };
  return kRefusals;
}

TEST(ApiPayload, ContradictionsChangeNothing) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "before");
    const Reply created = co_await server.call("POST", "/bucket/key", "uploads");
    const std::string part = "partNumber=1&uploadId=" + created.element("UploadId");
    const std::string before = co_await server.state();
    for (const Refused& refused : refusals()) {
      for (const Auth auth : kAccepted) {
        if (is_framed(auth) && !refused.framed_too) continue;
        for (const std::string& query : {std::string(), part}) {
          Req put{.method = "PUT", .path = "/bucket/key", .query = query, .body = "x", .auth = auth};
          put.headers = refused.headers;
          const Reply reply = co_await server.call(put);
          // Version 2 signs Content-MD5, so that two of them are refused before.
          const bool signed_twice =
              is_v2(auth) && refused.headers.size() == 2 && refused.headers[0].first == "Content-MD5";
          EXPECT_EQ(reply.code(), signed_twice ? "AuthorizationHeaderMalformed" : refused.code)
              << refused.headers[0].first << ": " << refused.headers[0].second << " " << reply.body;
        }
      }
    }
    EXPECT_EQ(co_await server.state(), before);
    co_await server.check_blobs();
  });
}

TEST(ApiPayload, PartsFitTheirUpload) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const std::string type : {"COMPOSITE", "FULL_OBJECT"}) {
      const Reply created =
          co_await server.call("POST", "/bucket/key", "uploads", "",
                               {{"x-amz-checksum-algorithm", "CRC32"}, {"x-amz-checksum-type", type}});
      const std::string query = "partNumber=1&uploadId=" + created.element("UploadId");
      for (const Auth auth : kAccepted) {
        const auto put = [&](Headers headers) -> Task<Reply> {
          Req part{.method = "PUT", .path = "/bucket/key", .query = query, .body = "x", .auth = auth};
          part.headers = std::move(headers);
          co_return co_await server.call(part);
        };
        const Reply silent = co_await put({});  // or with CRC32 in the trailer
        const bool told = has_trailer(auth);
        EXPECT_EQ(silent.code(), told || type == "FULL_OBJECT" ? "" : "InvalidRequest") << silent.body;
        if (silent.status == 200) EXPECT_EQ(silent.header("x-amz-checksum-crc32"), kCrc32OfX);
        EXPECT_EQ((co_await put({{"x-amz-checksum-crc32", kCrc32OfX}})).status, 200);
        EXPECT_EQ((co_await put({{"x-amz-checksum-sha1", kSha1OfX}})).code(), "InvalidRequest");
      }
    }
    co_await server.check_blobs();
  });
}

// Objects from before there was a default.
TEST(ApiPayload, RecordsWithoutAChecksumStayReadable) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    const CallContext context{.deadline = server.env.now() + Duration::seconds(10)};
    const auto bucket = co_await server.roots.find_bucket(context, "bucket");
    CO_CHECK(bucket);
    {
      const auto found = co_await server.names.get(context, bucket->id, Space::objects, "key");
      CO_CHECK(found);
      auto record = ObjectRecord::decode(found->record);
      CO_CHECK(record);
      EXPECT_EQ(record->checksum.algorithm, RecordChecksumAlgorithm::crc64nvme);
      record->checksum = {};
      const std::string bytes = record->encode();
      const auto put = co_await server.names.apply(context, bucket->id,
                                                   {.kind = Mutation::Kind::put,
                                                    .space = Space::objects,
                                                    .key = "key",
                                                    .record = bytes,
                                                    .condition = {}});
      CO_CHECK(put);
    }
    const Reply got = co_await server.call("GET", "/bucket/key", "", "", kAsking);
    EXPECT_EQ(got.body, "content");
    EXPECT_FALSE(got.has("x-amz-checksum-crc64nvme"));
    EXPECT_FALSE(got.has("x-amz-checksum-type"));
    const Reply listed = co_await server.call("GET", "/bucket");
    EXPECT_EQ(listed.element("ChecksumAlgorithm"), "");
    // A copy is read and written anew, so it gets one.
    const Reply copied =
        co_await server.call("PUT", "/bucket/copy", "", "", {{"x-amz-copy-source", "bucket/key"}});
    EXPECT_EQ(copied.element("ChecksumCRC64NVME"), checksum_base64(s3::ChecksumKind::crc64nvme, "content"));
    co_await server.check_blobs();
  });
}

}  // namespace
}  // namespace fb::api
