// SPDX-License-Identifier: Apache-2.0
// The simulated world of this folder's tests.
#include "api/api_test_world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/ascii.h"
#include "bss/metadata_store.h"
#include "client/record.h"
#include "s3/auth/signer.h"
#include "s3/auth/sigv2.h"
#include "s3/encoding.h"
#include "s3/request/virtual_host.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::api {
namespace {

constexpr Duration kPatience = Duration::minutes(5);
constexpr size_t kBodySizeMax = 512 * kMiB;
constexpr int64_t kSkew = 16 * 60;

bool is_presigned(Auth auth) {
  return auth == Auth::presigned || auth == Auth::presigned_expired || auth == Auth::presigned_not_yet ||
         auth == Auth::presigned_changed;
}

std::string_view content_sha256(Auth auth, std::string_view hash) {
  switch (auth) {
    case Auth::header_unsigned:
      return "UNSIGNED-PAYLOAD";
    case Auth::streaming_signed:
    case Auth::wrong_chunk_signature:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    case Auth::streaming_signed_trailer:
    case Auth::wrong_trailer_signature:
      return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    case Auth::streaming_unsigned_trailer:
    case Auth::wrong_trailer_checksum:
      return "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    default:
      return hash;
  }
}

std::optional<s3::PayloadKind> streaming_kind(Auth auth) {
  for (const auto kind : {s3::PayloadKind::streaming_signed, s3::PayloadKind::streaming_signed_trailer,
                          s3::PayloadKind::streaming_unsigned_trailer}) {
    if (content_sha256(auth, "") == s3::payload_text(kind)) return kind;
  }
  return std::nullopt;
}

bool has_checksum_header(const Headers& headers) {
  return std::ranges::any_of(headers, [](const auto& field) {
    return field.first.starts_with("x-amz-checksum-crc") || field.first.starts_with("x-amz-checksum-sha");
  });
}

std::vector<HeaderField> views(const Headers& headers) {
  std::vector<HeaderField> out;
  for (const auto& [name, value] : headers) out.push_back({name, value});
  return out;
}

Task<void> run_http(HttpServer* server) { co_await server->run(); }

}  // namespace

std::string random_bytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string md5_hex(std::string_view bytes) { return s3::hex_encode(s3::md5(s3::as_bytes(bytes))); }
std::string base64_md5(std::string_view bytes) { return s3::base64_encode(s3::md5(s3::as_bytes(bytes))); }
std::string checksum_base64(s3::ChecksumKind kind, std::string_view bytes) {
  return s3::Checksum::of(kind, s3::as_bytes(bytes)).to_base64();
}

std::vector<std::string> Reply::elements(const std::string& name) const {
  std::vector<std::string> found;
  const std::string open = "<" + name + ">";
  for (size_t at = body.find(open); at != std::string::npos; at = body.find(open, at)) {
    at += open.size();
    found.push_back(body.substr(at, body.find("</" + name + ">", at) - at));
  }
  return found;
}

std::string Reply::element(const std::string& name) const {
  const auto all = elements(name);
  return all.empty() ? std::string() : all.front();
}

