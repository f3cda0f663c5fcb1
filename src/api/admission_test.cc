// SPDX-License-Identifier: Apache-2.0
// The memory of a core that requests hold before their bytes come, and while they do not: docs/admission.md.
#include "api/api_test_world.h"
#include "io/scope.h"

namespace fb::api {
namespace {

constexpr size_t kMiBytes = 1 << 20;
constexpr size_t kPoolBytes = 16 * kMiBytes;

Req large_put(size_t size) {
  return {
      .method = "PUT", .path = "/bucket/slow", .body = std::string(size, 's'), .auth = Auth::header_unsigned};
}

using Clients = std::vector<std::unique_ptr<TestClient>>;

Task<void> close_all(Clients& clients) {
  for (const auto& client : clients) co_await client->close();
}

Task<Clients> begin_many(TestServer& server, int count, const Req& request, size_t sent) {
  Clients clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.env, server.endpoint));
    co_await clients.back()->begin(request, request.body.size() - sent);
  }
  co_return clients;
}

// None is refused, and none takes long: a large one may have to wait behind as many as came before it, until
// these have been cut.
Task<void> expect_served(TestServer& server, size_t size) {
  const int64_t took_ms_max = size <= 64 * 1024 ? 700 : 4500;
  const std::string body = random_bytes(size);
  for (int i = 0; i < 10; ++i) {
    const Instant began = server.env.now();
    TestClient client(server.env, server.endpoint);
    const Reply put = co_await client.call(
        {.method = "PUT", .path = "/bucket/key", .body = body, .auth = Auth::header_unsigned});
    EXPECT_EQ(put.status, 200) << put.body;
    const Reply got = co_await client.call({.path = "/bucket/key"});
    EXPECT_TRUE(got.body == body);
    co_await client.close();
    EXPECT_LT((server.env.now() - began).milliseconds(), took_ms_max) << i;
  }
}

TEST(ApiAdmission, ADeclaredLengthTakesNoMemory) {
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        Clients clients = co_await begin_many(server, 100, large_put(2 * kMiBytes), 0);
        (void)co_await sleep_for(server.env, Duration::seconds(1));
        EXPECT_LE(server.env.buffers().used_bytes(), 100 * 16 * 1024u);
        co_await close_all(clients);
      },
      {.buffer_bytes = kPoolBytes});
}

TEST(ApiAdmission, SmallDeclaredBodiesLeaveRoomForThoseThatCame) {
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        Clients clients = co_await begin_many(server, 400, large_put(64 * 1024), 0);
        (void)co_await sleep_for(server.env, Duration::milliseconds(100));
        EXPECT_LE(server.env.buffers().used_bytes(), 4 * kMiBytes);
        co_await expect_served(server, 4096);
        co_await expect_served(server, 60'000);
        EXPECT_EQ(server.env.buffers().refused(), 0u);
        // And those are served, too, when their bodies come at last.
        for (int i = 0; i < 400; i += 50)
          EXPECT_EQ((co_await clients[static_cast<size_t>(i)]->end()).status, 200);
        co_await close_all(clients);
      },
      {.buffer_bytes = kPoolBytes});
}

TEST(ApiAdmission, BodiesThatStopHoldNobodyUp) {
  for (const size_t sent : {100ul, 100'000ul, 2'000'000ul}) {
    run_world(
        [sent](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          Clients clients = co_await begin_many(server, 24, large_put(3 * kMiBytes), sent);
          co_await expect_served(server, 4096);
          co_await expect_served(server, 2 * kMiBytes);
          co_await close_all(clients);
          (void)co_await sleep_for(server.env, Duration::seconds(40));
          EXPECT_EQ(server.env.buffers().used_bytes(), 0u);
        },
        {.buffer_bytes = kPoolBytes});
  }
}

TEST(ApiAdmission, ReadersThatDoNotReadHoldNobodyUp) {
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        const Reply put = co_await server.call({.method = "PUT",
                                                .path = "/bucket/large",
                                                .body = std::string(8 * kMiBytes, 'l'),
                                                .auth = Auth::header_unsigned});
        EXPECT_EQ(put.status, 200);
        Clients clients = co_await begin_many(server, 24, {.path = "/bucket/large"}, 0);
        co_await expect_served(server, 4096);
        co_await expect_served(server, 2 * kMiBytes);
        co_await close_all(clients);
        (void)co_await sleep_for(server.env, Duration::seconds(40));
        EXPECT_EQ(server.env.buffers().used_bytes(), 0u);
      },
      {.buffer_bytes = kPoolBytes, .cache_bytes = 0});
}

