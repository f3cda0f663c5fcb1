// SPDX-License-Identifier: Apache-2.0
// Writes under If-Match and If-None-Match: every operation against every condition and every state of its
// key, and races of them, which must come out as if one had followed the other.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/api_test_world.h"

namespace fb::api {
namespace {

const std::string kKey = "/bucket/dir/key";
const std::string kOld = "what was there";
const std::string kNew = "what is written";

std::string quoted(const std::string& body) { return "\"" + md5_hex(body) + "\""; }

enum class State : uint8_t { missing, same, other };  // the key's, seen from the condition's ETag
constexpr State kStates[] = {State::missing, State::same, State::other};

struct Case {
  std::string header;
  std::string value;
};
const std::vector<Case> kCases = {
    {"If-None-Match", "*"},
    {"If-Match", "*"},
    {"If-Match", quoted(kOld)},
    {"If-Match", md5_hex(kOld)},
    {"If-Match", "W/\"" + md5_hex(kOld) + "\""},
};

bool is_weak(const Case& item) { return item.value.starts_with("W/"); }

// "" where the condition holds.
std::string expected_code(const Case& item, State state) {
  if (item.header == "If-None-Match") return state == State::missing ? "" : "PreconditionFailed";
  if (state == State::missing) return "NoSuchKey";
  if (item.value == "*") return "";
  return state == State::same && !is_weak(item) ? "" : "PreconditionFailed";
}

Task<void> set_state(TestServer& server, State state) {
  (void)co_await server.call("DELETE", kKey);
  if (state == State::same) (void)co_await server.call("PUT", kKey, "", kOld);
  if (state == State::other) (void)co_await server.call("PUT", kKey, "", "something else");
}

std::string complete_body(const std::string& etag) {
  return "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + etag +
         "</ETag></Part></CompleteMultipartUpload>";
}

// An upload of kKey with one part, ready to be completed.
Task<Req> prepare_complete(TestServer& server) {
  const std::string id = (co_await server.call("POST", kKey, "uploads")).element("UploadId");
  const Reply part = co_await server.call("PUT", kKey, "partNumber=1&uploadId=" + id, kNew);
  EXPECT_EQ(part.status, 200) << part.body;
  co_return Req{
      .method = "POST", .path = kKey, .query = "uploadId=" + id, .body = complete_body(part.header("etag"))};
}

// Runs every case against every state. `make` gives the request without its condition; `done` checks what the
// key holds once the condition has held.
Task<void> run_matrix(TestServer& server, std::function<Task<Req>()> make, int success,
                      std::function<Task<void>()> done) {
  for (const Case& item : kCases) {
    for (const State state : kStates) {
      const std::string where =
          fmt::format("{}: {}, state {}", item.header, item.value, static_cast<int>(state));
      co_await set_state(server, state);
      Req request = co_await make();
      const std::string before = co_await server.state();
      request.headers.emplace_back(item.header, item.value);
      const Reply reply = co_await server.call(request);
      const std::string expected = expected_code(item, state);
      if (expected.empty()) {
        EXPECT_EQ(reply.status, success) << where << reply.body;
        co_await done();
        continue;
      }
      EXPECT_EQ(reply.status, expected == "NoSuchKey" ? 404 : 412) << where << reply.body;
      EXPECT_EQ(reply.code(), expected) << where;
      if (expected == "PreconditionFailed") EXPECT_EQ(reply.element("Condition"), item.header) << where;
      EXPECT_EQ(co_await server.state(), before) << where;
    }
  }
  co_await server.check_blobs();
}

TEST(ApiConditionalWrite, PutObject) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await run_matrix(
        server, []() -> Task<Req> { co_return Req{.method = "PUT", .path = kKey, .body = kNew}; }, 200,
        [&]() -> Task<void> { EXPECT_EQ(co_await server.get(kKey), kNew); });
  });
}

