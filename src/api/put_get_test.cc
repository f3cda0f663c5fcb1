// SPDX-License-Identifier: Apache-2.0
// PutObject, GetObject, HeadObject: contents, ranges, conditions, headers, checksums, refusals.
#include "api/api_test_world.h"

#include <gtest/gtest.h>

#include "s3/time.h"

namespace fb::api {
namespace {

constexpr size_t kMiBytes = 1 << 20;

TEST(ApiPutGet, EverySizeInEveryForm) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{65536}, kMiBytes - 1, kMiBytes,
                              kMiBytes + 1, 3 * kMiBytes + 5}) {
      const std::string body = random_bytes(size, size);
      for (const Auth auth : kAccepted) {
        for (const size_t piece : {size_t{0}, size_t{16001}}) {
          const Req put{
              .method = "PUT", .path = "/bucket/key", .body = body, .auth = auth, .piece_bytes = piece};
          const Reply reply = co_await server.call(put);
          EXPECT_EQ(reply.status, 200) << size << " " << static_cast<int>(auth) << reply.body;
          EXPECT_EQ(reply.header("etag"), "\"" + md5_hex(body) + "\"");
          const Reply got = co_await server.call("GET", "/bucket/key");
          EXPECT_EQ(got.status, 200);
          EXPECT_EQ(got.header("content-length"), std::to_string(size));
          EXPECT_TRUE(got.body == body) << size << " " << static_cast<int>(auth);
          EXPECT_FALSE(got.has("content-encoding"));
        }
      }
    }
    co_await server.check_blobs();
  });
}

// The last chunk and the trailer come in packets of their own, cut anywhere.
TEST(ApiPutGet, FramingCutAnywhere) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(700);
    for (const Auth auth :
         {Auth::streaming_signed, Auth::streaming_signed_trailer, Auth::streaming_unsigned_trailer}) {
      for (const bool http_chunked : {false, true}) {
        for (size_t held_back = 1; held_back < 220; held_back += 3) {
          const Req put{.method = "PUT",
                        .path = "/bucket/key",
                        .body = body,
                        .auth = auth,
                        .chunk_bytes = 300,
                        .http_chunked = http_chunked};
          co_await server.client.begin(put, held_back);
          (void)co_await sleep_for(server.env, Duration::milliseconds(5));
          const Reply reply = co_await server.client.end();
          EXPECT_EQ(reply.status, 200) << held_back << reply.body;
        }
        EXPECT_TRUE(co_await server.get("/bucket/key") == body);
        for (const size_t piece : {1, 7}) {
          const Req put{.method = "PUT",
                        .path = "/bucket/key",
                        .body = body,
                        .auth = auth,
                        .chunk_bytes = 64,
                        .piece_bytes = piece,
                        .http_chunked = http_chunked};
          EXPECT_EQ((co_await server.call(put)).status, 200);
        }
      }
    }
    co_await server.check_blobs();
  });
}

TEST(ApiPutGet, UnknownLength) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const size_t size : {size_t{0}, size_t{10}, kMiBytes, 2 * kMiBytes + 3}) {
      for (const Auth auth : kAccepted) {
        const Req put{.method = "PUT",
                      .path = "/bucket/key",
                      .body = random_bytes(size, size + 1),
                      .auth = auth,
                      .piece_bytes = 300'000,
                      .http_chunked = true,
                      .with_length = false};
        const Reply reply = co_await server.call(put);
        EXPECT_EQ(reply.status, 200) << size << " " << static_cast<int>(auth) << reply.body;
        EXPECT_TRUE(co_await server.get("/bucket/key") == put.body);
      }
    }
    co_await server.check_blobs();
  });
}

// More than a minute for one object: no deadline holds for the whole of it.
TEST(ApiPutGet, SlowUpload) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Req put{.method = "PUT", .path = "/bucket/key", .body = random_bytes(3 * kMiBytes)};
    for (size_t held_back = 3; held_back > 0; --held_back) {
      co_await server.client.begin(put, held_back * kMiBytes - 5000);
      (void)co_await sleep_for(server.env, Duration::seconds(25));
      const Reply reply = co_await server.client.end();
      EXPECT_EQ(reply.status, 200) << reply.body;
    }
    // Twenty seconds between any two pieces.
    if (!co_await server.client.connect()) co_return;
    const std::string text = server.client.serialize(put);
    for (size_t at = 0; at < text.size(); at += 400'000) {
      std::string piece = text.substr(at, 400'000);
      iovec vector{piece.data(), piece.size()};
      (void)co_await server.client.socket().send_all({&vector, 1}, {});
      (void)co_await sleep_for(server.env, Duration::seconds(20));
    }
    const std::string answer = co_await server.client.raw("");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK")) << answer;
    EXPECT_TRUE(co_await server.get("/bucket/key") == put.body);
    co_await server.check_blobs();
  });
}

