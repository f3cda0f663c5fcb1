// SPDX-License-Identifier: Apache-2.0
// RenameObject: of objects and of directories, its conditions, its client tokens, and what meets it on the
// way.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/api_test_world.h"
#include "io/scope.h"
#include "s3/time.h"

namespace fb::api {
namespace {

const std::string kOld = "what was there";
const std::string kNew = "what is renamed";

std::string quoted(const std::string& body) { return "\"" + md5_hex(body) + "\""; }

Req rename_request(std::string to, std::string from, Headers headers = {}) {
  headers.emplace_back("x-amz-rename-source", std::move(from));
  return {.method = "PUT", .path = "/bucket/" + to, .query = "renameObject", .headers = std::move(headers)};
}

Task<Reply> rename(TestServer& server, std::string to, std::string from, Headers headers = {}) {
  const Req request = rename_request(std::move(to), std::move(from), std::move(headers));
  co_return co_await server.call(request);
}

Task<void> put(TestServer& server, std::string key, std::string body = kNew) {
  const Reply reply = co_await server.call("PUT", "/bucket/" + key, "", std::move(body));
  EXPECT_EQ(reply.status, 200) << reply.body;
}

Task<std::vector<std::string>> keys(TestServer& server) {
  co_return (co_await server.call("GET", "/bucket", "list-type=2")).elements("Key");
}

using Keys = std::vector<std::string>;

TEST(ApiRename, AnObjectKeepsAllButItsName) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(2'500'000);
    (void)co_await server.call("PUT", "/bucket/dir/a%2Bb%20c", "", body,
                               {{"Content-Type", "a/b"}, {"x-amz-meta-m", "v"}});
    const Reply before = co_await server.call("HEAD", "/bucket/dir/a%2Bb%20c");
    (void)co_await sleep_for(server.env, Duration::seconds(5));
    const Reply renamed = co_await rename(server, "other/%C3%A4", "/dir%2Fa+b%20c");
    EXPECT_EQ(renamed.status, 200) << renamed.body;
    EXPECT_EQ(renamed.body, "");
    const Reply got = co_await server.call("GET", "/bucket/other/%C3%A4");
    EXPECT_TRUE(got.body == body);
    for (const std::string name : {"etag", "last-modified", "content-type", "x-amz-meta-m"}) {
      EXPECT_EQ(got.header(name), before.header(name)) << name;
    }
    EXPECT_EQ((co_await server.call("HEAD", "/bucket/dir/a%2Bb%20c")).status, 404);
    co_await server.check_blobs();
    // It replaces what is there, whose content is freed.
    co_await put(server, "small");
    EXPECT_EQ((co_await rename(server, "other/%C3%A4", "small")).status, 200);
    EXPECT_EQ(co_await server.get("/bucket/other/%C3%A4"), kNew);
    EXPECT_EQ(co_await keys(server), Keys{"other/\xC3\xA4"});
    co_await server.check_blobs();
    EXPECT_EQ(server.blobs.blob_count(), 1U);
  });
}

TEST(ApiRename, Refusals) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await put(server, "key");
    co_await put(server, "dir/key");
    const std::string before = co_await server.state();
    struct Case {
      std::string to, from;
      int status;
      std::string code;
    };
    const std::string long_name(1024, 'n');
    for (const Case& item : {Case{"to", "none", 404, "NoSuchKey"},
                             {"to", "bucket/key", 404, "NoSuchKey"},
                             {"to", "ke", 404, "NoSuchKey"},
                             {"to", "dir", 404, "NoSuchKey"},
                             {"to/", "none/", 404, "NoSuchKey"},
                             {"to/", "key/", 404, "NoSuchKey"},
                             {"to", "dir/", 400, "InvalidRequest"},
                             {"to/", "key", 400, "InvalidRequest"},
                             {"key", "key", 400, "InvalidRequest"},
                             {"dir/", "dir/", 400, "InvalidRequest"},
                             {"dir/sub/", "dir/", 400, "InvalidRequest"},
                             {"to", "", 400, "InvalidArgument"},
                             {"to", "%00", 400, "InvalidArgument"},
                             {"to", long_name + "n", 400, "KeyTooLongError"},
                             {long_name + "n", "key", 400, "KeyTooLongError"},
                             {long_name.substr(0, 1021) + "/", "dir/", 400, "KeyTooLongError"}}) {
      const Reply reply = co_await rename(server, item.to, item.from);
      EXPECT_EQ(reply.status, item.status) << item.to << " " << item.from;
      EXPECT_EQ(reply.code(), item.code) << item.to << " " << item.from << reply.body;
    }
    Req nowhere = rename_request("to", "key");
    nowhere.path = "/nowhere/to";
    EXPECT_EQ((co_await server.call(nowhere)).code(), "NoSuchBucket");
    EXPECT_EQ((co_await server.call("PUT", "/bucket/to", "renameObject")).code(), "InvalidArgument");
    EXPECT_EQ((co_await server.call("GET", "/bucket/to", "renameObject")).status, 405);
    EXPECT_EQ(co_await server.state(), before);
    EXPECT_EQ((co_await rename(server, long_name, "key")).status, 200);
    co_await server.check_blobs();
  });
}