TEST(ApiConditionalWrite, PutObjectInEveryForm) {
  for (const Auth auth : kAccepted) {
    run_world([auth](TestServer& server) -> Task<void> {
      co_await server.make_bucket();
      const std::string body = random_bytes(2'000'000);
      Req put{.method = "PUT", .path = kKey, .headers = {{"If-None-Match", "*"}}, .body = body, .auth = auth};
      EXPECT_EQ((co_await server.call(put)).status, 200);
      EXPECT_EQ((co_await server.call(put)).status, 412);
      put.headers = {{"If-Match", quoted(body)}};
      EXPECT_EQ((co_await server.call(put)).status, 200);
      EXPECT_TRUE(co_await server.get(kKey) == body);
      co_await server.check_blobs();
    });
  }
}

TEST(ApiConditionalWrite, CopyObject) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/source", "", kNew);
    co_await run_matrix(
        server,
        []() -> Task<Req> {
          co_return Req{.method = "PUT", .path = kKey, .headers = {{"x-amz-copy-source", "bucket/source"}}};
        },
        200, [&]() -> Task<void> { EXPECT_EQ(co_await server.get(kKey), kNew); });
    // Both the source's and the destination's must hold, and each is told apart.
    const Headers both = {{"x-amz-copy-source", "bucket/source"},
                          {"x-amz-copy-source-if-match", "\"x\""},
                          {"If-None-Match", "*"}};
    const Reply failed = co_await server.call("PUT", "/bucket/free", "", "", both);
    EXPECT_EQ(failed.status, 412);
    EXPECT_EQ(failed.element("Condition"), "x-amz-copy-source-If-Match");
  });
}

// What the copy reads is what it replaces, so that the condition concerns the same object.
TEST(ApiConditionalWrite, CopyOntoItself) {
  for (const bool rewrite : {false, true}) {
    run_world([rewrite](TestServer& server) -> Task<void> {
      co_await server.make_bucket();
      (void)co_await server.call("PUT", kKey, "", kOld);
      Headers headers = {
          {"x-amz-copy-source", kKey}, {"x-amz-metadata-directive", "REPLACE"}, {"x-amz-meta-new", "yes"}};
      if (rewrite) headers.emplace_back("x-amz-checksum-algorithm", "SHA256");
      const auto copy = [&](std::string header, std::string value) -> Task<Reply> {
        Headers all = headers;
        all.emplace_back(std::move(header), std::move(value));
        co_return co_await server.call("PUT", kKey, "", "", all);
      };
      EXPECT_EQ((co_await copy("If-None-Match", "*")).status, 412);
      const Reply other = co_await copy("If-Match", "\"x\"");
      EXPECT_EQ(other.status, 412);
      EXPECT_EQ(other.element("Condition"), "If-Match");
      EXPECT_FALSE((co_await server.call("HEAD", kKey)).has("x-amz-meta-new"));
      EXPECT_EQ((co_await copy("If-Match", "*")).status, 200);
      EXPECT_EQ((co_await copy("If-Match", quoted(kOld))).status, 200);
      EXPECT_EQ((co_await server.call("HEAD", kKey)).header("x-amz-meta-new"), "yes");
      EXPECT_EQ(co_await server.get(kKey), kOld);
      (void)co_await server.call("DELETE", kKey);
      EXPECT_EQ((co_await copy("If-Match", "*")).code(), "NoSuchKey");
      co_await server.check_blobs();
    });
  }
}

TEST(ApiConditionalWrite, CompleteMultipartUpload) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await run_matrix(
        server, [&] { return prepare_complete(server); }, 200,
        [&]() -> Task<void> { EXPECT_EQ(co_await server.get(kKey), kNew); });
  });
}

// The answer to a Complete got lost: its repetition finds its own object, whatever the condition says of it.
TEST(ApiConditionalWrite, CompleteIsRepeated) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    Req complete = co_await prepare_complete(server);
    complete.headers = {{"If-None-Match", "*"}};
    const Reply first = co_await server.call(complete);
    EXPECT_EQ(first.status, 200) << first.body;
    const Reply again = co_await server.call(complete);
    EXPECT_EQ(again.status, 200) << again.body;
    EXPECT_EQ(again.element("ETag"), first.element("ETag"));
    (void)co_await server.call("PUT", kKey, "", kOld);
    EXPECT_EQ((co_await server.call(complete)).code(), "NoSuchUpload");
    EXPECT_EQ(co_await server.get(kKey), kOld);
    co_await server.check_blobs();
  });
}