// Signature version 2, see s3/auth/sigv2.h.
TestClient::Prepared TestClient::prepare_v2(const Req& request) {
  const Auth auth = request.auth;
  const bool in_query = auth == Auth::v2_presigned ||
                        (auth >= Auth::v2_presigned_expired && auth <= Auth::v2_presigned_bad_secret);
  const int64_t offset = auth == Auth::v2_skewed_past         ? -kSkew
                         : auth == Auth::v2_skewed_future     ? kSkew
                         : auth == Auth::v2_presigned_expired ? -1000
                         : auth == Auth::v2_presigned_far     ? s3::kPresignedSecondsMax + 2 * kSkew
                                                              : 0;
  const int64_t now = env_.wall_clock().seconds() + clock_offset_seconds + offset;
  const std::string key(auth == Auth::v2_unknown_key ? std::string_view("AKIAUNKNOWN") : access_key);
  const bool wrong = auth == Auth::v2_bad_secret || auth == Auth::v2_presigned_bad_secret;
  Prepared out{.headers = {{"Host", request.host}}, .target = request.path, .body = request.body};
  if (!in_query) out.headers.emplace_back("Date", s3::format_http_date(now));
  out.headers.insert(out.headers.end(), request.headers.begin(), request.headers.end());
  std::string query = request.query;
  if (in_query)
    query +=
        fmt::format("{}AWSAccessKeyId={}&Expires={}&Signature=", query.empty() ? "" : "&", key, now + 60);
  Headers claimed = out.headers;
  if (!in_query) claimed.emplace_back("Authorization", "AWS " + key + ":");
  const std::vector<HeaderField> fields = views(claimed);
  const RequestHead head{.method = request.method,
                         .target = out.target,
                         .path = request.path,
                         .query = query,
                         .headers = fields};
  const auto claims = s3::parse_auth(head);
  FB_ASSERT(claims.has_value(), query);
  // An operation that version 2 does not cover cannot be signed; any signature will do then.
  const auto text = s3::string_to_sign_v2(head, *claims, s3::bucket_of_host(request.host, domains));
  const std::string signature = s3::signature_v2(wrong ? "another secret" : secret,
                                                 text ? std::string_view(*text) : std::string_view());
  if (in_query) {
    query += s3::uri_encode(signature, s3::Slash::encode);
    if (auth == Auth::v2_presigned_changed) query += "&response-expires=1";
  } else {
    out.headers.emplace_back("Authorization", "AWS " + key + ":" + signature);
  }
  if (auth == Auth::v2_unsigned_header) out.headers.emplace_back("x-amz-meta-smuggled", "1");
  if (!query.empty()) out.target += "?" + query;
  return out;
}

TestClient::Prepared TestClient::prepare(const Req& request) {
  if (is_v2(request.auth)) return prepare_v2(request);
  const int64_t offset = request.auth == Auth::skewed_past         ? -kSkew
                         : request.auth == Auth::skewed_future     ? kSkew
                         : request.auth == Auth::presigned_expired ? -1000
                         : request.auth == Auth::presigned_not_yet ? 2 * kSkew
                                                                   : 0;
  const int64_t now = env_.wall_clock().seconds() + clock_offset_seconds + offset;
  const std::string hash =
      s3::hex_encode(s3::sha256(request.auth == Auth::wrong_hash ? request.body + "x" : request.body));
  const auto streaming = streaming_kind(request.auth);
  const bool with_trailer = streaming && *streaming != s3::PayloadKind::streaming_signed;
  const bool adds_trailer = with_trailer && !has_checksum_header(request.headers);

  Prepared out;
  out.headers.emplace_back("Host", request.host);
  if (!is_presigned(request.auth) && request.auth != Auth::none) {
    out.headers.emplace_back("x-amz-date", s3::format_amz_date(now));
    out.headers.emplace_back("x-amz-content-sha256", std::string(content_sha256(request.auth, hash)));
  }
  if (streaming) {
    out.headers.emplace_back("Content-Encoding", "aws-chunked");
    if (request.with_length)
      out.headers.emplace_back("x-amz-decoded-content-length", std::to_string(request.body.size()));
    if (adds_trailer) out.headers.emplace_back("x-amz-trailer", "x-amz-checksum-crc32");
  }
  out.headers.insert(out.headers.end(), request.headers.begin(), request.headers.end());

  out.target = request.query.empty() ? request.path : request.path + "?" + request.query;
  const std::vector<HeaderField> fields = views(out.headers);
  const RequestHead head{.method = request.method,
                         .target = out.target,
                         .path = request.path,
                         .query = request.query,
                         .headers = fields};
  const s3::SigningIdentity identity{
      .access_key = request.auth == Auth::unknown_key ? std::string_view("AKIAUNKNOWN") : access_key,
      .secret = request.auth == Auth::bad_secret ? std::string_view("another secret") : secret};
  std::string signature(64, '0');
  if (is_presigned(request.auth)) {
    const auto presigned = s3::presign(head, identity, {.time_seconds = now, .expires_seconds = 600});
    FB_ASSERT(presigned.has_value(), out.target);
    out.target = *presigned;
    if (request.auth == Auth::presigned_changed) out.target += "&response-expires=1";
  } else if (request.auth != Auth::none) {
    auto authorization = s3::sign_request(head, identity);
    FB_ASSERT(authorization.has_value(), out.target);
    signature = authorization->substr(authorization->size() - 64);
    if (request.auth == Auth::bad_signature) authorization->back() = authorization->back() == '0' ? '1' : '0';
    out.headers.emplace_back("Authorization", *authorization);
  }
  if (request.auth == Auth::unsigned_header) out.headers.emplace_back("x-amz-meta-smuggled", "1");

  if (!streaming) {
    out.body = request.body;
    return out;
  }
  const s3::SigningKey key(identity.secret, s3::format_amz_date(now).substr(0, 8), identity.region);
  const std::string scope = s3::format_amz_date(now).substr(0, 8) + "/us-east-1/s3/aws4_request";
  const s3::SignatureChain chain(key, now, scope, signature);
  s3::ChunkedEncoder encoder(*streaming, &chain);
  for (size_t at = 0; at < request.body.size(); at += request.chunk_bytes)
    encoder.append_chunk(s3::as_bytes(std::string_view(request.body).substr(at, request.chunk_bytes)),
                         out.body);
  const std::string checksum = checksum_base64(
      s3::ChecksumKind::crc32, request.auth == Auth::wrong_trailer_checksum ? "another" : request.body);
  const s3::ChunkedEncoder::Trailer trailer{"x-amz-checksum-crc32", checksum};
  encoder.append_end(adds_trailer ? std::span(&trailer, 1) : std::span<const s3::ChunkedEncoder::Trailer>(),
                     out.body);
  const std::string_view broken = request.auth == Auth::wrong_chunk_signature     ? "chunk-signature="
                                  : request.auth == Auth::wrong_trailer_signature ? "x-amz-trailer-signature:"
                                                                                  : "";
  if (!broken.empty()) {
    char& digit = out.body[out.body.rfind(broken) + broken.size()];
    digit = digit == '0' ? '1' : '0';
  }
  return out;
}