TEST(ApiRename, Conditions) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const int64_t now = server.env.wall_clock().seconds();
    const std::string past = s3::format_http_date(now - 1000);
    const std::string future = s3::format_http_date(now + 100'000);
    struct Case {
      std::string header, value;
      bool there;   // whether it holds where the object it speaks of is there
      bool absent;  // and where it is not: the destination's alone
    };
    for (const Case& item : {Case{"If-None-Match", "*", false, true},
                             {"If-Match", "*", true, false},
                             {"If-Match", "ETAG", true, false},
                             {"If-Match", "\"x\"", false, false},
                             {"If-Modified-Since", past, true, false},
                             {"If-Modified-Since", future, false, false},
                             {"If-Unmodified-Since", past, false, true},
                             {"If-Unmodified-Since", future, true, true}}) {
      for (const bool there : {true, false}) {
        (void)co_await server.call("DELETE", "/bucket/to");
        if (there) co_await put(server, "to", kOld);
        co_await put(server, "from");
        const std::string value = item.value == "ETAG" ? quoted(kOld) : item.value;
        const Reply reply = co_await rename(server, "to", "from", {{item.header, value}});
        const bool holds = there ? item.there : item.absent;
        EXPECT_EQ(reply.status, holds ? 200 : 412) << item.header << value << there << reply.body;
        if (!holds) {
          EXPECT_EQ(reply.element("Condition"), item.header);
          EXPECT_EQ(co_await server.get("/bucket/from"), kNew);
        }
        EXPECT_EQ((co_await server.call("GET", "/bucket/to")).status, there || holds ? 200 : 404);
      }
      const std::string name = "x-amz-rename-source-" + item.header;
      const std::string value = item.value == "ETAG" ? md5_hex(kNew) : item.value;
      co_await put(server, "from");
      const Reply reply = co_await rename(server, "to", "from", {{name, value}});
      EXPECT_EQ(reply.status, item.there ? 200 : 412) << name << value << reply.body;
      if (!item.there) EXPECT_EQ(reply.element("Condition"), name);
      (void)co_await server.call("DELETE", "/bucket/from");
      EXPECT_EQ((co_await rename(server, "to", "from", {{name, value}})).code(), "NoSuchKey") << name;
    }
    // The source is looked for first, whatever the destination's condition says.
    EXPECT_EQ((co_await rename(server, "to", "from", {{"If-Match", "*"}})).code(), "NoSuchKey");
    co_await server.check_blobs();
  });
}

TEST(ApiRename, Directories) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const std::string key : {"dir", "dir/", "dir/a", "dir/sub/b", "dir-x", "dir0"}) {
      co_await put(server, key, key);
    }
    const Reply moved = co_await rename(server, "to/there/", "/dir/", {{"If-None-Match", "*"}});
    EXPECT_EQ(moved.status, 200) << moved.body;
    EXPECT_EQ(co_await keys(server),
              (Keys{"dir", "dir-x", "dir0", "to/there/", "to/there/a", "to/there/sub/b"}));
    EXPECT_EQ(co_await server.get("/bucket/to/there/sub/b"), "dir/sub/b");
    // A lone marker occupies its directory, an object of the name without '/' does not.
    co_await put(server, "marker/", "");
    co_await put(server, "plain", "");
    for (const std::string to : {"marker/", "to/"}) {
      co_await put(server, "again/a");
      const Reply occupied = co_await rename(server, to, "again/");
      EXPECT_EQ(occupied.status, 409);
      EXPECT_EQ(occupied.code(), "DirectoryNotEmpty");
    }
    EXPECT_EQ((co_await rename(server, "plain/", "again/")).status, 200);
    EXPECT_EQ((co_await rename(server, "to/", "to/there/")).status, 409) << "there lies beneath to";
    const Reply condition = co_await rename(server, "new/", "to/", {{"If-Match", "*"}});
    EXPECT_EQ(condition.status, 501);
    EXPECT_EQ((co_await rename(server, "new/", "to/", {{"x-amz-rename-source-if-match", "*"}})).status, 501);
    EXPECT_EQ((co_await rename(server, "new/", "marker/")).status, 200);
    EXPECT_EQ(co_await keys(server), (Keys{"dir", "dir-x", "dir0", "new/", "plain", "plain/a", "to/there/",
                                           "to/there/a", "to/there/sub/b"}));
    co_await server.check_blobs();
  });
}

