// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <functional>
#include <map>
#include <set>
#include <string>

#include "client/unnamed_blobs.h"
#include "http/http_server.h"
#include "io/scope.h"
#include "io/sim/simulation.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/hash.h"
#include "s3/encoding.h"
#include "s3/uri.h"
#include "tier/tier.h"

// For the tests of this folder: a cloud in memory on a simulated machine, which fails as it is told, and
// fakes of the namespace and the local blobs.

namespace fb::tier {

inline constexpr std::string_view kTestKey = "AKIACLOUD";
inline constexpr std::string_view kTestSecret = "a secret of the cloud";

#define TIER_CHECK(condition)               \
  if (!(condition)) {                       \
    ADD_FAILURE() << "failed: " #condition; \
    co_return;                              \
  }

// An S3 bucket named "cloud". Every signature and every payload hash is verified.
class FakeCloud final : public HttpHandler {
 public:
  struct Upload {
    std::string key;
    std::map<int, std::string> parts;
  };
  std::map<std::string, std::string> objects;
  std::map<std::string, Upload> uploads;
  uint64_t requests = 0;
  size_t page_max = 3;  // keys in one page of a listing

  // Faults, in millionths of requests.
  uint32_t error_ppm = 0;   // 500, 503, SlowDown instead of doing anything
  uint32_t late_ppm = 0;    // done, and answered by an error or not at all
  uint32_t drop_ppm = 0;    // the connection is closed instead
  uint32_t damage_ppm = 0;  // one byte of the body sent, or received
  uint32_t cut_ppm = 0;     // the body sent ends in the middle
  uint32_t slow_ppm = 0;    // delayed by seconds
  uint32_t forget_ppm = 0;  // 200 for a write that is not made
  bool away = false;        // closes all connections
  std::string kept;         // the key that cannot be deleted, which is answered at once
  bool knows_checksums = true;
  uint64_t faults = 0;
  uint64_t bodies_unprotected = 0;  // bodies without any checksum

  Task<void> handle(HttpExchange& exchange) override {
    ++requests;
    Env& env = exchange.env();
    if (away) co_return;
    if (happens(env, slow_ppm))
      (void)co_await sleep_for(env, Duration::seconds(static_cast<int64_t>(env.random() % 5)));
    std::string body;
    if (!co_await read(exchange, body)) co_return;
    if (happens(env, drop_ppm)) co_return;
    if (!body.empty() && happens(env, damage_ppm)) body[env.random() % body.size()] ^= 16;
    if (happens(env, error_ppm)) co_return co_await answer_error(exchange);
    Reply reply = act(exchange.request(), body, happens(env, forget_ppm));
    if (happens(env, late_ppm)) {
      if (env.random() % 2 == 0) co_return;
      co_return co_await answer_error(exchange);
    }
    co_await send(exchange, reply);
  }
  std::string protocol_error(int, HeaderWriter&) override { return {}; }

 private:
  struct Reply {
    int status = 200;
    std::string body{};
    std::string etag{};
    std::string code{};
  };

  bool happens(Env& env, uint32_t ppm) {
    if (ppm == 0 || env.random() % 1'000'000 >= ppm) return false;
    ++faults;
    return true;
  }

  static Task<bool> read(HttpExchange& exchange, std::string& body) {
    body.resize(exchange.content_length().value_or(0));
    if (body.empty()) co_return true;
    const auto count = co_await exchange.read_body(std::as_writable_bytes(std::span(body)));
    co_return count && *count == body.size();
  }

  Task<void> answer_error(HttpExchange& exchange) {
    const uint64_t kind = exchange.env().random() % 3;
    co_await send(exchange,
                  {.status = kind == 0 ? 500 : 503, .code = kind == 2 ? "SlowDown" : "InternalError"});
  }

  Task<void> send(HttpExchange& exchange, Reply reply) {
    Env& env = exchange.env();
    if (!reply.etag.empty()) exchange.headers().add("ETag", reply.etag);
    if (!reply.code.empty())
      reply.body = fmt::format("<Error><Code>{}</Code><Message>no</Message></Error>", reply.code);
    if (exchange.request().method == "HEAD") {
      (void)co_await exchange.respond_without_body(reply.status, reply.body.size());
      co_return;
    }
    if (!reply.body.empty() && happens(env, damage_ppm)) reply.body[env.random() % reply.body.size()] ^= 4;
    if (!reply.body.empty() && happens(env, cut_ppm)) {
      exchange.begin_response(reply.status, reply.body.size());
      iovec half{reply.body.data(), reply.body.size() / 2};
      (void)co_await exchange.send_body({&half, 1});
      co_return;
    }
    iovec vector{reply.body.data(), reply.body.size()};
    (void)co_await exchange.respond(reply.status, {&vector, 1});
  }