std::string TestClient::serialize(const Req& request, bool with_body) {
  const Prepared prepared = prepare(request);
  std::string text = fmt::format("{} {} HTTP/1.1\r\n", request.method, prepared.target);
  for (const auto& [name, value] : prepared.headers) text += fmt::format("{}: {}\r\n", name, value);
  if (request.with_length) text += fmt::format("Content-Length: {}\r\n", prepared.body.size());
  return text + "\r\n" + (with_body ? prepared.body : std::string());
}

Task<bool> TestClient::connect() {
  if (socket_) co_return true;
  auto connected = co_await Socket::connect(env_, endpoint_);
  if (!connected) co_return false;
  socket_ = std::make_unique<Socket>(std::move(*connected));
  stream_ = std::make_unique<CutStream>(*socket_);
  client_ = std::make_unique<HttpClient>(*stream_);
  co_return true;
}

Task<void> TestClient::close() {
  client_.reset();
  if (socket_) (void)co_await stream_->close();
  stream_.reset();
  socket_.reset();
}

Task<bool> TestClient::send(const Req& request, size_t held_back) {
  if (!co_await connect()) co_return false;
  const Prepared prepared = prepare(request);
  const std::vector<HeaderField> fields = views(prepared.headers);
  HttpClientRequest head{.method = request.method, .target = prepared.target, .headers = fields};
  const IoLimits limits{.deadline = env_.now() + kPatience};
  const bool sends_length = !prepared.body.empty() || request.method == "PUT" || request.method == "POST";
  head.chunked = request.http_chunked;
  if (!head.chunked && request.with_length && sends_length) head.content_length = prepared.body.size();
  // The server may answer and close before it has read everything.
  if (!co_await client_->send_head(head, limits)) co_return false;
  const std::string_view now = std::string_view(prepared.body).substr(0, prepared.body.size() - held_back);
  rest_ = prepared.body.substr(now.size());
  chunked_ = head.chunked;
  const size_t piece = request.piece_bytes == 0 ? std::max<size_t>(now.size(), 1) : request.piece_bytes;
  for (size_t at = 0; at < now.size(); at += piece) {
    const std::string_view part = now.substr(at, piece);
    iovec vector{const_cast<char*>(part.data()), part.size()};
    if (!co_await client_->send_body({&vector, 1}, limits)) co_return false;
    if (request.piece_bytes != 0) (void)co_await sleep_for(env_, Duration::microseconds(200));
  }
  co_return true;
}