TEST(ApiPutGet, Ranges) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(2 * kMiBytes + 100);
    const std::string size = std::to_string(body.size());
    (void)co_await server.call("PUT", "/bucket/key", "", body);
    (void)co_await server.call("PUT", "/bucket/empty");
    struct Case {
      std::string range;
      int status;
      size_t offset;
      size_t length;
    };
    const std::vector<Case> cases = {
        {"bytes=0-0", 206, 0, 1},
        {"bytes=0-", 206, 0, body.size()},
        {"bytes=-1", 206, body.size() - 1, 1},
        {"bytes=-99999999", 206, 0, body.size()},
        {"bytes=1048575-1048576", 206, kMiBytes - 1, 2},
        {"bytes=1048576-1048576", 206, kMiBytes, 1},
        {"bytes=5-99999999", 206, 5, body.size() - 5},
        {"bytes=2097251-", 206, 2097251, 1},
        {"bytes=9-5", 200, 0, body.size()},
        {"bytes=a-b", 200, 0, body.size()},
        {"bytes=0-1,5-6", 200, 0, body.size()},
        {"lines=0-1", 200, 0, body.size()},
        {"bytes=2097252-", 416, 0, 0},
        {"bytes=-0", 416, 0, 0},
    };
    for (const Case& item : cases) {
      for (const std::string method : {"GET", "HEAD"}) {
        const Reply reply = co_await server.call(method, "/bucket/key", "", "", {{"Range", item.range}});
        EXPECT_EQ(reply.status, item.status) << item.range;
        if (item.status == 416) {
          EXPECT_EQ(reply.header("content-range"), "bytes */" + size);
          EXPECT_EQ(reply.code(), method == "GET" ? "InvalidRange" : "");
          EXPECT_FALSE(reply.has("etag"));
          continue;
        }
        EXPECT_EQ(reply.header("content-length"), std::to_string(item.length)) << item.range;
        EXPECT_TRUE(reply.body == (method == "GET" ? body.substr(item.offset, item.length) : ""))
            << item.range;
        const std::string expected = item.status == 200
                                         ? ""
                                         : "bytes " + std::to_string(item.offset) + "-" +
                                               std::to_string(item.offset + item.length - 1) + "/" + size;
        EXPECT_EQ(reply.header("content-range"), expected);
      }
    }
    EXPECT_EQ((co_await server.call("GET", "/bucket/empty", "", "", {{"Range", "bytes=-5"}})).status, 200);
    EXPECT_EQ((co_await server.call("GET", "/bucket/empty", "", "", {{"Range", "bytes=0-"}})).status, 416);
    const Reply stale = co_await server.call("GET", "/bucket/key", "", "",
                                             {{"Range", "bytes=0-1"}, {"If-Range", "\"another\""}});
    EXPECT_EQ(stale.status, 200);
    const Reply fresh = co_await server.call(
        "GET", "/bucket/key", "", "", {{"Range", "bytes=0-1"}, {"If-Range", "\"" + md5_hex(body) + "\""}});
    EXPECT_EQ(fresh.status, 206);
  });
}

TEST(ApiPutGet, PartNumbersOfSingleObjects) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    (void)co_await server.call("PUT", "/bucket/empty");
    const Reply first = co_await server.call("GET", "/bucket/key", "partNumber=1");
    EXPECT_EQ(first.status, 206);
    EXPECT_EQ(first.header("content-range"), "bytes 0-6/7");
    EXPECT_EQ(first.body, "content");
    EXPECT_FALSE(first.has("x-amz-mp-parts-count"));
    const Reply empty = co_await server.call("GET", "/bucket/empty", "partNumber=1");
    EXPECT_EQ(empty.status, 200);
    EXPECT_FALSE(empty.has("content-range"));
    const Reply second = co_await server.call("GET", "/bucket/key", "partNumber=2");
    EXPECT_EQ(second.status, 416);
    EXPECT_EQ(second.code(), "InvalidPartNumber");
    EXPECT_EQ((co_await server.call("GET", "/bucket/key", "partNumber=0")).code(), "InvalidArgument");
    const Reply both =
        co_await server.call("GET", "/bucket/key", "partNumber=1", "", {{"Range", "bytes=0-1"}});
    EXPECT_EQ(both.code(), "InvalidRequest");
  });
}