// A Complete that was refused leaves its upload: it may be completed without the condition, or aborted.
TEST(ApiConditionalWrite, RefusedCompleteKeepsItsUpload) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", kKey, "", kOld);
    Req complete = co_await prepare_complete(server);
    complete.headers = {{"If-None-Match", "*"}};
    EXPECT_EQ((co_await server.call(complete)).status, 412);
    EXPECT_EQ(co_await server.get(kKey), kOld);
    complete.headers.clear();
    EXPECT_EQ((co_await server.call(complete)).status, 200);
    EXPECT_EQ(co_await server.get(kKey), kNew);
    co_await server.check_blobs();
  });
}

TEST(ApiConditionalWrite, DeleteObject) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const Case& item : kCases) {
      for (const State state : kStates) {
        co_await set_state(server, state);
        const Reply reply = co_await server.call("DELETE", kKey, "", "", {{item.header, item.value}});
        const int left = (co_await server.call("HEAD", kKey)).status;
        if (item.header == "If-None-Match") {
          EXPECT_EQ(reply.code(), "NotImplemented");
          EXPECT_EQ(left, state == State::missing ? 404 : 200);
          continue;
        }
        const std::string expected = expected_code(item, state);
        EXPECT_EQ(reply.status, expected.empty() ? 204 : expected == "NoSuchKey" ? 404 : 412) << item.value;
        EXPECT_EQ(reply.code(), expected);
        EXPECT_EQ(left, expected == "PreconditionFailed" ? 200 : 404);
      }
    }
    co_await set_state(server, State::same);
    for (const std::string header : {"x-amz-if-match-size", "x-amz-if-match-last-modified-time"}) {
      EXPECT_EQ((co_await server.call("DELETE", kKey, "", "", {{header, "14"}})).status, 501);
    }
    EXPECT_EQ(co_await server.get(kKey), kOld);
    co_await server.check_blobs();
  });
}

Task<Reply> delete_objects(TestServer& server, std::string objects) {
  const std::string body = "<Delete>" + objects + "</Delete>";
  const Headers headers = {{"Content-MD5", base64_md5(body)}};
  co_return co_await server.call("POST", "/bucket", "delete", body, headers);
}

std::string object(const std::string& key, const std::string& etag = {}) {
  return "<Object><Key>" + key + "</Key>" + (etag.empty() ? "" : "<ETag>" + etag + "</ETag>") + "</Object>";
}

TEST(ApiConditionalWrite, DeleteObjectsAnswersPerKey) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const std::string key : {"plain", "same", "bare", "any", "other"}) {
      (void)co_await server.call("PUT", "/bucket/" + key, "", kOld);
    }
    const std::string all = object("plain") + object("same", quoted(kOld)) + object("bare", md5_hex(kOld)) +
                            object("any", "*") + object("other", "\"x\"") + object("missing", quoted(kOld)) +
                            object("gone") + object("list", "a, b");
    const Reply reply = co_await delete_objects(server, all);
    EXPECT_EQ(reply.status, 200) << reply.body;
    const std::vector<std::string> keys = {"plain", "same",    "bare", "any",
                                           "other", "missing", "gone", "list"};
    EXPECT_EQ(reply.elements("Key"), keys) << "in the order of the request";
    EXPECT_EQ(reply.elements("Code"),
              (std::vector<std::string>{"PreconditionFailed", "NoSuchKey", "NotImplemented"}));
    const Reply listed = co_await server.call("GET", "/bucket", "list-type=2");
    EXPECT_EQ(listed.elements("Key"), std::vector<std::string>{"other"});
    const Reply one = co_await delete_objects(server, object("other", quoted(kOld)));
    EXPECT_EQ(one.elements("Code").size(), 0U) << one.body;
    EXPECT_EQ((co_await server.call("GET", "/bucket", "list-type=2")).elements("Key").size(), 0U);
    co_await server.check_blobs();
  });
}

Task<Reply> once(TestServer& server, const Req& request) {
  TestClient client(server.env, server.endpoint);
  const Reply reply = co_await client.call(request);
  co_await client.close();
  co_return reply;
}

