// SPDX-License-Identifier: Apache-2.0
// What the API says over HTTP: when a body is asked for, what follows a refusal, and a store that is full.
#include "api/api_test_world.h"

#include <gtest/gtest.h>

namespace fb::api {
namespace {

constexpr size_t kMiBytes = 1 << 20;

TEST(ApiProtocol, ContinueOnlyForWhatIsAccepted) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Headers expect = {{"Expect", "100-continue"}};
    const auto first_answer = [&](Req request) -> Task<std::string> {
      co_return co_await server.client.raw(server.client.serialize(request, false), Duration::seconds(1));
    };
    const std::string body = random_bytes(100'000);
    const Req good{.method = "PUT", .path = "/bucket/key", .headers = expect, .body = body};
    EXPECT_EQ(co_await first_answer(good), "HTTP/1.1 100 Continue\r\n\r\n");
    struct Case {
      Req request;
      std::string status;
      std::string code;
    };
    Req unauthenticated = good;
    unauthenticated.auth = Auth::bad_signature;
    Req nowhere = good;
    nowhere.path = "/nowhere/key";
    Req no_upload = good;
    no_upload.query = "partNumber=1&uploadId=" + std::string(32, 'a');
    (void)co_await server.call("PUT", "/bucket/taken", "", "old");
    Req condition = good;
    condition.path = "/bucket/taken";
    condition.headers.emplace_back("If-None-Match", "*");
    Req not_built = good;
    not_built.headers.emplace_back("If-None-Match", "\"etag\"");
    for (const Case& item :
         {Case{unauthenticated, "403", "SignatureDoesNotMatch"}, Case{nowhere, "404", "NoSuchBucket"},
          Case{no_upload, "404", "NoSuchUpload"}, Case{condition, "412", "PreconditionFailed"},
          Case{not_built, "501", "NotImplemented"}}) {
      const std::string answer = co_await first_answer(item.request);
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + item.status)) << answer;
      EXPECT_TRUE(answer.find("<Code>" + item.code + "</Code>") != std::string::npos) << answer;
      EXPECT_TRUE(answer.find("100 Continue") == std::string::npos);
    }
    EXPECT_EQ((co_await server.call(good)).status, 200);
    EXPECT_TRUE(co_await server.get("/bucket/key") == body);
    co_await server.check_blobs();
  });
}

TEST(ApiProtocol, RefusedBodiesDoNotSpoilTheConnection) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    if (!co_await server.client.connect()) co_return;
    const Socket* const socket = &server.client.socket();
    for (int i = 0; i < 3; ++i) {
      Req refused{.method = "PUT", .path = "/nowhere/key", .body = random_bytes(200'000)};
      EXPECT_EQ((co_await server.call(refused)).status, 404);
      refused.path = "/bucket/key";
      refused.auth = Auth::bad_signature;
      EXPECT_EQ((co_await server.call(refused)).status, 403);
      EXPECT_EQ((co_await server.call("GET", "/bucket", "list-type=2")).status, 200);
      const Reply head = co_await server.call("HEAD", "/bucket/none");
      EXPECT_EQ(head.status, 404);
      EXPECT_EQ(head.body, "");
    }
    EXPECT_EQ(&server.client.socket(), socket) << "one connection for all of them";
    // Two requests at once, the first refused: both are answered, in order.
    const std::string two =
        server.client.serialize({.path = "/bucket/none"}) + server.client.serialize({.path = "/bucket"});
    TestClient client(server.env, server.endpoint);
    const std::string answers = co_await client.raw(two);
    const size_t not_found = answers.find("HTTP/1.1 404");
    const size_t found = answers.find("HTTP/1.1 200");
    EXPECT_TRUE(not_found == 0 && found != std::string::npos) << answers;
  });
}

TEST(ApiProtocol, TruncatedAndOversizedBodies) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "old");
    const std::string before = co_await server.state();
    for (const Auth auth :
         {Auth::streaming_signed, Auth::streaming_signed_trailer, Auth::streaming_unsigned_trailer}) {
      const Req put{.method = "PUT",
                    .path = "/bucket/key",
                    .body = random_bytes(5000),
                    .auth = auth,
                    .chunk_bytes = 1000};
      const std::string text = server.client.serialize(put);
      const size_t at = text.find("Content-Length: ") + 16;
      const size_t end = text.find("\r\n", at);
      const size_t length = std::stoul(text.substr(at, end - at));
      for (const size_t cut : {size_t{1}, size_t{5}, size_t{60}, size_t{1000}, length - 1, length}) {
        // A signed trailer ends with its signature: the empty line behind it is not missed.
        if (auth == Auth::streaming_signed_trailer && cut < 3) continue;
        std::string shorter = text.substr(0, at) + std::to_string(length - cut) + text.substr(end);
        shorter.resize(shorter.size() - cut);
        const std::string answer = co_await server.client.raw(shorter);
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 4")) << cut << answer;
      }
      std::string longer = text.substr(0, at) + std::to_string(length + 10) + text.substr(end) + "0123456789";
      EXPECT_TRUE((co_await server.client.raw(longer)).starts_with("HTTP/1.1 400"));
    }
    EXPECT_EQ(co_await server.state(), before);
    co_await server.check_blobs();
  });
}

TEST(ApiProtocol, FullDisk) {
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        const std::string body = random_bytes(2 * kMiBytes);
        std::vector<std::string> stored;
        Reply refused;
        for (int i = 0; i < 400 && refused.status == 0; ++i) {
          const std::string path = "/bucket/" + std::to_string(i);
          const Req put{.method = "PUT", .path = path, .body = body, .auth = Auth::header_unsigned};
          const Reply reply = co_await server.call(put);
          if (reply.status == 200) {
            stored.push_back(path);
          } else {
            refused = reply;
          }
        }
        EXPECT_EQ(refused.status, 507) << refused.body;
        EXPECT_EQ(refused.code(), "InsufficientStorage");
        CO_CHECK(stored.size() > 4);
        for (const std::string& path : stored) EXPECT_TRUE(co_await server.get(path) == body) << path;
        for (const std::string& path : stored) EXPECT_EQ((co_await server.call("DELETE", path)).status, 204);
        co_await server.check_blobs();
        EXPECT_EQ(server.blobs.blob_count(), 0U);
        Reply again;
        for (int i = 0; i < 60 && again.status != 200; ++i) {
          (void)co_await sleep_for(server.env, Duration::seconds(1));
          again = co_await server.call(
              Req{.method = "PUT", .path = "/bucket/again", .body = body, .auth = Auth::header_unsigned});
        }
        EXPECT_EQ(again.status, 200) << again.body;
      },
      {.disk_bytes = 400 * kMiBytes});
}

TEST(ApiProtocol, Metrics) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    (void)co_await server.call("GET", "/bucket/key");
    (void)co_await server.call("GET", "/bucket/none");
    std::string text;
    server.api.metrics().append_to(text);
    for (const std::string line : {"fractalbits_s3_requests_total{operation=\"PutObject\",status=\"2xx\"} 1",
                                   "fractalbits_s3_requests_total{operation=\"GetObject\",status=\"2xx\"} 1",
                                   "fractalbits_s3_requests_total{operation=\"GetObject\",status=\"4xx\"} 1",
                                   "fractalbits_s3_errors_total{code=\"NoSuchKey\"} 1"})
      EXPECT_TRUE(text.find(line) != std::string::npos) << line << "\n" << text;
  });
}

}  // namespace
}  // namespace fb::api
