// SPDX-License-Identifier: Apache-2.0
// Requests that meet: each answer must be one that some order of them allows, and nothing may leak or hang.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "api/api_test_world.h"
#include "api/content_store.h"
#include "io/scope.h"

namespace fb::api {
namespace {

constexpr size_t kMiBytes = 1 << 20;

// A connection of its own for one request.
Task<Reply> once(TestServer& server, const Req& request) {
  TestClient client(server.env, server.endpoint);
  const Reply reply = co_await client.call(request);
  co_await client.close();
  co_return reply;
}

TEST(ApiConcurrency, PartReplacedWhileCompleteRuns) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    run_world(
        [seed](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          const Reply created = co_await server.call("POST", "/bucket/key", "uploads");
          const std::string id = created.element("UploadId");
          const auto part = [&](std::string body) {
            return Req{.method = "PUT",
                       .path = "/bucket/key",
                       .query = "partNumber=1&uploadId=" + id,
                       .body = std::move(body),
                       .auth = Auth::header_unsigned};
          };
          const std::string old_body = random_bytes(70'000, 1);
          const std::string new_body = random_bytes(80'000, 2);
          const std::string etag = (co_await server.call(part(old_body))).header("etag");
          const Req complete{.method = "POST",
                             .path = "/bucket/key",
                             .query = "uploadId=" + id,
                             .body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                                     etag + "</ETag></Part></CompleteMultipartUpload>"};
          const auto [uploaded, completed, again] = co_await when_all(
              [&]() -> Task<Reply> {
                (void)co_await sleep_for(server.env,
                                         Duration::microseconds(static_cast<int64_t>(seed) * 150));
                co_return co_await once(server, part(new_body));
              },
              [&] { return once(server, complete); }, [&] { return once(server, complete); });
          const Reply got = co_await server.call("GET", "/bucket/key");
          if (completed.status == 200 || again.status == 200) {
            EXPECT_EQ(completed.status, 200) << completed.body;
            EXPECT_EQ(again.status, 200) << again.body;
            EXPECT_TRUE(got.body == old_body);
            EXPECT_TRUE(uploaded.status == 200 || uploaded.code() == "NoSuchUpload") << uploaded.body;
            if (uploaded.status == 200) ADD_FAILURE() << "a part that was acknowledged before has vanished";
          } else {
            EXPECT_EQ(completed.code(), "InvalidPart");
            EXPECT_EQ(uploaded.status, 200);
            EXPECT_EQ(got.status, 404);
          }
          co_await server.check_blobs();
        },
        {.seed = seed});
  }
}

// A Complete whose parts go while it looks for them has lost to an Abort (404) or to another Complete of the
// same upload (200, which it repeats). Its parts are the right ones, so that InvalidPart is never true. The
// part that arrives meanwhile makes it wait between the upload and its parts.
TEST(ApiConcurrency, CompleteThatLosesARace) {
  for (const bool aborted : {true, false}) {
    for (int64_t delay_us = 0; delay_us < 4000; delay_us += 100) {
      run_world(
          [aborted, delay_us](TestServer& server) -> Task<void> {
            co_await server.make_bucket();
            const std::string id =
                (co_await server.call("POST", "/bucket/key", "uploads")).element("UploadId");
            const auto part = [&](int number) {
              return Req{.method = "PUT",
                         .path = "/bucket/key",
                         .query = fmt::format("partNumber={}&uploadId={}", number, id),
                         .body = random_bytes(5000)};
            };
            const std::string etag = (co_await server.call(part(1))).header("etag");
            const Req complete{.method = "POST",
                               .path = "/bucket/key",
                               .query = "uploadId=" + id,
                               .body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                                       etag + "</ETag></Part></CompleteMultipartUpload>"};
            const Req second = part(2);
            const Req abort{.method = "DELETE", .path = "/bucket/key", .query = "uploadId=" + id};
            const auto later = [&](int64_t us, const Req& request) -> Task<Reply> {
              (void)co_await sleep_for(server.env, Duration::microseconds(us));
              co_return co_await once(server, request);
            };
            const auto [uploaded, completed, rival] = co_await when_all(
                [&] { return once(server, second); }, [&] { return later(delay_us, complete); },
                [&] { return later(delay_us + 50, aborted ? abort : complete); });
            EXPECT_TRUE(uploaded.status == 200 || uploaded.code() == "NoSuchUpload") << uploaded.body;
            if (aborted) {
              EXPECT_TRUE(completed.status == 200 || completed.code() == "NoSuchUpload") << completed.body;
              EXPECT_TRUE(rival.status == 204 || rival.code() == "NoSuchUpload") << rival.body;
            } else {
              EXPECT_EQ(completed.status, 200) << completed.body;
              EXPECT_EQ(rival.status, 200) << rival.body;
            }
            co_await server.check_blobs();
          },
          {.seed = static_cast<uint64_t>(delay_us) + 1});
    }
  }
}

std::string body_of(uint64_t number) { return random_bytes(1 + number * number * 25, number); }
bool has_wrong_md5(uint64_t number) { return number % 7 == 3; }

Task<void> put_with_md5(TestServer& server, uint64_t number) {
  const std::string body = body_of(number);
  const bool wrong = has_wrong_md5(number);
  const Reply reply =
      co_await once(server, {.method = "PUT",
                             .path = fmt::format("/bucket/{}", number),
                             .headers = {{"Content-MD5", base64_md5(wrong ? body + "x" : body)}},
                             .body = body,
                             .auth = Auth::header_unsigned});
  EXPECT_EQ(reply.status, wrong ? 400 : 200) << reply.body;
  if (wrong) {
    EXPECT_EQ(reply.code(), "BadDigest");
  } else {
    EXPECT_EQ(reply.header("etag"), '"' + md5_hex(body) + '"');
  }
}

// Bodies that come in the same turn of the loop are hashed together: each has its own ETag and Content-MD5.
TEST(ApiConcurrency, PutsOfOneTurnHaveTheirOwnMd5s) {
  constexpr uint64_t kPuts = 60;
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    Scope scope(server.env);
    for (uint64_t number = 0; number < kPuts; ++number) scope.spawn(put_with_md5, std::ref(server), number);
    co_await scope.join();
    for (uint64_t number = 0; number < kPuts; ++number) {
      const Reply got = co_await server.call("GET", fmt::format("/bucket/{}", number));
      EXPECT_EQ(got.status, has_wrong_md5(number) ? 404 : 200);
      if (got.status == 200) EXPECT_TRUE(got.body == body_of(number));
    }
    co_await server.check_blobs();
  });
}