  static std::string tag_of(std::string_view data) {
    return fmt::format("\"{}\"", s3::hex_encode(s3::md5(s3::as_bytes(data))));
  }

  Reply act(const RequestHead& head, const std::string& body, bool forget) {
    auto auth = s3::parse_auth(head);
    if (!auth || !s3::authenticate(head, *auth, kTestSecret, clock(), keys_))
      return {.status = 403, .code = "SignatureDoesNotMatch"};
    const std::string_view crc =
        head.method == "PUT" && knows_checksums ? head.header("x-amz-checksum-crc32c") : "";
    if (!crc.empty() && crc != s3::Checksum::of(s3::ChecksumKind::crc32c, s3::as_bytes(body)).to_base64())
      return {.status = 400, .code = "BadDigest"};
    const std::string_view hash = head.header("x-amz-content-sha256");
    if (hash != kUnsignedBody && s3::hex_encode(s3::sha256(body)) != hash)
      return {.status = 400, .code = "XAmzContentSHA256Mismatch"};
    bodies_unprotected += !body.empty() && hash == kUnsignedBody && crc.empty();
    const std::string path = s3::decode_path(head.path).value_or("");
    if (path != "/cloud" && !path.starts_with("/cloud/")) return {.status = 404, .code = "NoSuchBucket"};
    const std::string key = path == "/cloud" ? std::string() : path.substr(7);
    const s3::QueryView query(head.query);
    const auto item = [&](std::string_view name) {
      const auto value = query.get(name);
      return value ? s3::decode_query(*value).value_or("") : std::string();
    };
    if (key.empty())
      return query.has("uploads") ? list_uploads() : list(item("prefix"), item("continuation-token"));
    if (query.has("uploads")) {
      if (!knows_checksums && head.has_header("x-amz-checksum-algorithm"))
        return {.status = 400, .code = "InvalidRequest"};
      const std::string id = fmt::format("upload-{}", ++last_upload_);
      uploads[id].key = key;
      return {
          .body = fmt::format(
              "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>", id)};
    }
    if (query.has("uploadId"))
      return act_on_upload(head.method, key, item("uploadId"), item("partNumber"), body, forget);
    if (head.method == "PUT") return put(head, key, body, forget);
    if (head.method == "DELETE") {
      if (key == kept) return {.status = 412, .code = "PreconditionFailed"};
      objects.erase(key);
      return {.status = 204};
    }
    const auto found = objects.find(key);
    if (found == objects.end()) return {.status = 404, .code = "NoSuchKey"};
    return get(head, found->second);
  }

  Reply put(const RequestHead& head, const std::string& key, const std::string& body, bool forget) {
    const std::string source = s3::decode_path(head.header("x-amz-copy-source")).value_or("");
    if (source.empty()) {
      if (!forget) objects[key] = body;
      return {.etag = tag_of(body)};
    }
    const auto found = objects.find(source.substr(7));
    if (found == objects.end()) return {.status = 404, .code = "NoSuchKey"};
    if (!forget) objects[key] = std::string(found->second);
    return {.body = "<CopyObjectResult></CopyObjectResult>"};
  }

  static Reply get(const RequestHead& head, const std::string& data) {
    const std::string_view range = head.header("range");
    if (range.empty()) return {.body = data, .etag = tag_of(data)};
    size_t first = 0;
    size_t last = 0;
    if (std::sscanf(std::string(range).c_str(), "bytes=%zu-%zu", &first, &last) != 2 || last >= data.size())
      return {.status = 416, .code = "InvalidRange"};
    return {.status = 206, .body = data.substr(first, last - first + 1)};
  }