TEST(ApiPutGet, ConditionsOnReads) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    const std::string etag = md5_hex("content");
    const int64_t now = server.env.wall_clock().seconds();
    const std::string before = s3::format_http_date(now - 1000);
    const std::string after = s3::format_http_date(now + 1);
    const auto status = [&](Headers headers) -> Task<int> {
      const Reply reply = co_await server.call("GET", "/bucket/key", "", "", headers);
      const Reply head = co_await server.call("HEAD", "/bucket/key", "", "", headers);
      EXPECT_EQ(head.status, reply.status);
      EXPECT_EQ(head.body, "");
      if (reply.status == 304) {
        EXPECT_EQ(reply.header("etag"), "\"" + etag + "\"");
        EXPECT_EQ(reply.body, "");
      }
      if (reply.status == 412) EXPECT_EQ(reply.code(), "PreconditionFailed");
      co_return reply.status;
    };
    EXPECT_EQ(co_await status({{"If-Match", "\"" + etag + "\""}}), 200);
    EXPECT_EQ(co_await status({{"If-Match", etag}}), 200);
    EXPECT_EQ(co_await status({{"If-Match", "*"}}), 200);
    EXPECT_EQ(co_await status({{"If-Match", "\"x\""}}), 412);
    EXPECT_EQ(co_await status({{"If-None-Match", etag}}), 304);
    EXPECT_EQ(co_await status({{"If-None-Match", "\"x\""}}), 200);
    EXPECT_EQ(co_await status({{"If-None-Match", "*"}}), 304);
    EXPECT_EQ(co_await status({{"If-Modified-Since", before}}), 200);
    EXPECT_EQ(co_await status({{"If-Modified-Since", s3::format_http_date(now)}}), 304);
    EXPECT_EQ(co_await status({{"If-Unmodified-Since", before}}), 412);
    EXPECT_EQ(co_await status({{"If-Unmodified-Since", after}}), 200);
    EXPECT_EQ(co_await status({{"If-Match", etag}, {"If-Unmodified-Since", before}}), 200);
    EXPECT_EQ(co_await status({{"If-None-Match", etag}, {"If-Modified-Since", before}}), 304);
    const Reply missing = co_await server.call("GET", "/bucket/none", "", "", {{"If-Match", etag}});
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(missing.code(), "NoSuchKey");
    EXPECT_EQ(missing.element("Key"), "none");
  });
}

TEST(ApiPutGet, MetadataComesBack) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Headers headers = {{"Content-Type", "text/x-test"},
                             {"Cache-Control", "no-cache"},
                             {"Content-Disposition", "attachment; filename=\"a b\""},
                             {"Content-Language", "en"},
                             {"Expires", "Thu, 01 Dec 2033 16:00:00 GMT"},
                             {"x-amz-meta-Colour", "blue  green"},
                             {"x-amz-meta-utf8", "gr\xc3\xbcn"},
                             {"x-amz-acl", "private"},
                             {"x-amz-storage-class", "STANDARD"}};
    for (const Auth auth : {Auth::header_hash, Auth::streaming_signed}) {
      Req put{.method = "PUT", .path = "/bucket/key", .headers = headers, .body = "x", .auth = auth};
      // Beside that, the test's client says aws-chunked where it is.
      put.headers.emplace_back("Content-Encoding", "gzip");
      const Reply reply = co_await server.call(put);
      EXPECT_EQ(reply.status, 200) << reply.body;
      for (const std::string method : {"GET", "HEAD"}) {
        const Reply got = co_await server.call(method, "/bucket/key");
        EXPECT_EQ(got.header("content-type"), "text/x-test");
        EXPECT_EQ(got.header("cache-control"), "no-cache");
        EXPECT_EQ(got.header("content-disposition"), "attachment; filename=\"a b\"");
        EXPECT_EQ(got.header("content-encoding"), "gzip");
        EXPECT_EQ(got.header("content-language"), "en");
        EXPECT_EQ(got.header("expires"), "Thu, 01 Dec 2033 16:00:00 GMT");
        EXPECT_EQ(got.header("x-amz-meta-colour"), "blue  green");
        EXPECT_EQ(got.header("x-amz-meta-utf8"), "=?UTF-8?B?Z3LDvG4=?=");
        EXPECT_EQ(got.header("accept-ranges"), "bytes");
        EXPECT_TRUE(got.has("last-modified") && got.has("date") && got.has("x-amz-request-id") &&
                    got.has("x-amz-id-2"));
        EXPECT_EQ(got.header("content-length"), "1");
      }
    }
    const Reply changed = co_await server.call(
        "GET", "/bucket/key",
        "response-content-type=a%2Fb&response-cache-control=max-age%3D1&response-expires=soon&"
        "response-content-disposition=inline&response-content-encoding=identity&response-content-language="
        "de");
    EXPECT_EQ(changed.header("content-type"), "a/b");
    EXPECT_EQ(changed.header("cache-control"), "max-age=1");
    EXPECT_EQ(changed.header("expires"), "soon");
    EXPECT_EQ(changed.header("content-disposition"), "inline");
    EXPECT_EQ(changed.header("content-encoding"), "identity");
    EXPECT_EQ(changed.header("content-language"), "de");
    const Reply split = co_await server.call("GET", "/bucket/key", "response-content-type=a%0D%0Ax:y");
    EXPECT_EQ(split.code(), "InvalidArgument");
    const Reply large =
        co_await server.call("PUT", "/bucket/key", "", "x", {{"x-amz-meta-a", std::string(2049, 'x')}});
    EXPECT_EQ(large.code(), "MetadataTooLarge");
    (void)co_await server.call("PUT", "/bucket/plain", "", "x");
    EXPECT_EQ((co_await server.call("GET", "/bucket/plain")).header("content-type"), "binary/octet-stream");
  });
}

