// SPDX-License-Identifier: Apache-2.0
// Multipart uploads from their creation to the object, its parts and its checksums.
#include "api/api_test_world.h"

#include <gtest/gtest.h>

#include "client/record.h"
#include "s3/checksum/hash.h"
#include "s3/response/object_metadata.h"

namespace fb::api {
namespace {

constexpr size_t kPart = 5 << 20;

Task<std::string> create(TestServer& server, std::string key = "key", Headers headers = {}) {
  const Reply reply = co_await server.call("POST", "/bucket/" + key, "uploads", "", std::move(headers));
  EXPECT_EQ(reply.status, 200) << reply.body;
  co_return reply.element("UploadId");
}

Task<Reply> put_part(TestServer& server, std::string id, int number, std::string body,
                     std::string key = "key", Headers headers = {}) {
  const Req request{.method = "PUT",
                    .path = "/bucket/" + key,
                    .query = "partNumber=" + std::to_string(number) + "&uploadId=" + id,
                    .headers = std::move(headers),
                    .body = std::move(body),
                    .auth = Auth::header_unsigned};
  co_return co_await server.call(request);
}

using Parts = std::vector<std::pair<int, std::string>>;  // number, ETag

std::string complete_body(const Parts& parts, const std::string& extra = {}) {
  std::string text = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const auto& [number, etag] : parts)
    text += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" + etag + "</ETag>" + extra +
            "</Part>";
  return text + "</CompleteMultipartUpload>";
}

// The same with the checksum of each part.
std::string complete_body_with(const Parts& parts, s3::ChecksumKind kind,
                               const std::vector<std::string>& contents) {
  std::string text = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < parts.size(); ++i) {
    text += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag><Checksum{}>{}</Checksum{}></Part>",
                        parts[i].first, parts[i].second, s3::checksum_name(kind),
                        checksum_base64(kind, contents[i]), s3::checksum_name(kind));
  }
  return text + "</CompleteMultipartUpload>";
}

Task<Reply> complete(TestServer& server, std::string id, Parts parts, std::string key = "key",
                     Headers headers = {}) {
  co_return co_await server.call("POST", "/bucket/" + key, "uploadId=" + id, complete_body(parts), headers);
}

std::string multipart_etag(const std::vector<std::string>& parts) {
  std::string digests;
  for (const std::string& part : parts) {
    const auto digest = s3::md5(s3::as_bytes(part));
    digests.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  return "\"" + md5_hex(digests) + "-" + std::to_string(parts.size()) + "\"";
}

TEST(ApiMultipart, Life) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string one = random_bytes(kPart, 1);
    const std::string two = random_bytes(kPart + 77, 2);
    const std::string three = random_bytes(100, 3);
    const std::string id = co_await create(server, "key", {{"Content-Type", "a/b"}, {"x-amz-meta-m", "v"}});
    // Out of order, and one of them twice.
    const std::string etag3 = (co_await put_part(server, id, 9, three)).header("etag");
    EXPECT_EQ((co_await put_part(server, id, 1, "first try")).status, 200);
    const std::string etag1 = (co_await put_part(server, id, 1, one)).header("etag");
    const std::string etag2 = (co_await put_part(server, id, 4, two)).header("etag");
    EXPECT_EQ((co_await put_part(server, id, 10000, "not listed")).status, 200);
    EXPECT_EQ((co_await server.call("GET", "/bucket/key")).status, 404);

    const Reply listed = co_await server.call("GET", "/bucket/key", "uploadId=" + id + "&max-parts=2");
    EXPECT_EQ(listed.elements("PartNumber"), (std::vector<std::string>{"1", "4"}));
    EXPECT_EQ(listed.element("IsTruncated"), "true");
    EXPECT_EQ(listed.element("NextPartNumberMarker"), "4");
    EXPECT_EQ(listed.element("DisplayName"), "tester");
    const Reply rest = co_await server.call("GET", "/bucket/key", "uploadId=" + id + "&part-number-marker=4");
    EXPECT_EQ(rest.elements("PartNumber"), (std::vector<std::string>{"9", "10000"}));
    EXPECT_EQ(rest.element("IsTruncated"), "false");

    const Reply done = co_await complete(server, id, {{1, etag1}, {4, etag2}, {9, etag3}});
    EXPECT_EQ(done.status, 200) << done.body;
    const std::string etag = multipart_etag({one, two, three});
    EXPECT_EQ(done.element("ETag"), "&quot;" + etag.substr(1, etag.size() - 2) + "&quot;");
    const Reply got = co_await server.call("GET", "/bucket/key");
    EXPECT_TRUE(got.body == one + two + three);
    EXPECT_EQ(got.header("etag"), etag);
    EXPECT_EQ(got.header("content-type"), "a/b");
    EXPECT_EQ(got.header("x-amz-meta-m"), "v");

    const Reply part = co_await server.call("GET", "/bucket/key", "partNumber=4");
    EXPECT_EQ(part.status, 206);
    EXPECT_TRUE(part.body == two);
    EXPECT_EQ(part.header("x-amz-mp-parts-count"), "3");
    EXPECT_EQ(part.header("content-range"), "bytes " + std::to_string(kPart) + "-" +
                                                std::to_string(2 * kPart + 76) + "/" +
                                                std::to_string(2 * kPart + 177));
    EXPECT_EQ((co_await server.call("HEAD", "/bucket/key", "partNumber=2")).status, 416);
    const Reply across = co_await server.call(
        "GET", "/bucket/key", "", "",
        {{"Range", "bytes=" + std::to_string(kPart - 10) + "-" + std::to_string(kPart + 9)}});
    EXPECT_TRUE(across.body == one.substr(kPart - 10) + two.substr(0, 10));

    // Again: the same answer. After an overwrite the upload is unknown.
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}, {4, etag2}, {9, etag3}})).status, 200);
    EXPECT_EQ((co_await put_part(server, id, 1, "late")).code(), "NoSuchUpload");
    EXPECT_EQ((co_await server.call("DELETE", "/bucket/key", "uploadId=" + id)).code(), "NoSuchUpload");
    co_await server.check_blobs();
    (void)co_await server.call("PUT", "/bucket/key", "", "new");
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}})).code(), "NoSuchUpload");
    EXPECT_EQ(co_await server.get("/bucket/key"), "new");
    co_await server.check_blobs();
  });
}

