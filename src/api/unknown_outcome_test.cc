// SPDX-License-Identifier: Apache-2.0
// A change that was made, and of which the namespace does not know that it was (a drive took long, the
// journal failed): the client is told to try again, its repetition gets the right answer, and nothing is lost
// or left over.
#include "api/api_test_world.h"
#include "client/doubtful_names.h"

namespace fb::api {
namespace {

Task<void> serve(HttpServer* server) { co_await server->run(); }

// A second server over the same engine, whose namespace leaves outcomes unknown.
struct DoubtfulServer {
  explicit DoubtfulServer(TestServer& server_in)
      : server(server_in),
        names(server.names),
        group(1),
        serving(server.env),
        endpoint(server.endpoint),
        client(server.env, at_next_port(endpoint)) {}

  static Endpoint at_next_port(Endpoint& endpoint) {
    ++endpoint.port;
    return endpoint;
  }
  Task<bool> open() {
    KeyInfo key{.access_key = std::string(kAccessKey),
                .secret = Secret(std::string(kSecretKey)),
                .owner = kOwner,
                .owner_display_name = "tester"};
    auto opened = co_await EmbeddedRegistry::open(
        server.env, group, names, [this](const CallContext& context) { return server.names.trees(context); },
        {key});
    if (!opened) co_return false;
    roots = std::move(*opened);
    api = std::make_unique<ApiServer>(Services{server.env, names, server.blobs, server.discards}, *roots,
                                      ApiOptions());
    auto listener = co_await Listener::open(server.env, endpoint);
    if (!listener) co_return false;
    http = std::make_unique<HttpServer>(server.env, std::move(*listener), *api);
    serving.spawn(&serve, http.get());
    co_return true;
  }
  Task<void> close() {
    co_await client.close();
    http->stop(Duration::seconds(10));
    co_await serving.join();
    co_await roots->close();
  }
  Task<Reply> call(Req request) { return client.call(request); }
  Task<Reply> call(std::string method, std::string path, std::string query = {}, std::string body = {},
                   Headers headers = {}) {
    const Req request{.method = std::move(method),
                      .path = std::move(path),
                      .query = std::move(query),
                      .headers = std::move(headers),
                      .body = std::move(body)};
    co_return co_await client.call(request);
  }
  // Every blob that is stored is named, and the other way around; every tree is a bucket's.
  Task<void> check() {
    uint64_t named = 0;
    for (int i = 0; i < 20; ++i) {
      (void)co_await sleep_for(server.env, Duration::milliseconds(500));
      const auto report = co_await server.engine.verify();
      CO_CHECK(report);
      for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
      named = 0;
      for (const auto& [blob, block_count] : report->named) named += block_count;
      if (server.engine.statistics().ledger_blobs == 0 && named == server.blobs.blob_count()) break;
    }
    EXPECT_EQ(named, server.blobs.blob_count()) << "stored and not named, or named and not stored";
    const auto trees = co_await server.names.trees({});
    const auto buckets = co_await roots->list_buckets({});
    CO_CHECK(trees && buckets);
    EXPECT_EQ(trees->size(), 1 + buckets->size());
  }