TEST(ApiPutGet, Checksums) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(100'000);
    for (const auto kind : {s3::ChecksumKind::crc32, s3::ChecksumKind::crc32c, s3::ChecksumKind::crc64nvme,
                            s3::ChecksumKind::sha1, s3::ChecksumKind::sha256}) {
      const std::string header(s3::checksum_header(kind));
      const std::string good = checksum_base64(kind, body);
      const Reply put = co_await server.call("PUT", "/bucket/key", "", body, {{header, good}});
      EXPECT_EQ(put.status, 200) << put.body;
      EXPECT_EQ(put.header(header), good);
      const Reply plain = co_await server.call("GET", "/bucket/key");
      EXPECT_FALSE(plain.has(header));
      for (const std::string method : {"GET", "HEAD"}) {
        const Reply got =
            co_await server.call(method, "/bucket/key", "", "", {{"x-amz-checksum-mode", "ENABLED"}});
        EXPECT_EQ(got.header(header), good);
        EXPECT_EQ(got.header("x-amz-checksum-type"), "FULL_OBJECT");
      }
      const Reply part = co_await server.call("GET", "/bucket/key", "", "",
                                              {{"x-amz-checksum-mode", "ENABLED"}, {"Range", "bytes=0-9"}});
      EXPECT_FALSE(part.has(header));
      const std::string before = co_await server.state();
      const Reply wrong =
          co_await server.call("PUT", "/bucket/key", "", body, {{header, checksum_base64(kind, "other")}});
      EXPECT_EQ(wrong.status, 400);
      EXPECT_EQ(wrong.code(), "BadDigest");
      EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "", body, {{header, "AAA"}})).code(),
                "InvalidRequest");
      EXPECT_EQ(co_await server.state(), before);
    }
    const std::string before = co_await server.state();
    EXPECT_EQ(
        (co_await server.call("PUT", "/bucket/k", "", body, {{"Content-MD5", base64_md5(body)}})).status,
        200);
    EXPECT_EQ(
        (co_await server.call("PUT", "/bucket/k2", "", body, {{"Content-MD5", base64_md5("x")}})).code(),
        "BadDigest");
    EXPECT_EQ((co_await server.call("PUT", "/bucket/k2", "", body, {{"Content-MD5", "x"}})).code(),
              "InvalidDigest");
    // A trailer that is announced and cannot come.
    const Headers trailer = {{"x-amz-trailer", "x-amz-checksum-crc32"}};
    EXPECT_EQ((co_await server.call("PUT", "/bucket/k2", "", body, trailer)).code(), "InvalidRequest");
    const Headers two = {{"x-amz-checksum-crc32", checksum_base64(s3::ChecksumKind::crc32, body)},
                         {"x-amz-checksum-sha1", checksum_base64(s3::ChecksumKind::sha1, body)}};
    EXPECT_EQ((co_await server.call("PUT", "/bucket/k2", "", body, two)).code(), "InvalidRequest");
    EXPECT_EQ((co_await server.call("GET", "/bucket/k2")).status, 404);
    co_await server.check_blobs();
  });
}