TEST(ApiMultipart, EmptyLastPart) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string id = co_await create(server);
    const std::string one = random_bytes(kPart, 1);
    const std::string etag1 = (co_await put_part(server, id, 1, one)).header("etag");
    const std::string etag2 = (co_await put_part(server, id, 2, "")).header("etag");
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}, {2, etag2}})).status, 200);
    EXPECT_TRUE(co_await server.get("/bucket/key") == one);
    for (const std::string method : {"GET", "HEAD"}) {
      const Reply part = co_await server.call(method, "/bucket/key", "partNumber=2");
      EXPECT_EQ(part.status, 200);
      EXPECT_EQ(part.header("content-length"), "0");
      EXPECT_EQ(part.header("x-amz-mp-parts-count"), "2");
    }
    const std::string only = co_await create(server, "empty");
    const std::string etag = (co_await put_part(server, only, 5, "", "empty")).header("etag");
    EXPECT_EQ((co_await complete(server, only, {{5, etag}}, "empty")).status, 200);
    EXPECT_EQ(co_await server.get("/bucket/empty"), "");
    EXPECT_EQ((co_await server.call("GET", "/bucket/empty", "partNumber=5")).status, 200);
    EXPECT_EQ((co_await server.call("GET", "/bucket/empty", "partNumber=1")).status, 416);
  });
}