// Uploads in progress keep the name they were begun with.
TEST(ApiRename, UploadsStay) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await put(server, "dir/a");
    const std::string id = (co_await server.call("POST", "/bucket/dir/m", "uploads")).element("UploadId");
    const Reply part = co_await server.call("PUT", "/bucket/dir/m", "partNumber=1&uploadId=" + id, "part");
    EXPECT_EQ((co_await rename(server, "to/", "dir/")).status, 200);
    const std::string body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                             part.header("etag") + "</ETag></Part></CompleteMultipartUpload>";
    EXPECT_EQ((co_await server.call("POST", "/bucket/dir/m", "uploadId=" + id, body)).status, 200);
    EXPECT_EQ(co_await keys(server), (Keys{"dir/m", "to/a"}));
    co_await server.check_blobs();
  });
}

Headers token(std::string value, Headers more = {}) {
  more.emplace_back("x-amz-client-token", std::move(value));
  return more;
}

TEST(ApiRename, ARepetitionDoesNothing) {
  for (const std::string slash : {"", "/"}) {
    run_world([slash](TestServer& server) -> Task<void> {
      co_await server.make_bucket();
      const std::string from = "from" + slash;
      const std::string to = "to" + slash;
      co_await put(server, from);
      // What fails is not remembered.
      EXPECT_EQ((co_await rename(server, to, "none" + slash, token("t"))).code(), "NoSuchKey");
      EXPECT_EQ((co_await rename(server, to, from, token("t", {{"If-None-Match", "*"}}))).status, 200);
      co_await put(server, from, kOld);
      EXPECT_EQ((co_await rename(server, to, from, token("t", {{"If-None-Match", "*"}}))).status, 200);
      EXPECT_EQ(co_await server.get("/bucket/" + from), kOld) << "it was done once";
      for (const auto& [other_to, other_from, headers] :
           {std::tuple(to, from, Headers{}), std::tuple("x" + slash, from, Headers{{"If-None-Match", "*"}}),
            std::tuple(to, "x" + slash, Headers{{"If-None-Match", "*"}})}) {
        const Reply mismatch = co_await rename(server, other_to, other_from, token("t", headers));
        EXPECT_EQ(mismatch.status, 400);
        EXPECT_EQ(mismatch.code(), "IdempotencyParameterMismatch");
      }
      for (const std::string& bad : {std::string(65, 't'), std::string("a b"), std::string("a\xFF")}) {
        EXPECT_EQ((co_await rename(server, to, from, token(bad))).code(), "InvalidArgument");
      }
      EXPECT_EQ(co_await server.get("/bucket/" + to), kNew);
      co_await server.check_blobs();
    });
  }
}

Task<size_t> token_count(TestServer& server) {
  const auto bucket = co_await server.roots.find_bucket({}, "bucket");
  const auto page =
      co_await server.names.list({}, {.bucket = bucket->id, .space = Space::tokens, .with_records = false});
  co_return page->entries.size();
}

TEST(ApiRename, TokensExpireAndAreClearedAway) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    co_await put(server, "key0");
    int renames = 0;
    const auto next = [&]() -> Task<void> {
      const std::string from = fmt::format("key{}", renames);
      const std::string to = fmt::format("key{}", ++renames);
      const Reply reply = co_await rename(server, to, from, token(md5_hex(to)));
      EXPECT_EQ(reply.status, 200) << reply.body;
    };
    for (int i = 0; i < 40; ++i) co_await next();
    EXPECT_EQ(co_await token_count(server), 40U);
    co_await server.client.close();
    (void)co_await sleep_for(server.env, Duration::minutes(24 * 60 - 10));
    co_await put(server, "key39", kOld);
    EXPECT_EQ((co_await rename(server, "key40", "key39", token(md5_hex("key40")))).status, 200);
    EXPECT_EQ(co_await server.get("/bucket/key40"), kNew) << "remembered for a day";
    co_await server.client.close();
    (void)co_await sleep_for(server.env, Duration::minutes(20));
    // Under a token that has expired, the request is a new one.
    EXPECT_EQ((co_await rename(server, "key40", "key39", token(md5_hex("key40")))).status, 200);
    EXPECT_EQ(co_await server.get("/bucket/key40"), kOld);
    for (int i = 0; i < 20; ++i) co_await next();
    const size_t left = co_await token_count(server);
    EXPECT_GE(left, 21U);
    EXPECT_LE(left, 40U) << "expired tokens stay for ever";
    co_await server.check_blobs();
  });
}