TEST(ApiConcurrency, AbortWhileAPartArrives) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          const std::string id = (co_await server.call("POST", "/bucket/key", "uploads")).element("UploadId");
          TestClient uploader(server.env, server.endpoint);
          const Req part{.method = "PUT",
                         .path = "/bucket/key",
                         .query = "partNumber=1&uploadId=" + id,
                         .body = random_bytes(2 * kMiBytes)};
          co_await uploader.begin(part, 1000);
          const auto [put, aborted] =
              co_await when_all([&] { return uploader.end(); },
                                [&] { return server.call("DELETE", "/bucket/key", "uploadId=" + id); });
          EXPECT_EQ(aborted.status, 204);
          EXPECT_TRUE(put.status == 200 || put.code() == "NoSuchUpload") << put.body;
          co_await uploader.close();
          co_await server.check_blobs();
          EXPECT_EQ(server.blobs.blob_count(), 0U);
        },
        {.seed = seed});
  }
}

// Content whose record was certainly not written goes at once; if that is not known, it stays.
TEST(ApiConcurrency, ContentThatIsNotNamedInTimeIsFreed) {
  class Text final : public ContentSource {
   public:
    Task<S3Result<size_t>> fill(std::span<std::byte> into) override {
      const size_t count = std::min(into.size(), left_);
      std::memset(into.data(), 'x', count);
      left_ -= count;
      co_return count;
    }
    std::optional<uint64_t> size_bytes() const override { return std::nullopt; }

   private:
    size_t left_ = 100'000;
  };
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Services services{server.env, server.names, server.blobs, server.discards};
    for (const auto error :
         {NamespaceError::unavailable, NamespaceError::timed_out, NamespaceError::not_owner,
          NamespaceError::precondition_failed, NamespaceError::outcome_unknown}) {
      Text text;
      auto content = co_await store_content(services, text, {.size_max_bytes = kMiBytes});
      CO_CHECK(content);
      const BlobId blob = content->locator().blob;
      content->settle(Result<void>(error));
      (void)co_await sleep_for(server.env, Duration::seconds(1));
      const bool left = server.blobs.blob_count() != 0;
      EXPECT_EQ(left, error == NamespaceError::outcome_unknown);
      if (left) server.discards.discard_blob(blob, 1);
    }
    co_await server.check_blobs();
    EXPECT_EQ(server.blobs.blob_count(), 0U);
  });
}