TEST(ApiMultipart, Refusals) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string id = co_await create(server);
    const std::string etag1 = (co_await put_part(server, id, 1, "small")).header("etag");
    const std::string etag2 = (co_await put_part(server, id, 2, "last")).header("etag");
    const std::string before = co_await server.state();
    const Reply small = co_await complete(server, id, {{1, etag1}, {2, etag2}});
    EXPECT_EQ(small.status, 400);
    EXPECT_EQ(small.code(), "EntityTooSmall");
    EXPECT_EQ((co_await complete(server, id, {{2, etag2}, {1, etag1}})).code(), "InvalidPartOrder");
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}, {1, etag1}})).code(), "InvalidPartOrder");
    EXPECT_EQ((co_await complete(server, id, {{3, etag1}})).code(), "InvalidPart");
    EXPECT_EQ((co_await complete(server, id, {{1, etag2}})).code(), "InvalidPart");
    EXPECT_EQ((co_await complete(server, id, {{1, "\"x\""}})).code(), "InvalidPart");
    EXPECT_EQ((co_await complete(server, id, {})).code(), "MalformedXML");
    EXPECT_EQ((co_await server.call("POST", "/bucket/key", "uploadId=" + id, "<x")).code(), "MalformedXML");
    EXPECT_EQ((co_await server.call("POST", "/bucket/key", "uploadId=" + id, "")).code(), "MalformedXML");
    const Headers size = {{"x-amz-mp-object-size", "6"}};
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}}, "key", size)).code(), "InvalidRequest");
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}}, "other")).code(), "NoSuchUpload");
    EXPECT_EQ((co_await put_part(server, id, 0, "x")).code(), "InvalidArgument");
    EXPECT_EQ((co_await put_part(server, id, 10001, "x")).code(), "InvalidArgument");
    EXPECT_EQ((co_await put_part(server, id, 1, "x", "other")).code(), "NoSuchUpload");
    const Headers md5 = {{"Content-MD5", base64_md5("other")}};
    EXPECT_EQ((co_await put_part(server, id, 1, "x", "key", md5)).code(), "BadDigest");
    EXPECT_EQ((co_await server.call("PUT", "/bucket/key", "uploadId=" + id, "x")).code(), "InvalidArgument");
    const Headers condition = {{"If-None-Match", "\"x\""}};
    EXPECT_EQ((co_await complete(server, id, {{1, etag1}}, "key", condition)).status, 501);
    // Ids that nobody made.
    for (const std::string& hostile :
         {std::string(32, '0'), std::string("x"), std::string("%00"), std::string("..%2F..%2Fetc"),
          std::string(32, 'A'), std::string(300, 'a'), id.substr(1), id + "0", std::string("%FF"),
          std::string("%3Cscript%3E")}) {
      for (const Req& request :
           {Req{.method = "PUT",
                .path = "/bucket/key",
                .query = "partNumber=1&uploadId=" + hostile,
                .body = "x"},
            Req{.method = "POST",
                .path = "/bucket/key",
                .query = "uploadId=" + hostile,
                .body = complete_body({{1, etag1}})},
            Req{.method = "DELETE", .path = "/bucket/key", .query = "uploadId=" + hostile},
            Req{.path = "/bucket/key", .query = "uploadId=" + hostile}}) {
        const Reply reply = co_await server.call(request);
        EXPECT_TRUE(reply.status == 404 || reply.status == 400) << hostile << reply.status;
        EXPECT_TRUE(reply.code() == "NoSuchUpload" || reply.code() == "InvalidArgument") << reply.body;
      }
    }
    EXPECT_EQ(co_await server.state(), before);
    EXPECT_EQ((co_await server.call("DELETE", "/bucket/key", "uploadId=" + id)).status, 204);
    EXPECT_EQ((co_await server.call("GET", "/bucket/key", "uploadId=" + id)).code(), "NoSuchUpload");
    co_await server.check_blobs();
    EXPECT_EQ(server.blobs.blob_count(), 0U);
  });
}