  Reply act_on_upload(std::string_view method, const std::string& key, const std::string& id,
                      const std::string& number, const std::string& body, bool forget) {
    const auto upload = uploads.find(id);
    if (upload == uploads.end() || upload->second.key != key) return {.status = 404, .code = "NoSuchUpload"};
    if (method == "DELETE") {
      uploads.erase(upload);
      return {.status = 204};
    }
    if (method == "PUT") {
      if (!forget) upload->second.parts[std::stoi(number)] = body;
      return {.etag = tag_of(body)};
    }
    std::string whole;
    for (const auto& [part, data] : upload->second.parts) {
      if (body.find(s3::hex_encode(s3::md5(s3::as_bytes(data)))) == std::string::npos)
        return {.status = 400, .code = "InvalidPart"};
      whole += data;
    }
    if (!forget) objects[key] = whole;
    uploads.erase(upload);
    return {.body = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"};
  }

  Reply list(const std::string& prefix, const std::string& after) {
    std::string body = "<ListBucketResult>";
    size_t count = 0;
    std::string last;
    bool more = false;
    for (const auto& [key, data] : objects) {
      if (!key.starts_with(prefix) || key <= after) continue;
      more = count++ == page_max;
      if (more) break;
      body += fmt::format("<Contents><Key>{}</Key></Contents>", key);
      last = key;
    }
    body += fmt::format("<IsTruncated>{}</IsTruncated>", more);
    if (more) body += fmt::format("<NextContinuationToken>{}</NextContinuationToken>", last);
    return {.body = body + "</ListBucketResult>"};
  }

  Reply list_uploads() {
    std::string body = "<ListMultipartUploadsResult>";
    for (const auto& [id, upload] : uploads)
      body += fmt::format("<Upload><Key>{}</Key><UploadId>{}</UploadId></Upload>", upload.key, id);
    return {.body = body + "<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"};
  }

 public:
  std::function<int64_t()> clock;

 private:
  s3::SigningKeyCache keys_;
  int last_upload_ = 0;
};

// Keeps the blobs to be erased until a test erases them.
class FakeDiscards final : public UnnamedBlobs {
 public:
  std::vector<BlobExtent> blobs;
  void discard_blob(BlobId blob, uint32_t block_count) override { blobs.push_back({blob, block_count}); }
};

class FakeBlobs final : public BlobClient {
 public:
  explicit FakeBlobs(Env& env) : env_(env) {}
  std::map<BlobKey, std::string> content;

  BlobId new_blob() override { return {.shard = 1, .incarnation = {5}, .number = ++last_}; }
  Task<Result<void>> put(const CallContext&, const BlobWrite& write) override {
    content[{write.id, write.block}].assign(reinterpret_cast<const char*>(write.buffer.data()), write.length);
    co_return Result<void>();
  }
  Task<Result<BlobData>> get(const CallContext&, BlobKey key, uint32_t offset, uint32_t length) override {
    const auto found = content.find(key);
    if (found == content.end() || offset + length > found->second.size()) co_return BlobError::not_found;
    BlobData data{.buffer = co_await env_.buffers().allocate(length), .length = length};
    std::memcpy(data.buffer.data(), found->second.data() + offset, length);
    co_return data;
  }
  Task<Result<void>> erase(const CallContext&, std::span<const BlobExtent> extents) override {
    for (const BlobExtent& extent : extents) content.erase({extent.id, 0});
    co_return Result<void>();
  }
  Task<Result<BlobPage>> enumerate(const CallContext&, uint16_t, uint64_t) override { co_return BlobPage(); }
  uint16_t shard_count() const override { return 2; }
  Task<Result<BlobSpace>> space(const CallContext&) override { co_return BlobSpace(); }

 private:
  Env& env_;
  uint64_t last_ = 0;
};

// Content from memory, in pieces of the size asked for.
class TextSource final : public CloudSource {
 public:
  explicit TextSource(std::string_view text) : rest_(text) {}
  Task<Result<size_t>> fill(std::span<std::byte> into) override {
    const size_t count = std::min(into.size(), rest_.size());
    std::memcpy(into.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    co_return count;
  }

 private:
  std::string_view rest_;
};

inline std::string make_bytes(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;
  for (char& c : bytes) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    c = static_cast<char>(state >> 56);
  }
  return bytes;
}

// One process that stores content, as the bodies of the tests see it.
struct TierProcess {
  Env& env;
  FakeCloud& cloud;
  FakeDiscards& discards;
  FakeBlobs& blobs;
  TierShared& shared;
  TierCore& core;
  Tier& tier;