TEST(ApiPutGet, Keys) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::vector<std::string> keys = {"a",
                                           "a/",
                                           "a/b",
                                           "a//b",
                                           "/",
                                           "//",
                                           ".",
                                           "..",
                                           "../x",
                                           "a%20b",
                                           "a+b",
                                           "a%2Bb%2Fc",
                                           "%E2%82%AC",
                                           "a%00",
                                           "%FF",
                                           std::string(1024, 'k'),
                                           std::string(1025, 'k')};
    for (const std::string& key : keys) {
      const Reply put = co_await server.call("PUT", "/bucket/" + key, "", key);
      if (key == "a%00" || key == "%FF") {
        EXPECT_EQ(put.code(), "InvalidArgument") << key;
      } else if (key.starts_with("..")) {
        EXPECT_EQ(put.code(), "InvalidURI") << key;
      } else if (key.size() == 1025) {
        EXPECT_EQ(put.code(), "KeyTooLongError");
      } else {
        EXPECT_EQ(put.status, 200) << key << put.body;
      }
    }
    for (const std::string& key : keys) {
      if (key == "a%00" || key == "%FF" || key.size() == 1025 || key.starts_with("..")) continue;
      EXPECT_EQ(co_await server.get("/bucket/" + key), key);
    }
    std::string malformed = server.client.serialize({.method = "PUT", .path = "/bucket/mal"});
    malformed.replace(malformed.find("/mal"), 4, "/%zz");
    EXPECT_TRUE((co_await server.client.raw(malformed)).starts_with("HTTP/1.1 400"));
    EXPECT_EQ((co_await server.call("DELETE", "/bucket/a/")).status, 204);
    EXPECT_EQ((co_await server.call("GET", "/bucket/a/")).status, 404);
    EXPECT_EQ(co_await server.get("/bucket/a"), "a");
    EXPECT_EQ(co_await server.get("/bucket/a/b"), "a/b");
    EXPECT_EQ(co_await server.get("/bucket/a//b"), "a//b");
  });
}

TEST(ApiPutGet, Refusals) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content", {{"x-amz-meta-a", "b"}});
    const std::string before = co_await server.state();
    const Req no_length{.method = "PUT", .path = "/bucket/key", .with_length = false};
    const Reply missing_length = co_await server.call(no_length);
    EXPECT_EQ(missing_length.status, 411);
    EXPECT_EQ(missing_length.code(), "MissingContentLength");
    EXPECT_EQ((co_await server.call("PUT", "/nowhere/key", "", "x")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "", "x", {{"If-None-Match", "\"a\""}})).status,
              501);
    EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "", "x", {{"If-Match", "a,b"}})).status, 501);
    EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "", "x", {{"x-amz-acl", "public-read"}})).status,
              501);
    EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "tagging", "x")).status, 501);
    EXPECT_EQ((co_await server.call("GET", "/bucket/key", "acl")).status, 501);
    EXPECT_EQ((co_await server.call("GET", "/bucket/key", "versionId=3")).status, 501);
    EXPECT_EQ((co_await server.call("GET", "/bucket/key", "x-id=GetObject&versionId=null")).status, 200);
    const Reply post = co_await server.call("POST", "/bucket/key");
    EXPECT_EQ(post.status, 405);
    EXPECT_EQ(post.code(), "MethodNotAllowed");
    EXPECT_TRUE(post.header("allow").find("PUT") != std::string::npos) << post.header("allow");
    // Content-Length beyond 5 GiB is refused at once, the declared length of framed content as well.
    const std::string text = server.client.serialize({.method = "PUT", .path = "/bucket/key"}, false);
    std::string huge = text;
    huge.replace(huge.find("Content-Length: 0"), 17, "Content-Length: 5368709121");
    EXPECT_TRUE((co_await server.client.raw(huge)).find("<Code>EntityTooLarge</Code>") != std::string::npos);
    EXPECT_EQ(co_await server.state(), before);
    co_await server.check_blobs();
  });
}

TEST(ApiPutGet, DamagedContentIsNotSent) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", random_bytes(200'000),
                               {{"Content-Encoding", "gzip"}, {"Content-Type", "image/png"}});
    // The blob goes, the record stays: as if the disk had lost it.
    const auto buckets = co_await server.roots.list_buckets({});
    const auto found = co_await server.names.get({}, buckets->front().id, Space::objects, "key");
    const auto record = ObjectRecord::decode(found->record);
    const BlobExtent extent{.id = record->content.blob, .block_count = 1};
    EXPECT_TRUE((co_await server.blobs.erase({}, {&extent, 1})).has_value());
    const Reply reply = co_await server.call("GET", "/bucket/key");
    EXPECT_EQ(reply.status, 500);
    EXPECT_EQ(reply.code(), "InternalError");
    EXPECT_EQ(reply.header("content-type"), "application/xml");
    EXPECT_FALSE(reply.has("content-encoding") || reply.has("etag"));
  });
}

}  // namespace
}  // namespace fb::api