TEST(ApiMultipart, Checksums) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string one = random_bytes(kPart, 1);
    const std::string two = random_bytes(1000, 2);
    struct Case {
      s3::ChecksumKind kind;
      std::string type;
      bool composite;
    };
    const std::vector<Case> cases = {{s3::ChecksumKind::crc32, "", true},
                                     {s3::ChecksumKind::crc32, "FULL_OBJECT", false},
                                     {s3::ChecksumKind::crc32c, "FULL_OBJECT", false},
                                     {s3::ChecksumKind::crc64nvme, "", false},
                                     {s3::ChecksumKind::sha1, "COMPOSITE", true},
                                     {s3::ChecksumKind::sha256, "", true}};
    for (const Case& item : cases) {
      const std::string header(s3::checksum_header(item.kind));
      const std::string name(s3::checksum_name(item.kind));
      Headers creation = {{"x-amz-checksum-algorithm", name}};
      if (!item.type.empty()) creation.emplace_back("x-amz-checksum-type", item.type);
      const Reply created = co_await server.call("POST", "/bucket/key", "uploads", "", creation);
      EXPECT_EQ(created.header("x-amz-checksum-algorithm"), name);
      EXPECT_EQ(created.header("x-amz-checksum-type"), item.composite ? "COMPOSITE" : "FULL_OBJECT");
      const std::string id = created.element("UploadId");
      const Reply first =
          co_await put_part(server, id, 1, one, "key", {{header, checksum_base64(item.kind, one)}});
      // A part that says no checksum gets one where the object has one of all its bytes.
      Reply second = co_await put_part(server, id, 2, two);
      EXPECT_EQ(second.code(), item.composite ? "InvalidRequest" : "");
      if (item.composite)
        second = co_await put_part(server, id, 2, two, "key", {{header, checksum_base64(item.kind, two)}});
      EXPECT_EQ(first.header(header), checksum_base64(item.kind, one));
      EXPECT_EQ(second.header(header), checksum_base64(item.kind, two));
      const auto other =
          item.kind == s3::ChecksumKind::sha1 ? s3::ChecksumKind::crc32 : s3::ChecksumKind::sha1;
      const Reply mismatch =
          co_await put_part(server, id, 2, two, "key",
                            {{std::string(s3::checksum_header(other)), checksum_base64(other, two)}});
      EXPECT_EQ(mismatch.code(), "InvalidRequest");
      std::string expected = checksum_base64(item.kind, one + two);
      if (item.composite) {
        s3::CompositeChecksum parts(item.kind);
        parts.add(s3::Checksum::of(item.kind, s3::as_bytes(one)));
        parts.add(s3::Checksum::of(item.kind, s3::as_bytes(two)));
        expected = parts.finish().to_string();
      }
      const Parts parts = {{1, first.header("etag")}, {2, second.header("etag")}};
      const std::string before = co_await server.state();
      const std::string wrong = checksum_base64(item.kind, "wrong") + (item.composite ? "-2" : "");
      const std::string body = complete_body_with(parts, item.kind, {one, two});
      const auto finish = [&](Headers headers) -> Task<Reply> {
        co_return co_await server.call("POST", "/bucket/key", "uploadId=" + id, body, headers);
      };
      EXPECT_EQ((co_await finish({{header, wrong}})).code(), "BadDigest");
      const Headers other_type = {{"x-amz-checksum-type", item.composite ? "FULL_OBJECT" : "COMPOSITE"}};
      EXPECT_EQ((co_await finish(other_type)).code(), "InvalidRequest");
      if (item.composite) EXPECT_EQ((co_await complete(server, id, parts)).code(), "InvalidRequest");
      EXPECT_EQ(co_await server.state(), before);
      // minio-go sends a composite value without the number of parts.
      const std::string stated =
          item.kind == s3::ChecksumKind::sha256 ? expected.substr(0, expected.find('-')) : expected;
      const Reply done = co_await finish({{header, stated}});
      EXPECT_EQ(done.status, 200) << done.body;
      EXPECT_EQ(done.element("Checksum" + name), expected);
      EXPECT_EQ(done.element("ChecksumType"), item.composite ? "COMPOSITE" : "FULL_OBJECT");
      const Reply head =
          co_await server.call("HEAD", "/bucket/key", "", "", {{"x-amz-checksum-mode", "ENABLED"}});
      EXPECT_EQ(head.header(header), expected);
      EXPECT_EQ(head.header("x-amz-checksum-type"), item.composite ? "COMPOSITE" : "FULL_OBJECT");
      const Reply part = co_await server.call("GET", "/bucket/key", "partNumber=2", "",
                                              {{"x-amz-checksum-mode", "ENABLED"}});
      EXPECT_EQ(part.header(header), checksum_base64(item.kind, two));
      EXPECT_EQ(part.header("x-amz-checksum-type"), item.composite ? "COMPOSITE" : "FULL_OBJECT");
    }
    co_await server.check_blobs();
  });
}