Task<Reply> TestClient::receive() {
  Reply reply;
  const IoLimits limits{.deadline = env_.now() + kPatience};
  const auto head = co_await client_->receive_head(limits);
  if (head) {
    reply.status = (*head)->status;
    for (const HeaderField& field : (*head)->headers) {
      std::string name(field.name);
      for (char& c : name) c = ascii_lower(c);
      EXPECT_FALSE(reply.headers.contains(name)) << "twice: " << name;
      reply.headers[name] = field.value;
    }
    auto body = co_await client_->read_body_text(kBodySizeMax, limits);
    reply.whole = body.has_value();
    if (body) reply.body = std::move(*body);
  }
  if (!head || !reply.whole || !client_->reusable()) co_await close();
  co_return reply;
}

Task<Reply> TestClient::call(const Req& request) {
  (void)co_await send(request, 0);
  co_return co_await end();
}

Task<void> TestClient::begin(const Req& request, size_t held_back) {
  if (co_await send(request, held_back)) (void)co_await stream_->flush({});
}

Task<Reply> TestClient::end() {
  if (!socket_) co_return Reply();
  const IoLimits limits{.deadline = env_.now() + kPatience};
  if (!rest_.empty()) {
    iovec vector{rest_.data(), rest_.size()};
    (void)co_await client_->send_body({&vector, 1}, limits);
    rest_.clear();
  }
  if (chunked_) (void)co_await client_->end_body(limits);
  co_return co_await receive();
}

Task<std::string> TestClient::raw(std::string text, Duration quiet) {
  std::string answer;
  if (!co_await connect()) co_return answer;
  iovec vector{text.data(), text.size()};
  (void)co_await stream_->send_all({&vector, 1}, {.deadline = env_.now() + kPatience});
  for (;;) {
    std::array<std::byte, 4096> piece;
    const auto count = co_await stream_->receive(piece, {.deadline = env_.now() + quiet});
    if (!count || *count == 0) break;
    answer.append(reinterpret_cast<const char*>(piece.data()), *count);
  }
  co_await close();
  co_return answer;
}

Task<Reply> TestServer::call(std::string method, std::string path, std::string query, std::string body,
                             Headers headers) {
  const Req request{.method = std::move(method),
                    .path = std::move(path),
                    .query = std::move(query),
                    .headers = std::move(headers),
                    .body = std::move(body)};
  co_return co_await client.call(request);
}

Task<void> TestServer::make_bucket(std::string name) {
  const Reply made = co_await call("PUT", "/" + name);
  EXPECT_EQ(made.status, 200) << made.body;
}

Task<std::string> TestServer::get(std::string path, std::string query) {
  const Reply reply = co_await call("GET", std::move(path), std::move(query));
  EXPECT_TRUE(reply.status == 200 || reply.status == 206) << reply.status << reply.body;
  co_return reply.body;
}

namespace {

void count_blocks(void* total, const BlobId&, uint32_t block_count) {
  *static_cast<uint64_t*>(total) += block_count;
}

Task<uint64_t> named_blocks(TestServer& server) {
  uint64_t total = 0;
  const auto buckets = co_await server.roots.list_buckets({});
  for (const BucketInfo& bucket : *buckets) {
    for (const Space space : {Space::objects, Space::uploads, Space::parts, Space::tokens}) {
      const auto page = co_await server.names.list(
          {}, {.bucket = bucket.id, .space = space, .entries_max = kListEntriesMax});
      EXPECT_FALSE(page->truncated);
      for (const ListEntry& entry : page->entries)
        EXPECT_TRUE(for_each_blob(entry.record, &count_blocks, &total).has_value());
    }
  }
  co_return total;
}

}  // namespace

Task<void> TestServer::check_blobs() {
  uint64_t named = 0;
  for (int i = 0; i < 40; ++i) {
    (void)co_await sleep_for(env, Duration::milliseconds(500));
    named = co_await named_blocks(*this);
    if (engine.statistics().ledger_blobs == 0 && named == blobs.blob_count()) break;
  }
  EXPECT_EQ(named, blobs.blob_count()) << "stored and not named, or named and not stored";
  const auto report = co_await engine.verify();
  CO_CHECK(report);
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
}

