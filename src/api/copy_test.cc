// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_world.h"

#include <gtest/gtest.h>

#include "io/scope.h"
#include "s3/time.h"

namespace fb::api {
namespace {

Task<Reply> copy(TestServer& server, std::string to, std::string from, Headers headers = {}) {
  headers.emplace_back("x-amz-copy-source", std::move(from));
  co_return co_await server.call("PUT", std::move(to), "", "", std::move(headers));
}

TEST(ApiCopy, ToAnotherKey) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await server.make_bucket("second");
    const std::string body = random_bytes(2'500'000);
    (void)co_await server.call("PUT", "/bucket/a%2Bb%20c", "", body,
                               {{"Content-Type", "a/b"},
                                {"x-amz-meta-m", "v"},
                                {"x-amz-checksum-sha1", checksum_base64(s3::ChecksumKind::sha1, body)}});
    const Reply copied = co_await copy(server, "/second/copy", "/bucket/a%2Bb%20c");
    EXPECT_EQ(copied.status, 200) << copied.body;
    EXPECT_EQ(copied.element("ETag"), "&quot;" + md5_hex(body) + "&quot;");
    EXPECT_EQ(copied.element("ChecksumSHA1"), checksum_base64(s3::ChecksumKind::sha1, body));
    const Reply got = co_await server.call("GET", "/second/copy");
    EXPECT_TRUE(got.body == body);
    EXPECT_EQ(got.header("content-type"), "a/b");
    EXPECT_EQ(got.header("x-amz-meta-m"), "v");
    const Reply replaced = co_await copy(server, "/bucket/replaced", "bucket/a%2Bb%20c",
                                         {{"x-amz-metadata-directive", "REPLACE"},
                                          {"x-amz-meta-n", "w"},
                                          {"x-amz-checksum-algorithm", "CRC32"}});
    EXPECT_EQ(replaced.element("ChecksumCRC32"), checksum_base64(s3::ChecksumKind::crc32, body));
    const Reply other = co_await server.call("HEAD", "/bucket/replaced");
    EXPECT_EQ(other.header("content-type"), "binary/octet-stream");
    EXPECT_EQ(other.header("x-amz-meta-n"), "w");
    EXPECT_FALSE(other.has("x-amz-meta-m"));
    // The copy owns its own blobs.
    (void)co_await server.call("DELETE", "/bucket/a%2Bb%20c");
    co_await server.check_blobs();
    EXPECT_TRUE(co_await server.get("/second/copy") == body);
    (void)co_await server.call("PUT", "/bucket/empty");
    EXPECT_EQ((co_await copy(server, "/bucket/empty2", "bucket/empty")).status, 200);
    EXPECT_EQ(co_await server.get("/bucket/empty2"), "");
  });
}

TEST(ApiCopy, OntoItself) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(1'500'000);
    (void)co_await server.call("PUT", "/bucket/key", "", body, {{"x-amz-meta-m", "v"}});
    const Reply unchanged = co_await copy(server, "/bucket/key", "bucket/key");
    EXPECT_EQ(unchanged.status, 400);
    EXPECT_EQ(unchanged.code(), "InvalidRequest");
    const Headers replace = {{"x-amz-metadata-directive", "REPLACE"}, {"x-amz-meta-n", "w"}};
    EXPECT_EQ((co_await copy(server, "/bucket/key", "bucket/key", replace)).status, 200);
    Reply got = co_await server.call("GET", "/bucket/key");
    EXPECT_TRUE(got.body == body);
    EXPECT_EQ(got.header("x-amz-meta-n"), "w");
    EXPECT_FALSE(got.has("x-amz-meta-m"));
    co_await server.check_blobs();
    // Another checksum, the metadata stays.
    const Reply summed =
        co_await copy(server, "/bucket/key", "bucket/key", {{"x-amz-checksum-algorithm", "SHA256"}});
    EXPECT_EQ(summed.element("ChecksumSHA256"), checksum_base64(s3::ChecksumKind::sha256, body))
        << summed.body;
    got = co_await server.call("GET", "/bucket/key", "", "", {{"x-amz-checksum-mode", "ENABLED"}});
    EXPECT_TRUE(got.body == body);
    EXPECT_EQ(got.header("x-amz-meta-n"), "w");
    EXPECT_EQ(got.header("x-amz-checksum-sha256"), checksum_base64(s3::ChecksumKind::sha256, body));
    co_await server.check_blobs();
    EXPECT_EQ((co_await copy(server, "/bucket/none", "bucket/none", replace)).code(), "NoSuchKey");
  });
}

TEST(ApiCopy, ConditionsAndRefusals) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    const std::string etag = "\"" + md5_hex("content") + "\"";
    const std::string past = s3::format_http_date(server.env.wall_clock().seconds() - 1000);
    const auto status = [&](std::string header, std::string value) -> Task<int> {
      co_return (co_await copy(server, "/bucket/copy", "bucket/key", {{header, value}})).status;
    };
    EXPECT_EQ(co_await status("x-amz-copy-source-if-match", etag), 200);
    EXPECT_EQ(co_await status("x-amz-copy-source-if-match", "\"x\""), 412);
    EXPECT_EQ(co_await status("x-amz-copy-source-if-none-match", etag), 412);
    EXPECT_EQ(co_await status("x-amz-copy-source-if-none-match", "x"), 200);
    EXPECT_EQ(co_await status("x-amz-copy-source-if-modified-since", past), 200);
    EXPECT_EQ(co_await status("x-amz-copy-source-if-unmodified-since", past), 412);
    EXPECT_EQ(co_await status("If-None-Match", "x"), 501);
    EXPECT_EQ(co_await status("x-amz-metadata-directive", "MOVE"), 400);
    EXPECT_EQ(co_await status("x-amz-tagging-directive", "COPY"), 200);
    EXPECT_EQ((co_await copy(server, "/bucket/c", "bucket/none")).code(), "NoSuchKey");
    EXPECT_EQ((co_await copy(server, "/bucket/c", "nowhere/key")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await copy(server, "/nowhere/c", "bucket/key")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await copy(server, "/bucket/c", "bucket")).code(), "InvalidArgument");
    EXPECT_EQ((co_await copy(server, "/bucket/c", "")).code(), "InvalidArgument");
    EXPECT_EQ((co_await copy(server, "/bucket/c", "bucket/key?versionId=x")).status, 501);
    EXPECT_EQ((co_await server.call("GET", "/bucket/c")).status, 404);
    co_await server.check_blobs();
  });
}

}  // namespace
}  // namespace fb::api