Task<Reply> once(TestServer& server, const Req& request) {
  TestClient client(server.env, server.endpoint);
  const Reply reply = co_await client.call(request);
  co_await client.close();
  co_return reply;
}

Task<void> send(TestServer* server, Req request, std::vector<Reply>* replies) {
  replies->push_back(co_await once(*server, request));
}

TEST(ApiRename, RepetitionsThatMeet) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          co_await put(server, "from");
          co_await put(server, "a/key");
          std::vector<Reply> replies;
          std::vector<Reply> others;
          Scope scope(server.env);
          for (int i = 0; i < 6; ++i) {
            scope.spawn(send, &server, rename_request("to", "from", token("t")), &replies);
            scope.spawn(send, &server, rename_request(fmt::format("b{}/", i % 2), "a/", token("u")), &others);
          }
          co_await scope.join();
          for (const Reply& reply : replies) EXPECT_EQ(reply.status, 200) << reply.body;
          int done = 0;
          for (const Reply& reply : others) {
            EXPECT_TRUE(reply.status == 200 || reply.code() == "IdempotencyParameterMismatch") << reply.body;
            done += reply.status == 200;
          }
          EXPECT_EQ(done, 3) << "those with the parameters of the one that was first";
          EXPECT_EQ((co_await keys(server)).size(), 2U);
          EXPECT_EQ(co_await server.get("/bucket/to"), kNew);
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// One object, many who want it under a name of their own: one gets it.
TEST(ApiRename, OneOfManyWins) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          co_await put(server, "job");
          std::vector<Reply> replies;
          Scope scope(server.env);
          for (int i = 0; i < 12; ++i) {
            scope.spawn(send, &server,
                        rename_request(fmt::format("taken/{}", i), "job", token(fmt::format("{}", i))),
                        &replies);
          }
          co_await scope.join();
          int won = 0;
          for (const Reply& reply : replies) {
            EXPECT_TRUE(reply.status == 200 || reply.code() == "NoSuchKey") << reply.body;
            won += reply.status == 200;
          }
          EXPECT_EQ(won, 1);
          EXPECT_EQ((co_await keys(server)).size(), 1U);
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// Overwrites of both names while a conditional rename runs: never is anything lost that was not replaced.
TEST(ApiRename, ConditionalAgainstOverwrites) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          co_await put(server, "from");
          co_await put(server, "to", kOld);
          const Req move = rename_request(
              "to", "from", {{"If-Match", quoted(kOld)}, {"x-amz-rename-source-if-match", quoted(kNew)}});
          const Req source{.method = "PUT", .path = "/bucket/from", .body = "source"};
          const Req destination{.method = "PUT", .path = "/bucket/to", .body = "destination"};
          const auto [moved, first, second] =
              co_await when_all([&] { return once(server, move); }, [&] { return once(server, source); },
                                [&] { return once(server, destination); });
          EXPECT_EQ(first.status, 200);
          EXPECT_EQ(second.status, 200);
          EXPECT_TRUE(moved.status == 200 || moved.status == 412) << moved.body;
          EXPECT_EQ(co_await server.get("/bucket/from"), "source");
          EXPECT_EQ(co_await server.get("/bucket/to"), "destination");
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// What a GET has begun to send stays whole under whatever name.
TEST(ApiRename, WhileAGetStreams) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string body = random_bytes(6'000'000);
    const Req store{.method = "PUT", .path = "/bucket/dir/key", .body = body, .auth = Auth::header_unsigned};
    EXPECT_EQ((co_await server.call(store)).status, 200);
    const Req get{.path = "/bucket/dir/key"};
    const auto [got, moved] =
        co_await when_all([&] { return once(server, get); },
                          [&]() -> Task<Reply> {
                            (void)co_await sleep_for(server.env, Duration::milliseconds(2));
                            co_return co_await rename(server, "to/", "dir/");
                          });
    EXPECT_EQ(moved.status, 200);
    EXPECT_TRUE(got.status == 404 || got.body == body);
    EXPECT_TRUE(co_await server.get("/bucket/to/key") == body);
    co_await server.check_blobs();
  });
}

}  // namespace
}  // namespace fb::api