Task<std::string> TestServer::state() {
  std::string text;
  const auto buckets = co_await roots.list_buckets({});
  for (const BucketInfo& bucket : *buckets) {
    text += bucket.name + "\n";
    for (const Space space : {Space::objects, Space::uploads, Space::parts, Space::tokens}) {
      const auto page =
          co_await names.list({}, {.bucket = bucket.id, .space = space, .entries_max = kListEntriesMax});
      for (const ListEntry& entry : page->entries)
        text += fmt::format("  {} {} {} {}\n", entry.key, entry.version.value, md5_hex(entry.record),
                            static_cast<int>(space));
    }
  }
  co_return text;
}

void run_world(const std::function<Task<void>(TestServer&)>& body, const WorldOptions& options) {
  sim::Simulation simulation(options.seed);
  sim::SimNode& node = simulation.add_node({.name = "server",
                                            .disk = {.capacity_bytes = options.disk_bytes},
                                            .buffers = {.limit_bytes = options.buffer_bytes}});
  bool ended = false;
  node.start([&](Env& env) -> Task<void> {
    auto metadata = co_await bss::MetadataStore::open(env, {.directory = "/ns",
                                                            .store_id = {1, 2, 3},
                                                            .page_growth_bytes = 1 * kMiB,
                                                            .page_log_bytes = 256 * kKiB});
    CO_CHECK(metadata);
    auto engine = co_await Partition::open(
        env, {.memory_bytes = 8 * kMiB, .free_delay = Duration::milliseconds(10)}, (*metadata)->clients());
    CO_CHECK(engine);
    auto names = co_await PartitionFront::open(env, **engine);
    auto store = co_await bss::BlobStore::open(env, {.directory = "/blobs",
                                                     .incarnation = (*engine)->incarnation(),
                                                     .shard_count = 4,
                                                     .cache_bytes = options.cache_bytes});
    CO_CHECK(store);
    auto blobs = std::make_unique<bss::BlobFront>(env, **store);
    CO_CHECK(co_await blobs->open());
    names->use_blobs(*blobs);
    (*engine)->start_background(*blobs);
    EmbeddedRegistryGroup group(1);
    KeyInfo key{.access_key = std::string(kAccessKey),
                .secret = Secret(std::string(kSecretKey)),
                .owner = kOwner,
                .owner_display_name = "tester"};
    auto roots = co_await EmbeddedRegistry::open(
        env, group, *names, [&](const CallContext& context) { return names->trees(context); }, {key});
    CO_CHECK(roots);
    BlobDiscards discards(env, [&](const CallContext& context, std::span<const BlobExtent> extents) {
      return blobs->erase(context, extents);
    });
    ApiServer api({env, *names, *blobs, discards}, **roots, options.api);
    auto listener = co_await Listener::open(env, node.endpoint(8080));
    CO_CHECK(listener);
    HttpServer http(env, std::move(*listener), api);
    Scope serving(env);
    serving.spawn(&run_http, &http);

    TestServer server{.env = env,
                      .endpoint = node.endpoint(8080),
                      .engine = **engine,
                      .names = *names,
                      .blobs = *blobs,
                      .discards = discards,
                      .roots = **roots,
                      .api = api,
                      .http = http,
                      .client = TestClient(env, node.endpoint(8080))};
    co_await body(server);
    co_await server.client.close();

    http.stop(Duration::seconds(10));
    co_await serving.join();
    EXPECT_EQ(env.buffers().used_bytes(), 0U) << "request buffers are still held";
    co_await (*roots)->close();
    co_await names->close();
    EXPECT_EQ(co_await discards.close(env.now() + Duration::seconds(10)), 0U);
    EXPECT_TRUE((co_await (*engine)->close()).has_value());
    EXPECT_TRUE((co_await (*metadata)->close()).has_value());
    EXPECT_TRUE((co_await blobs->close()).has_value());
    ended = true;
  });
  simulation.run_until([&] { return !node.running(); }, Duration::minutes(3 * 24 * 60));
  if (ended) return;
  std::string log;
  for (const std::string& line : simulation.log()) log += line + "\n";
  ADD_FAILURE() << "the test did not end: something waits for ever\n" << log;
}

}  // namespace fb::api