  TestServer& server;
  DoubtfulNames names;
  EmbeddedRegistryGroup group;
  Scope serving;
  Endpoint endpoint;
  TestClient client;
  std::unique_ptr<EmbeddedRegistry> roots;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<HttpServer> http;
};

constexpr size_t kSize = 300'000;  // in a blob
constexpr size_t kPartSize = 5 * 1024 * 1024;
std::string old_body() { return random_bytes(kSize, 1); }
std::string new_body() { return random_bytes(kSize, 2); }

struct Upload {
  std::string id;
  std::string complete_body;
};

Task<Upload> begin_upload(DoubtfulServer& server) {
  Upload upload;
  upload.id = (co_await server.call("POST", "/bucket/key", "uploads")).element("UploadId");
  upload.complete_body = "<CompleteMultipartUpload>";
  for (int number = 1; number <= 2; ++number) {
    const Reply part = co_await server.call("PUT", "/bucket/key",
                                            fmt::format("partNumber={}&uploadId={}", number, upload.id),
                                            random_bytes(kPartSize, 10 + static_cast<uint64_t>(number)));
    EXPECT_EQ(part.status, 200) << part.body;
    upload.complete_body +=
        fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", number, part.header("etag"));
  }
  upload.complete_body += "</CompleteMultipartUpload>";
  co_return upload;
}

// In a bucket with one object, "old", and one upload of "key": `request` has its first change in doubt, and
// is sent once more. The status of the repetition.
using MakeRequest = std::function<Req(const Upload&)>;
using Look = std::function<Task<void>(DoubtfulServer&)>;

void repeat_in_doubt(const MakeRequest& make, int status, const Look& look, bool uploads = false,
                     int first_status = 503) {
  run_world([&](TestServer& world) -> Task<void> {
    DoubtfulServer server(world);
    CO_CHECK(co_await server.open());
    EXPECT_EQ((co_await server.call("PUT", "/bucket")).status, 200);
    EXPECT_EQ((co_await server.call("PUT", "/bucket/old", "", old_body())).status, 200);
    Upload upload;
    if (uploads) upload = co_await begin_upload(server);
    const Req request = make(upload);
    server.names.doubt(1);
    const Reply first = co_await server.call(request);
    EXPECT_EQ(first.status, first_status) << first.body;
    EXPECT_EQ(server.names.doubted(), 1u);
    const Reply second = co_await server.call(request);
    EXPECT_EQ(second.status, status) << second.body;
    co_await look(server);
    co_await server.check();
    co_await server.close();
  });
}

Look has(std::string key, std::string content) {
  return [key, content](DoubtfulServer& server) -> Task<void> {
    const Reply reply = co_await server.call("GET", "/bucket/" + key);
    EXPECT_EQ(reply.status, 200) << key;
    EXPECT_TRUE(reply.body == content) << key;
  };
}
Look has_not(std::string key) {
  return [key](DoubtfulServer& server) -> Task<void> {
    EXPECT_EQ((co_await server.call("HEAD", "/bucket/" + key)).status, 404) << key;
  };
}

TEST(ApiUnknownOutcome, Put) {
  const auto put = [](const Upload&) {
    return Req{.method = "PUT", .path = "/bucket/old", .body = new_body()};
  };
  repeat_in_doubt(put, 200, has("old", new_body()));
}

// It is there by the first request, and nobody can tell that this is the same one.
TEST(ApiUnknownOutcome, ConditionalPut) {
  const auto put = [](const Upload&) {
    return Req{.method = "PUT", .path = "/bucket/k", .headers = {{"If-None-Match", "*"}}, .body = new_body()};
  };
  repeat_in_doubt(put, 412, has("k", new_body()));
}

TEST(ApiUnknownOutcome, Copy) {
  const auto copy = [](const Upload&) {
    return Req{.method = "PUT", .path = "/bucket/copy", .headers = {{"x-amz-copy-source", "/bucket/old"}}};
  };
  repeat_in_doubt(copy, 200, has("copy", old_body()));
}

TEST(ApiUnknownOutcome, Rename) {
  const auto rename = [](const Upload&) {
    return Req{.method = "PUT",
               .path = "/bucket/new",
               .query = "renameObject",
               .headers = {{"x-amz-rename-source", "old"}, {"x-amz-client-token", "token"}}};
  };
  // The token is there by the time that it is looked for again.
  repeat_in_doubt(rename, 200, has("new", old_body()), false, 200);
  const auto without_token = [](const Upload&) {
    return Req{.method = "PUT",
               .path = "/bucket/new",
               .query = "renameObject",
               .headers = {{"x-amz-rename-source", "old"}}};
  };
  repeat_in_doubt(without_token, 404, has("new", old_body()));
}

TEST(ApiUnknownOutcome, Delete) {
  const auto erase = [](const Upload&) { return Req{.method = "DELETE", .path = "/bucket/old"}; };
  repeat_in_doubt(erase, 204, has_not("old"));
}

TEST(ApiUnknownOutcome, CompleteAndAbort) {
  const auto complete = [](const Upload& upload) {
    return Req{.method = "POST",
               .path = "/bucket/key",
               .query = "uploadId=" + upload.id,
               .body = upload.complete_body};
  };
  repeat_in_doubt(complete, 200, has("key", random_bytes(kPartSize, 11) + random_bytes(kPartSize, 12)), true);
  const auto abort = [](const Upload& upload) {
    return Req{.method = "DELETE", .path = "/bucket/key", .query = "uploadId=" + upload.id};
  };
  repeat_in_doubt(abort, 404, has_not("key"), true);
}

TEST(ApiUnknownOutcome, PartsAndUploads) {
  const auto part = [](const Upload& upload) {
    return Req{.method = "PUT",
               .path = "/bucket/key",
               .query = "partNumber=2&uploadId=" + upload.id,
               .body = new_body()};
  };
  repeat_in_doubt(part, 200, has_not("key"), true);
  const auto begin = [](const Upload&) {
    return Req{.method = "POST", .path = "/bucket/key", .query = "uploads"};
  };
  repeat_in_doubt(begin, 200, has_not("key"));
}

// Any change of a bucket's life, and those behind it: the name can be used, and HEAD says what is so.
TEST(ApiUnknownOutcome, Buckets) {
  for (const uint64_t count : {1u, 3u}) {
    for (uint64_t n = 1; n <= 6; ++n) {
      run_world([&](TestServer& world) -> Task<void> {
        DoubtfulServer server(world);
        CO_CHECK(co_await server.open());
        server.names.doubt(n, count);
        const auto until = [&](Req request, int status) -> Task<void> {
          Reply reply;
          for (int tries = 0; tries < 6 && reply.status != status; ++tries) {
            if (tries != 0) EXPECT_EQ(reply.status, 503) << reply.body;
            reply = co_await server.call(request);
          }
          EXPECT_EQ(reply.status, status) << reply.body;
        };
        const Req make_bucket{.method = "PUT", .path = "/bucket"};
        const Req delete_bucket{.method = "DELETE", .path = "/bucket"};
        const Req put{.method = "PUT", .path = "/bucket/key", .body = new_body()};
        const Req erase{.method = "DELETE", .path = "/bucket/key"};
        for (int i = 0; i < 2; ++i) {
          co_await until(make_bucket, 200);
          EXPECT_EQ((co_await server.call("HEAD", "/bucket")).status, 200);
          co_await until(put, 200);
          EXPECT_EQ((co_await server.call("DELETE", "/bucket")).status, 409);
          co_await until(erase, 204);
          co_await server.check();
          co_await until(delete_bucket, 204);
          EXPECT_EQ((co_await server.call("HEAD", "/bucket")).status, 404);
          EXPECT_EQ((co_await server.call("DELETE", "/bucket")).status, 404);
          co_await server.check();
        }
        EXPECT_GT(server.names.doubted(), 0u);
        co_await server.close();
      });
      ASSERT_FALSE(HasFailure()) << "n " << n << " count " << count;
    }
  }
}

// A bucket that is deleted between the two looks of a CreateBucket: it is made anew.
class DeletedMeanwhile final : public RootClient {
 public:
  explicit DeletedMeanwhile(EmbeddedRegistry& roots) : roots_(roots) {}
  int deletions = 0;
  const BucketInfo* cached_bucket(std::string_view name) override { return roots_.cached_bucket(name); }
  Task<Result<BucketInfo>> find_bucket(const CallContext& context, std::string_view name) override {
    return roots_.find_bucket(context, name);
  }
  Task<Result<BucketInfo>> create_bucket(const CallContext& context, std::string_view name,
                                         std::string_view owner) override {
    auto made = co_await roots_.create_bucket(context, name, owner);
    if (!made && deletions++ < 2) EXPECT_TRUE((co_await roots_.delete_bucket({}, name)).has_value());
    co_return made;
  }
  Task<Result<void>> delete_bucket(const CallContext& context, std::string_view name) override {
    return roots_.delete_bucket(context, name);
  }
  Task<Result<std::vector<BucketInfo>>> list_buckets(const CallContext& context) override {
    return roots_.list_buckets(context);
  }
  const KeyInfo* cached_key(std::string_view access_key) override { return roots_.cached_key(access_key); }
  Task<Result<KeyInfo>> find_key(const CallContext& context, std::string_view access_key) override {
    return roots_.find_key(context, access_key);
  }

 private:
  EmbeddedRegistry& roots_;
};

TEST(ApiUnknownOutcome, ACreateBucketIsNeverToldThatThereIsNone) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    DeletedMeanwhile roots(server.roots);
    ApiServer api({server.env, server.names, server.blobs, server.discards}, roots, {});
    Endpoint endpoint = server.endpoint;
    ++endpoint.port;
    auto listener = co_await Listener::open(server.env, endpoint);
    CO_CHECK(listener);
    HttpServer http(server.env, std::move(*listener), api);
    Scope serving(server.env);
    serving.spawn(&serve, &http);
    TestClient client(server.env, endpoint);
    const Req request{.method = "PUT", .path = "/bucket"};
    const Reply made = co_await client.call(request);
    EXPECT_EQ(made.status, 200) << made.body;
    EXPECT_EQ(roots.deletions, 1);
    EXPECT_NE(server.roots.cached_bucket("bucket"), nullptr);
    co_await client.close();
    http.stop(Duration::seconds(10));
    co_await serving.join();
  });
}

}  // namespace
}  // namespace fb::api