// Without an algorithm the object gets CRC64NVME, whatever its parts said.
TEST(ApiMultipart, DefaultChecksum) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string one = random_bytes(kPart, 1);
    const std::string two = random_bytes(kPart + 10, 2);
    const std::string three = random_bytes(10, 3);
    const Req source{.method = "PUT", .path = "/bucket/source", .body = two};
    EXPECT_EQ((co_await server.call(source)).status, 200);
    const std::string whole = checksum_base64(s3::ChecksumKind::crc64nvme, one + two + three);
    const std::string crc32 = checksum_base64(s3::ChecksumKind::crc32, one);
    const std::string id = co_await create(server);
    const Reply first = co_await put_part(server, id, 1, one, "key", {{"x-amz-checksum-crc32", crc32}});
    EXPECT_EQ(first.header("x-amz-checksum-crc32"), crc32);
    const Reply second = co_await server.call("PUT", "/bucket/key", "partNumber=2&uploadId=" + id, "",
                                              {{"x-amz-copy-source", "bucket/source"}});
    EXPECT_EQ(second.status, 200) << second.body;
    const Reply third = co_await put_part(server, id, 3, three);
    EXPECT_FALSE(third.has("x-amz-checksum-crc64nvme")) << "nobody asked for it";
    const std::string copied = "\"" + second.element("ETag").substr(6, 32) + "\"";
    const Parts parts = {{1, first.header("etag")}, {2, copied}, {3, third.header("etag")}};
    const std::string before = co_await server.state();
    const Headers wrong = {{"x-amz-checksum-crc64nvme", checksum_base64(s3::ChecksumKind::crc64nvme, "x")}};
    EXPECT_EQ((co_await complete(server, id, parts, "key", wrong)).code(), "BadDigest");
    const Headers composite = {{"x-amz-checksum-type", "COMPOSITE"}};
    EXPECT_EQ((co_await complete(server, id, parts, "key", composite)).code(), "InvalidRequest");
    EXPECT_EQ(co_await server.state(), before);
    const Reply done = co_await complete(server, id, parts, "key", {{"x-amz-checksum-crc64nvme", whole}});
    EXPECT_EQ(done.status, 200) << done.body;
    EXPECT_EQ(done.element("ChecksumCRC64NVME"), whole);
    EXPECT_EQ(done.element("ChecksumType"), "FULL_OBJECT");
    const Headers asking = {{"x-amz-checksum-mode", "ENABLED"}};
    const Reply head = co_await server.call("HEAD", "/bucket/key", "", "", asking);
    EXPECT_EQ(head.header("x-amz-checksum-crc64nvme"), whole);
    EXPECT_EQ(head.header("x-amz-checksum-type"), "FULL_OBJECT");
    const Reply part = co_await server.call("GET", "/bucket/key", "partNumber=1", "", asking);
    EXPECT_EQ(part.header("x-amz-checksum-crc64nvme"), checksum_base64(s3::ChecksumKind::crc64nvme, one));
    EXPECT_FALSE(part.has("x-amz-checksum-crc32"));
    co_await server.check_blobs();
  });
}

TEST(ApiMultipart, ListUploads) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    std::vector<std::string> keys = {"a", "a", "a!", "a/1", "a/2", "b", "c/x/y", "c/x/z", "a%2Fb%20c"};
    for (const std::string& key : keys) (void)co_await create(server, key);
    const Reply all = co_await server.call("GET", "/bucket", "uploads");
    EXPECT_EQ(all.elements("Key"),
              (std::vector<std::string>{"a", "a", "a!", "a/1", "a/2", "a/b c", "b", "c/x/y", "c/x/z"}));
    std::vector<std::string> seen;
    std::string marker;
    for (int page = 0; page < 20; ++page) {
      const Reply reply =
          co_await server.call("GET", "/bucket", "uploads&max-uploads=2&encoding-type=url" + marker);
      const auto ids = reply.elements("UploadId");
      seen.insert(seen.end(), ids.begin(), ids.end());
      if (reply.element("IsTruncated") != "true") break;
      marker = "&key-marker=" + reply.element("NextKeyMarker") +
               "&upload-id-marker=" + reply.element("NextUploadIdMarker");
    }
    EXPECT_EQ(seen, all.elements("UploadId"));
    const Reply grouped = co_await server.call("GET", "/bucket", "uploads&delimiter=%2F");
    EXPECT_EQ(grouped.elements("Key"), (std::vector<std::string>{"a", "a", "a!", "b"}));
    EXPECT_EQ(grouped.elements("Prefix"), (std::vector<std::string>{"", "a/", "c/"}));
    const Reply below =
        co_await server.call("GET", "/bucket", "uploads&delimiter=%2F&prefix=c%2F&max-uploads=1");
    EXPECT_EQ(below.elements("Prefix"), (std::vector<std::string>{"c/", "c/x/"}));
    EXPECT_EQ(below.element("IsTruncated"), "false");
    const Reply after = co_await server.call("GET", "/bucket", "uploads&key-marker=a");
    EXPECT_EQ(after.elements("Key").front(), "a!");
    EXPECT_EQ((co_await server.call("GET", "/bucket", "uploads&max-uploads=0")).elements("Key").size(), 0U);
    const Reply odd = co_await server.call(
        "GET", "/bucket",
        "uploads&key-marker=" + std::string(1024, 'z') + "&upload-id-marker=" + std::string(1000, 'z'));
    EXPECT_EQ(odd.code(), "InvalidArgument") << odd.body;
    EXPECT_EQ((co_await server.call("DELETE", "/bucket")).status, 204) << "uploads do not keep a bucket";
  });
}