Task<void> put_if_absent(TestServer* server, int number, std::vector<int>* winners) {
  const Req put{.method = "PUT",
                .path = kKey,
                .headers = {{"If-None-Match", "*"}},
                .body = random_bytes(100'000, static_cast<uint64_t>(number)),
                .piece_bytes = 30'000};
  const Reply reply = co_await once(*server, put);
  EXPECT_TRUE(reply.status == 200 || reply.code() == "PreconditionFailed") << reply.status << reply.body;
  if (reply.status == 200) winners->push_back(number);
}

TEST(ApiConditionalWrite, OneOfManyWins) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          std::vector<int> winners;
          Scope scope(server.env);
          for (int i = 0; i < 24; ++i) scope.spawn(put_if_absent, &server, i, &winners);
          co_await scope.join();
          EXPECT_EQ(winners.size(), 1U);
          CO_CHECK(!winners.empty());
          EXPECT_TRUE(co_await server.get(kKey) == random_bytes(100'000, static_cast<uint64_t>(winners[0])));
          co_await server.check_blobs();
          EXPECT_EQ(server.blobs.blob_count(), 1U);
        },
        {.seed = seed});
  }
}

// Reads the number, adds one under If-Match, begins again where somebody was faster.
Task<void> count_up(TestServer* server, int times) {
  TestClient client(server->env, server->endpoint);
  for (int done = 0; done < times;) {
    const Reply read = co_await client.call({.path = kKey});
    CO_CHECK(read.status == 200);
    const std::string next = std::to_string(std::stoi(read.body) + 1);
    const Reply put = co_await client.call(
        {.method = "PUT", .path = kKey, .headers = {{"If-Match", read.header("etag")}}, .body = next});
    CO_CHECK(put.status == 200 || put.status == 412);
    if (put.status == 200) ++done;
  }
  co_await client.close();
}

TEST(ApiConditionalWrite, CompareAndSwapCountsExactly) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          (void)co_await server.call("PUT", kKey, "", "0");
          Scope scope(server.env);
          for (int i = 0; i < 8; ++i) scope.spawn(count_up, &server, 10);
          co_await scope.join();
          EXPECT_EQ(co_await server.get(kKey), "80");
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// Writes of all kinds that want the key free, at once.
TEST(ApiConditionalWrite, PutCopyAndCompleteRace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          (void)co_await server.call("PUT", "/bucket/source", "", "copied");
          Req complete = co_await prepare_complete(server);
          Req put{.method = "PUT", .path = kKey, .body = "put"};
          Req copy{.method = "PUT", .path = kKey, .headers = {{"x-amz-copy-source", "bucket/source"}}};
          for (Req* request : {&complete, &put, &copy}) request->headers.emplace_back("If-None-Match", "*");
          const auto [completed, again, stored, copied] = co_await when_all(
              [&] { return once(server, complete); }, [&] { return once(server, complete); },
              [&] { return once(server, put); }, [&] { return once(server, copy); });
          EXPECT_EQ(completed.status, again.status) << completed.body << again.body;
          const int won = (completed.status == 200) + (stored.status == 200) + (copied.status == 200);
          EXPECT_EQ(won, 1) << completed.status << stored.status << copied.status;
          const std::string body = co_await server.get(kKey);
          EXPECT_EQ(body, completed.status == 200 ? kNew : stored.status == 200 ? "put" : "copied");
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// An owner who deletes what nobody has changed, against one who changes it: never both.
TEST(ApiConditionalWrite, DeleteAndOverwriteRace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          (void)co_await server.call("PUT", kKey, "", kOld);
          const Headers match = {{"If-Match", quoted(kOld)}};
          const Req erase{.method = "DELETE", .path = kKey, .headers = match};
          const Req put{.method = "PUT", .path = kKey, .headers = match, .body = kNew};
          const auto [erased, stored] =
              co_await when_all([&] { return once(server, erase); }, [&] { return once(server, put); });
          const Reply got = co_await server.call("GET", kKey);
          if (erased.status == 204) {
            EXPECT_EQ(stored.code(), "NoSuchKey");
            EXPECT_EQ(got.status, 404);
          } else {
            EXPECT_EQ(erased.status, 412);
            EXPECT_EQ(stored.status, 200);
            EXPECT_EQ(got.body, kNew);
          }
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

}  // namespace
}  // namespace fb::api