// An overwrite that was acknowledged is never taken back by a copy of what was there before.
TEST(ApiConcurrency, CopyOntoItselfWhileOverwritten) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    for (const bool rewrite : {false, true}) {
      run_world(
          [rewrite, seed](TestServer& server) -> Task<void> {
            co_await server.make_bucket();
            const std::string old_body = random_bytes(3 * kMiBytes, 1);
            const std::string new_body = random_bytes(200'000, 2);
            (void)co_await server.call("PUT", "/bucket/key", "", old_body);
            Req copy{.method = "PUT",
                     .path = "/bucket/key",
                     .headers = {{"x-amz-copy-source", "bucket/key"},
                                 {"x-amz-metadata-directive", "REPLACE"},
                                 {"x-amz-meta-copied", "yes"}}};
            if (rewrite) copy.headers.emplace_back("x-amz-checksum-algorithm", "CRC32");
            const Req put{.method = "PUT", .path = "/bucket/key", .body = new_body};
            const auto [copied, overwritten] = co_await when_all(
                [&]() -> Task<Reply> {
                  (void)co_await sleep_for(server.env,
                                           Duration::microseconds(static_cast<int64_t>(seed) * 200));
                  co_return co_await once(server, copy);
                },
                [&] { return once(server, put); });
            EXPECT_EQ(copied.status, 200) << copied.body;
            EXPECT_EQ(overwritten.status, 200) << overwritten.body;
            EXPECT_TRUE(co_await server.get("/bucket/key") == new_body);
            co_await server.check_blobs();
          },
          {.seed = seed});
    }
  }
}

// What a GET has begun to send stays whole, whatever happens to the object.
TEST(ApiConcurrency, DeleteAndOverwriteWhileAGetStreams) {
  for (const bool overwrite : {false, true}) {
    run_world([overwrite](TestServer& server) -> Task<void> {
      co_await server.make_bucket();
      const std::string body = random_bytes(12 * kMiBytes, 1);
      const Req put{.method = "PUT", .path = "/bucket/key", .body = body, .auth = Auth::header_unsigned};
      (void)co_await server.call(put);
      TestClient reader(server.env, server.endpoint);
      co_await reader.begin({.path = "/bucket/key"}, 0);
      const auto head = co_await reader.http().receive_head({});
      CO_CHECK(head);
      std::string got;
      std::array<std::byte, 50'000> piece;
      const auto read_to = [&](size_t size) -> Task<void> {
        while (got.size() < size) {
          const auto count = co_await reader.http().read_body(piece, {});
          CO_CHECK(count && *count > 0);
          got.append(reinterpret_cast<const char*>(piece.data()), *count);
        }
      };
      co_await read_to(kMiBytes);
      const Reply changed = overwrite ? co_await server.call("PUT", "/bucket/key", "", "new")
                                      : co_await server.call("DELETE", "/bucket/key");
      EXPECT_TRUE(changed.status == 200 || changed.status == 204);
      (void)co_await sleep_for(server.env, Duration::seconds(5));
      const size_t held = server.blobs.blob_count();
      EXPECT_GT(held, 2U) << "the reader still holds them";
      // It holds up nothing else: the garbage of others goes, and so does a bucket.
      (void)co_await server.call("PUT", "/bucket/other", "", random_bytes(3 * kMiBytes, 2));
      (void)co_await server.call("PUT", "/bucket/other", "", "new");
      const Instant before = server.env.now();
      EXPECT_EQ((co_await server.call("PUT", "/second")).status, 200);
      EXPECT_EQ((co_await server.call("DELETE", "/second")).status, 204);
      EXPECT_LT(server.env.now() - before, Duration::seconds(1));
      (void)co_await sleep_for(server.env, Duration::seconds(3));
      EXPECT_EQ(server.blobs.blob_count(), held + 1);
      (void)co_await server.call("DELETE", "/bucket/other");
      co_await read_to(body.size());
      EXPECT_TRUE(got == body);
      co_await reader.close();
      co_await server.check_blobs();
      EXPECT_EQ(server.blobs.blob_count(), overwrite ? 1U : 0U);
    });
  }
}

