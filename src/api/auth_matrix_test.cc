// SPDX-License-Identifier: Apache-2.0
// Every way to authenticate, right and wrong, against every operation: who is refused has changed nothing and
// has learned nothing.
#include "api/api_test_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace fb::api {
namespace {

struct Operation {
  std::string name;
  Req request;
  int status = 200;  // where it is authenticated
  bool has_body = false;
};

std::vector<Operation> all_operations(const std::string& upload_id, const std::string& part_etag) {
  const std::string delete_body = "<Delete><Object><Key>other</Key></Object></Delete>";
  const std::string complete_body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                                    part_etag + "</ETag></Part></CompleteMultipartUpload>";
  const Headers copy = {{"x-amz-copy-source", "/bucket/key"}};
  const std::string upload = "uploadId=" + upload_id;
  // Those that change something stand behind those that do not, the destructive ones last.
  return {
      {"ListBuckets", {.path = "/"}},
      {"HeadBucket", {.method = "HEAD", .path = "/bucket"}},
      {"GetBucketLocation", {.path = "/bucket", .query = "location"}},
      {"ListObjects", {.path = "/bucket"}},
      {"ListObjectsV2", {.path = "/bucket", .query = "list-type=2"}},
      {"ListMultipartUploads", {.path = "/bucket", .query = "uploads"}},
      {"ListParts", {.path = "/bucket/upload", .query = upload}},
      {"GetObject", {.path = "/bucket/key"}},
      {"HeadObject", {.method = "HEAD", .path = "/bucket/key"}},
      {"CreateBucket", {.method = "PUT", .path = "/second"}, 200, true},
      {"PutObject", {.method = "PUT", .path = "/bucket/key", .body = "changed"}, 200, true},
      {"CopyObject", {.method = "PUT", .path = "/bucket/copy", .headers = copy}},
      {"CreateMultipartUpload", {.method = "POST", .path = "/bucket/another", .query = "uploads"}},
      {"UploadPart",
       {.method = "PUT", .path = "/bucket/upload", .query = "partNumber=2&" + upload, .body = "two"},
       200,
       true},
      {"UploadPartCopy",
       {.method = "PUT", .path = "/bucket/upload", .query = "partNumber=3&" + upload, .headers = copy}},
      {"CompleteMultipartUpload",
       {.method = "POST", .path = "/bucket/upload", .query = upload, .body = complete_body},
       200,
       true},
      {"AbortMultipartUpload", {.method = "DELETE", .path = "/bucket/upload", .query = upload}, 204},
      {"DeleteObjects",
       {.method = "POST",
        .path = "/bucket",
        .query = "delete",
        .headers = {{"Content-MD5", base64_md5(delete_body)}},
        .body = delete_body},
       200,
       true},
      {"RenameObject",
       {.method = "PUT",
        .path = "/bucket/renamed",
        .query = "renameObject",
        .headers = {{"x-amz-rename-source", "copy"}, {"x-amz-client-token", "token"}}}},
      {"DeleteObject", {.method = "DELETE", .path = "/bucket/key"}, 204},
      {"DeleteBucket", {.method = "DELETE", .path = "/empty"}, 204},
  };
}

// Version 2 does not sign the item that makes a request a rename.
bool is_covered(const Operation& operation, Auth auth) {
  return !is_v2(auth) || operation.name != "RenameObject";
}

std::string expected_code(const Operation& operation, Auth auth) {
  const bool known_in_time = auth != Auth::v2_unknown_key && auth != Auth::v2_skewed_past &&
                             auth != Auth::v2_skewed_future && auth != Auth::v2_presigned_far;
  if (!is_covered(operation, auth) && known_in_time) return "AccessDenied";
  switch (auth) {
    case Auth::v2_presigned_expired:
    case Auth::none:
    case Auth::presigned_expired:
    case Auth::presigned_not_yet:
    case Auth::unsigned_header:
      return "AccessDenied";
    case Auth::unknown_key:
    case Auth::v2_unknown_key:
      return "InvalidAccessKeyId";
    case Auth::skewed_past:
    case Auth::skewed_future:
    case Auth::v2_skewed_past:
    case Auth::v2_skewed_future:
      return "RequestTimeTooSkewed";
    case Auth::v2_presigned_far:
      return "AuthorizationQueryParametersError";
    case Auth::wrong_hash:
      return "XAmzContentSHA256Mismatch";
    case Auth::wrong_trailer_checksum:
      return "BadDigest";
    default:
      return "SignatureDoesNotMatch";
  }
}

// What the operations work on; the upload's id and its first part's ETag.
Task<std::pair<std::string, std::string>> prepare(TestServer& server) {
  co_await server.make_bucket();
  co_await server.make_bucket("empty");
  (void)co_await server.call("PUT", "/bucket/key", "", "content");
  (void)co_await server.call("PUT", "/bucket/other", "", "other");
  const Reply created = co_await server.call("POST", "/bucket/upload", "uploads");
  const std::string upload_id = created.element("UploadId");
  const Reply part =
      co_await server.call("PUT", "/bucket/upload", "partNumber=1&uploadId=" + upload_id, "one");
  EXPECT_EQ(part.status, 200) << part.body;
  co_return std::pair(upload_id, part.header("etag"));
}

// A row without a request here would never be tried without a signature.
TEST(ApiAuthMatrix, HoldsEveryRowThatIsBuilt) {
  const std::vector<Operation> operations = all_operations("upload", "etag");
  size_t built = 0;
  for (const s3::OperationInfo& row : s3::kOperations) {
    if (!row.is_built()) continue;
    ++built;
    const auto found = std::ranges::find(operations, row.name, &Operation::name);
    ASSERT_NE(found, operations.end()) << row.name;
    EXPECT_EQ(found->has_body, row.body != s3::PayloadUse::none) << row.name;
  }
  EXPECT_EQ(built, operations.size());
}

TEST(ApiAuthMatrix, RefusedMeansNothingChanged) {
  run_world([](TestServer& server) -> Task<void> {
    const auto [upload_id, etag] = co_await prepare(server);
    const std::string before = co_await server.state();
    std::vector<Operation> operations = all_operations(upload_id, etag);
    // What is not built, not there or not right is refused in the same way: before anything else.
    operations.push_back({"NotBuilt", {.path = "/bucket", .query = "policy"}});
    operations.push_back({"NoSuchBucket", {.path = "/nowhere"}});
    operations.push_back({"NoSuchKey", {.path = "/bucket/none"}});
    operations.push_back({"BadMethod", {.method = "POST", .path = "/bucket/key"}});
    for (const Operation& operation : operations) {
      for (const Auth auth : kRefused) {
        Req request = operation.request;
        request.auth = auth;
        const Reply reply = co_await server.call(request);
        EXPECT_EQ(reply.status, auth == Auth::v2_presigned_far ? 400 : 403)
            << operation.name << static_cast<int>(auth) << reply.body;
        EXPECT_EQ(reply.code(), request.method == "HEAD" ? "" : expected_code(operation, auth))
            << operation.name << static_cast<int>(auth);
        EXPECT_TRUE(reply.body.find(kSecretKey) == std::string::npos);
      }
      if (!operation.has_body) continue;
      for (const Auth auth : kRefusedBody) {
        Req request = operation.request;
        request.auth = auth;
        const Reply reply = co_await server.call(request);
        EXPECT_TRUE(reply.status == 400 || reply.status == 403) << operation.name << reply.body;
        EXPECT_EQ(reply.code(), expected_code(operation, auth)) << operation.name;
      }
    }
    EXPECT_EQ(co_await server.state(), before);
    co_await server.check_blobs();
  });
}

TEST(ApiAuthMatrix, EveryFormIsAccepted) {
  for (const Auth auth : kAccepted) {
    run_world([auth](TestServer& server) -> Task<void> {
      const auto [upload_id, etag] = co_await prepare(server);
      for (const Operation& operation : all_operations(upload_id, etag)) {
        Req request = operation.request;
        request.auth = auth;
        const Reply reply = co_await server.call(request);
        // The upload was completed before: it is gone.
        const int expected = operation.name == "AbortMultipartUpload" ? 404
                             : !is_covered(operation, auth)           ? 403
                                                                      : operation.status;
        EXPECT_EQ(reply.status, expected) << operation.name << " " << static_cast<int>(auth) << reply.body;
        const auto row = std::ranges::find(s3::kOperations, operation.name, &s3::OperationInfo::name);
        EXPECT_NE(server.api.metrics().operations[static_cast<size_t>(row->operation)].requests, 0u)
            << operation.name << " was counted as another operation";
      }
      co_await server.check_blobs();
    });
  }
}

// A chunk of one upload does not fit another, nor the same at another place.
TEST(ApiAuthMatrix, ChunksCannotBeMoved) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Req put{.method = "PUT",
                  .path = "/bucket/key",
                  .body = random_bytes(3000),
                  .auth = Auth::streaming_signed,
                  .chunk_bytes = 1000};
    const std::string text = server.client.serialize(put);
    const size_t body = text.find("\r\n\r\n") + 4;
    const size_t chunk = text.find("\r\n", body) + 2 + 1000 + 2 - body;
    std::string swapped = text.substr(0, body) + text.substr(body + chunk, chunk) + text.substr(body, chunk) +
                          text.substr(body + 2 * chunk);
    EXPECT_EQ(swapped.size(), text.size());
    EXPECT_TRUE((co_await server.client.raw(swapped)).starts_with("HTTP/1.1 403"));
    std::string changed = text;
    changed[body + chunk + 200] ^= 1;
    EXPECT_TRUE((co_await server.client.raw(changed)).starts_with("HTTP/1.1 403"));
    EXPECT_EQ((co_await server.call("GET", "/bucket/key")).status, 404);
    EXPECT_TRUE((co_await server.client.raw(text)).starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(co_await server.get("/bucket/key") == put.body);
    co_await server.check_blobs();
  });
}

TEST(ApiAuthMatrix, VirtualHosts) {
  const WorldOptions options{.api = {.domains = {"s3.example.com"}}};
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket("a.bucket");
        const Req put{.method = "PUT", .path = "/dir/key", .body = "x", .host = "A.bucket.s3.example.com:80"};
        EXPECT_EQ((co_await server.call(put)).status, 200);
        EXPECT_EQ(co_await server.get("/a.bucket/dir/key"), "x");
        const Reply listed = co_await server.call(Req{.path = "/", .host = "a.bucket.s3.example.com"});
        EXPECT_EQ(listed.element("Key"), "dir/key");
      },
      options);
}

}  // namespace
}  // namespace fb::api