// Those of one key in the order in which they were begun, and the pages as well.
TEST(ApiMultipart, UploadsListByInitiation) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    std::vector<std::string> begun;
    for (int i = 0; i < 12; ++i) {
      begun.push_back(co_await create(server, "key"));
      (void)co_await sleep_for(server.env, Duration::milliseconds(2 + i * 700));
    }
    EXPECT_EQ((co_await server.call("GET", "/bucket", "uploads")).elements("UploadId"), begun);
    std::vector<std::string> seen;
    std::string marker;
    for (int page = 0; page < 12; ++page) {
      const Reply reply = co_await server.call("GET", "/bucket", "uploads&max-uploads=5" + marker);
      for (const std::string& id : reply.elements("UploadId")) seen.push_back(id);
      if (reply.element("IsTruncated") != "true") break;
      marker = "&key-marker=key&upload-id-marker=" + reply.element("NextUploadIdMarker");
    }
    EXPECT_EQ(seen, begun);
  });
}

TEST(ApiMultipart, CopiedParts) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string source = random_bytes(2 * kPart + 12345, 7);
    const Req put{.method = "PUT", .path = "/bucket/source", .body = source};
    EXPECT_EQ((co_await server.call(put)).status, 200);
    (void)co_await server.call("PUT", "/bucket/empty");
    const std::string id = co_await create(
        server, "key", {{"x-amz-checksum-algorithm", "CRC32C"}, {"x-amz-checksum-type", "FULL_OBJECT"}});
    const auto copy = [&](int number, std::string from, std::string range) -> Task<Reply> {
      Headers headers = {{"x-amz-copy-source", from}};
      if (!range.empty()) headers.emplace_back("x-amz-copy-source-range", range);
      co_return co_await server.call("PUT", "/bucket/key",
                                     "partNumber=" + std::to_string(number) + "&uploadId=" + id, "", headers);
    };
    // Ranges that no block begins or ends with.
    const Reply one = co_await copy(1, "bucket/source", "bytes=1-" + std::to_string(kPart + 1));
    EXPECT_EQ(one.status, 200) << one.body;
    EXPECT_EQ(one.element("ChecksumCRC32C"),
              checksum_base64(s3::ChecksumKind::crc32c, source.substr(1, kPart + 1)));
    const Reply two = co_await copy(2, "bucket/source", "");
    const Reply three = co_await copy(3, "bucket/empty", "");
    EXPECT_EQ(three.status, 200) << three.body;
    EXPECT_EQ((co_await copy(4, "bucket/source", "bytes=0-" + std::to_string(source.size()))).code(),
              "InvalidArgument");
    EXPECT_EQ((co_await copy(4, "bucket/source", "bytes=5-")).code(), "InvalidArgument");
    EXPECT_EQ((co_await copy(4, "bucket/empty", "bytes=0-0")).code(), "InvalidArgument");
    EXPECT_EQ((co_await copy(4, "bucket/none", "")).code(), "NoSuchKey");
    EXPECT_EQ((co_await copy(4, "nowhere/none", "")).code(), "NoSuchBucket");
    const auto etag = [](const Reply& reply) { return "\"" + reply.element("ETag").substr(6, 32) + "\""; };
    const Reply done = co_await complete(server, id, {{1, etag(one)}, {2, etag(two)}, {3, etag(three)}});
    EXPECT_EQ(done.status, 200) << done.body;
    EXPECT_TRUE(co_await server.get("/bucket/key") == source.substr(1, kPart + 1) + source);
    co_await server.check_blobs();
  });
}

// The largest part table fits a record.
TEST(ApiMultipart, TenThousandPartsFitARecord) {
  ObjectRecord record;
  for (uint16_t number = 1; number <= 10'000; ++number) {
    RecordPart part{
        .number = number,
        .content = {.kind = Locator::Kind::blob,
                    .blob = {.volume = 0xffff, .shard = 0xffff, .incarnation = {0xffffffff}, .number = ~0ull},
                    .length_bytes = 5ull << 30}};
    part.checksum = {.algorithm = RecordChecksumAlgorithm::sha256, .composite = true, .size = 32};
    record.size_bytes += part.content.length_bytes;
    record.parts.push_back(part);
  }
  const std::string metadata(s3::kEncodedMetadataSizeMax, 'm');
  record.metadata = metadata;
  EXPECT_LE(record.encode().size(), kRecordSizeMax);
}

}  // namespace
}  // namespace fb::api