  CloudStore& store() { return core.store(); }
  Task<Result<CloudContent>> put(std::string_view data, uint32_t inline_sums_max = 64) {
    TextSource source(data);
    co_return co_await store().store(source, {.inline_sums_max = inline_sums_max});
  }
  Task<Result<std::string>> get(const CloudContent& content, uint64_t offset, uint64_t length) {
    const Locator locator = content.locator();
    auto reader = store().open(locator, offset, length);
    std::string text;
    Result<void> outcome;
    while (text.size() < length) {
      auto data = co_await reader->next();
      if (!data) outcome = data.error();
      if (!data) break;
      text.append(reinterpret_cast<const char*>(data->bytes().data()), data->bytes().size());
    }
    co_await reader->close();
    FB_CO_CHECK(outcome);
    co_return text;
  }
  // Frees them as BlobDiscards does.
  Task<Result<void>> free_discarded() {
    const std::vector<BlobExtent> extents = std::exchange(discards.blobs, {});
    auto erased = co_await tier.blobs().erase({}, extents);
    if (!erased) discards.blobs.insert(discards.blobs.end(), extents.begin(), extents.end());
    co_return erased;
  }
};

class TierWorld : public ::testing::Test {
 protected:
  explicit TierWorld(uint64_t seed = 1) : simulation_(seed) {
    cloud.clock = [this] { return clock_; };
  }

  void start_cloud() {
    cloud_node_.start([this](Env& env) -> Task<void> {
      auto listener = co_await Listener::open(env, cloud_node_.endpoint(9000));
      TIER_CHECK(listener);
      HttpServer server(env, std::move(*listener), cloud);
      Scope serving(env);
      serving.spawn(&run_http, &server);
      clock_ = env.wall_clock().seconds();
      while (!done_) {
        clock_ = env.wall_clock().seconds();
        (void)co_await sleep_for(env, Duration::milliseconds(50));
      }
      server.stop(Duration::seconds(1));
      co_await serving.join();
    });
  }

  // Opens the tier, runs `body`, and closes the tier. If the start is refused, `body` does not run and the
  // message is returned; otherwise it is empty.
  Task<std::string> run_tier(Env& env, const std::function<Task<void>(TierProcess&)>& body) {
    TierConfig config = config_;
    config.options.origin.peer_host = cloud_node_.endpoint(9000).host_text();
    config.options.origin.peer_port = 9000;
    TierShared shared;
    FakeBlobs blobs(env);
    auto core = co_await TierCore::open(env, config, shared, incarnation, discards, blobs);
    if (!core) co_return core.error();
    std::string refusal;
    {
      Tier tier(env, **core, blobs, shared, incarnation);
      auto started = co_await tier.start();
      if (started) {
        TierProcess process{env, cloud, discards, blobs, shared, **core, tier};
        co_await body(process);
        tier.stop();
      } else {
        refusal = started.error();
      }
      co_await tier.close();
    }
    co_await (*core)->close();
    EXPECT_EQ(env.buffers().used_bytes(), 0U);
    co_return refusal;
  }

  // Runs run_tier() in a process, beside a cloud; both run to their ends.
  std::string run(const std::function<Task<void>(TierProcess&)>& body) {
    std::string refusal;
    bool ended = false;
    done_ = false;
    start_cloud();
    node_.start([&](Env& env) -> Task<void> {
      refusal = co_await run_tier(env, body);
      done_ = true;
      ended = true;
    });
    simulation_.run_until([&] { return !node_.running() && !cloud_node_.running(); },
                          Duration::minutes(24 * 60));
    EXPECT_TRUE(ended) << "something waits for ever";
    return refusal;
  }

  static Task<void> run_http(HttpServer* server) { co_await server->run(); }

  sim::Simulation simulation_;
  sim::SimNode& cloud_node_ = simulation_.add_node({.name = "cloud"});
  sim::SimNode& node_ = simulation_.add_node({.name = "server", .buffers = {.limit_bytes = 48 * kMiB}});
  FakeCloud cloud;
  Incarnation incarnation{5};
  FakeDiscards discards;
  TierConfig config_{
      .options = {.origin = {.host = "cloud", .authority = "cloud"},
                  .region = "us-east-1",
                  .bucket = "cloud",
                  .prefix = "p/",
                  .memory_bytes = 32 * kMiB,
                  .store_id = {1, 2, 3},
                  .state_path = "/tier"},
      .credentials = {.access_key = std::string(kTestKey), .secret_key = Secret(std::string(kTestSecret))}};
  bool done_ = false;  // the cloud ends, too

 private:
  int64_t clock_ = 0;
};

}  // namespace fb::tier