// A quick body is received in place, but for its beginning.
TEST(ApiAdmission, LargeBodiesAreNotCopied) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const uint64_t before = server.env.stats().bytes_copied;
    const Reply put = co_await server.call({.method = "PUT",
                                            .path = "/bucket/large",
                                            .body = random_bytes(8 * kMiBytes),
                                            .auth = Auth::header_unsigned});
    EXPECT_EQ(put.status, 200);
    EXPECT_LE(server.env.stats().bytes_copied - before, 100 * 1024u);
  });
}

TEST(ApiAdmission, WithoutMemoryThereIsSlowDown) {
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        std::vector<Buffer> taken;
        while (Buffer buffer = server.env.buffers().try_allocate(kMiBytes, BufferUse::body))
          taken.push_back(std::move(buffer));
        const Instant began = server.env.now();
        const Reply put = co_await server.call(large_put(2 * kMiBytes));
        EXPECT_EQ(put.status, 503);
        EXPECT_EQ(put.code(), "SlowDown");
        EXPECT_EQ(put.header("retry-after"), "1");
        EXPECT_LT((server.env.now() - began).milliseconds(), 10'000);
        taken.clear();
        EXPECT_EQ((co_await server.call(large_put(2 * kMiBytes))).status, 200);
      },
      {.buffer_bytes = kPoolBytes});
}

Req long_delete(size_t size) {
  return {.method = "POST",
          .path = "/bucket",
          .query = "delete=",
          .headers = {{"Content-MD5", base64_md5(std::string(size, ' '))}},
          .body = std::string(size, ' '),
          .auth = Auth::header_unsigned};
}

TEST(ApiAdmission, XmlTextsGrowWithWhatCame) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    Clients clients = co_await begin_many(server, 50, long_delete(4 * kMiBytes), 0);
    (void)co_await sleep_for(server.env, Duration::seconds(1));
    EXPECT_EQ(server.api.text_bytes(), 0u);
    co_await close_all(clients);
    (void)co_await sleep_for(server.env, Duration::seconds(1));
    EXPECT_EQ(server.api.text_bytes(), 0u);
  });
}

// Clients that hold all memory for texts and send nothing are cut for one that wants some.
TEST(ApiAdmission, XmlTextsThatStopGiveWay) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    Clients clients = co_await begin_many(server, 4, long_delete(4 * kMiBytes - 1), 4 * kMiBytes - 100);
    (void)co_await sleep_for(server.env, Duration::seconds(1));
    EXPECT_GT(server.api.text_bytes(), 15 * kMiBytes);
    for (int i = 0; i < 3; ++i) {
      const Reply reply = co_await server.call(long_delete(300'000));
      EXPECT_EQ(reply.code(), "MalformedXML") << reply.status << reply.body;
    }
    co_await close_all(clients);
  });
}

TEST(ApiAdmission, XmlTextsHaveABudget) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    Clients clients = co_await begin_many(server, 12, long_delete(4 * kMiBytes - 1), 4 * kMiBytes - 100);
    (void)co_await sleep_for(server.env, Duration::seconds(5));
    EXPECT_LE(server.api.text_bytes(), 16 * kMiBytes);
    int refused = 0;
    for (const auto& client : clients) {
      const Reply reply = co_await client->end();
      const bool gave_way = reply.code() == "SlowDown" || reply.code() == "RequestTimeout";
      EXPECT_TRUE(gave_way || reply.code() == "MalformedXML") << reply.status << reply.body;
      refused += gave_way ? 1 : 0;
    }
    EXPECT_GE(refused, 6);
    co_await close_all(clients);
    EXPECT_EQ(server.api.text_bytes(), 0u);
  });
}

}  // namespace
}  // namespace fb::api