Task<void> one_of_many(TestServer* server, int number, int* failures) {
  const std::string path = "/bucket/" + std::to_string(number);
  const std::string body =
      random_bytes(2 * kMiBytes + static_cast<size_t>(number) * 1000, static_cast<uint64_t>(number));
  const Auth forms[] = {Auth::header_unsigned, Auth::streaming_signed, Auth::streaming_unsigned_trailer};
  const Req put{.method = "PUT",
                .path = path,
                .body = body,
                .auth = forms[number % 3],
                .chunk_bytes = 65536,
                .piece_bytes = 100'000};
  const Reply stored = co_await once(*server, put);
  const Req copy{.method = "PUT",
                 .path = path + "-copy",
                 .headers = {{"x-amz-copy-source", "bucket/" + std::to_string(number)}}};
  const Reply copied = co_await once(*server, copy);
  const Reply got = co_await once(*server, {.path = path + "-copy"});
  if (stored.status != 200 || copied.status != 200 || got.body != body) {
    ++*failures;
    ADD_FAILURE() << number << " " << stored.status << " " << copied.status << " " << got.status
                  << stored.body << copied.body;
  }
}

// Far more streams than the pool has room for: they wait for each other, and all come to their end.
TEST(ApiConcurrency, ManyStreamsInLittleMemory) {
  for (const size_t megabytes : {4, 16}) {
    run_world(
        [](TestServer& server) -> Task<void> {
          co_await server.make_bucket();
          int failures = 0;
          Scope scope(server.env);
          for (int i = 0; i < 30; ++i) scope.spawn(&one_of_many, &server, i, &failures);
          co_await scope.join();
          EXPECT_EQ(failures, 0);
          co_await server.check_blobs();
        },
        {.buffer_bytes = megabytes * kMiBytes});
  }
}

TEST(ApiConcurrency, ClientsThatVanish) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const std::string id = (co_await server.call("POST", "/bucket/key", "uploads")).element("UploadId");
    (void)co_await server.call("PUT", "/bucket/big", "", random_bytes(5 * kMiBytes));
    const std::string before = co_await server.state();
    for (const Auth auth : kAccepted) {
      for (const size_t size : {size_t{10}, 70'000ul, 3 * kMiBytes}) {
        for (const std::string& query : {std::string(), "partNumber=1&uploadId=" + id}) {
          TestClient client(server.env, server.endpoint);
          co_await client.begin({.method = "PUT",
                                 .path = "/bucket/key",
                                 .query = query,
                                 .body = random_bytes(size),
                                 .auth = auth},
                                1);
          (void)co_await sleep_for(server.env, Duration::milliseconds(20));
          co_await client.close();
        }
      }
    }
    for (int i = 0; i < 5; ++i) {
      TestClient client(server.env, server.endpoint);
      co_await client.begin({.path = "/bucket/big"}, 0);
      (void)co_await sleep_for(server.env, Duration::milliseconds(i));
      co_await client.close();
    }
    (void)co_await sleep_for(server.env, Duration::seconds(60));
    EXPECT_EQ(co_await server.state(), before);
    co_await server.check_blobs();
    EXPECT_EQ(server.env.buffers().used_bytes(), 0U);
  });
}

}  // namespace
}  // namespace fb::api
