// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/api_server.h"
#include "bss/blob/store.h"
#include "client/blob_discards.h"
#include "http/cut_stream.h"
#include "http/http_client.h"
#include "http/http_server.h"
#include "io/scope.h"
#include "io/sim/simulation.h"
#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "s3/auth/sigv4.h"
#include "s3/checksum/checksum.h"
#include "s3/request/chunked_encoder.h"

// For the tests of this folder: the real server (HTTP, API, namespace, blobs, registry) on one core of a
// simulated machine, and a client that signs and sends requests in every way there is.

namespace fb::api {

#define CO_CHECK(condition)                 \
  if (!(condition)) {                       \
    ADD_FAILURE() << "failed: " #condition; \
    co_return;                              \
  }

inline constexpr std::string_view kAccessKey = "AKIATESTTESTTESTTEST";
inline constexpr std::string_view kSecretKey = "a-secret-of-forty-characters-for-testing";
inline const std::string kOwner(64, 'a');

// How a request is signed, and what is wrong with it.
enum class Auth : uint8_t {
  header_hash,
  header_unsigned,
  presigned,
  streaming_signed,
  streaming_signed_trailer,
  streaming_unsigned_trailer,
  v2_header,
  v2_presigned,
  // Refused:
  none,
  bad_signature,
  bad_secret,
  unknown_key,
  skewed_past,
  skewed_future,
  presigned_expired,
  presigned_not_yet,
  presigned_changed,
  wrong_hash,
  wrong_chunk_signature,
  wrong_trailer_signature,
  wrong_trailer_checksum,
  unsigned_header,
  v2_bad_secret,
  v2_unknown_key,
  v2_skewed_past,
  v2_skewed_future,
  v2_presigned_expired,
  v2_presigned_far,
  v2_presigned_changed,
  v2_presigned_bad_secret,
  v2_unsigned_header,
};
constexpr bool is_v2(Auth auth) {
  return auth == Auth::v2_header || auth == Auth::v2_presigned || auth >= Auth::v2_bad_secret;
}
inline constexpr Auth kAccepted[] = {Auth::header_hash,
                                     Auth::header_unsigned,
                                     Auth::presigned,
                                     Auth::streaming_signed,
                                     Auth::streaming_signed_trailer,
                                     Auth::streaming_unsigned_trailer,
                                     Auth::v2_header,
                                     Auth::v2_presigned};
// Refused by the head alone, whatever the operation.
inline constexpr Auth kRefused[] = {Auth::none,
                                    Auth::bad_signature,
                                    Auth::bad_secret,
                                    Auth::unknown_key,
                                    Auth::skewed_past,
                                    Auth::skewed_future,
                                    Auth::presigned_expired,
                                    Auth::presigned_not_yet,
                                    Auth::presigned_changed,
                                    Auth::unsigned_header,
                                    Auth::v2_bad_secret,
                                    Auth::v2_unknown_key,
                                    Auth::v2_skewed_past,
                                    Auth::v2_skewed_future,
                                    Auth::v2_presigned_expired,
                                    Auth::v2_presigned_far,
                                    Auth::v2_presigned_changed,
                                    Auth::v2_presigned_bad_secret,
                                    Auth::v2_unsigned_header};
// Refused once the body has been read: for operations that have one.
inline constexpr Auth kRefusedBody[] = {Auth::wrong_hash, Auth::wrong_chunk_signature,
                                        Auth::wrong_trailer_signature, Auth::wrong_trailer_checksum};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Req {
  std::string method = "GET";
  std::string path = "/";  // percent-encoded
  std::string query{};     // percent-encoded
  Headers headers{};
  std::string body{};
  Auth auth = Auth::header_hash;
  size_t chunk_bytes = 10'000;  // of aws-chunked
  size_t piece_bytes = 0;       // sent in pieces of this size, a little apart; 0: all at once
  bool http_chunked = false;    // Transfer-Encoding: chunked
  bool with_length = true;      // Content-Length, and x-amz-decoded-content-length
  std::string host = "s3.test";
};

struct Reply {
  int status = 0;  // 0: none came
  std::map<std::string, std::string> headers;
  std::string body;
  bool whole = false;  // the body came to its end

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
  bool has(const std::string& name) const { return headers.contains(name); }
  // The text of the first element of that name in an XML body.
  std::string element(const std::string& name) const;
  std::vector<std::string> elements(const std::string& name) const;
  std::string code() const { return element("Code"); }
};

// One connection, made anew where the server has closed it.
class TestClient {
 public:
  TestClient(Env& env, const Endpoint& endpoint) : env_(env), endpoint_(endpoint) {}
  ~TestClient() { FB_ASSERT(!socket_ || env_.abandoned()); }

  Task<Reply> call(const Req& request);
  // Sends the head and all of the body but its last `held_back` bytes.
  Task<void> begin(const Req& request, size_t held_back);
  Task<Reply> end();
  Task<void> close();

  // Plain text there and what comes back until the server closes or `quiet` passes without a byte.
  Task<std::string> raw(std::string text, Duration quiet = Duration::seconds(2));
  // Request and headers as they would be sent.
  std::string serialize(const Req& request, bool with_body = true);
  Task<bool> connect();
  Socket& socket() { return *socket_; }
  HttpClient& http() { return *client_; }

  int64_t clock_offset_seconds = 0;
  std::string access_key{kAccessKey};
  std::string secret{kSecretKey};
  std::vector<std::string> domains;  // of the server: version 2 signs the bucket that a host names

 private:
  struct Prepared {
    Headers headers;
    std::string target;
    std::string body;
  };
  Prepared prepare(const Req& request);
  Prepared prepare_v2(const Req& request);
  Task<bool> send(const Req& request, size_t held_back);
  Task<Reply> receive();

  Env& env_;
  Endpoint endpoint_;
  std::unique_ptr<Socket> socket_;
  std::unique_ptr<CutStream> stream_;
  std::unique_ptr<HttpClient> client_;
  std::string rest_;
  bool chunked_ = false;
};

// The running server, as a test's body sees it.
struct TestServer {
  Env& env;
  Endpoint endpoint;
  Partition& engine;
  PartitionFront& names;
  bss::BlobFront& blobs;
  BlobDiscards& discards;
  EmbeddedRegistry& roots;
  ApiServer& api;
  HttpServer& http;
  TestClient client;

  Task<Reply> call(const Req& request) { return client.call(request); }
  Task<Reply> call(std::string method, std::string path, std::string query = {}, std::string body = {},
                   Headers headers = {});
  Task<void> make_bucket(std::string name = "bucket");
  // Waits until garbage is freed, then compares: every blob that is stored is named by a record, and every
  // one named is stored.
  Task<void> check_blobs();
  // All keys with ETag, size and metadata of all buckets, all uploads and parts: what a refused request must
  // not change.
  Task<std::string> state();
  Task<std::string> get(std::string path, std::string query = {});
};

struct WorldOptions {
  uint64_t seed = 1;
  size_t buffer_bytes = 64 * kMiB;
  uint64_t disk_bytes = 2 * kGiB;
  size_t cache_bytes = 1 * kMiB;
  ApiOptions api{};
};

// Starts a server, runs `body`, closes the client, stops the server, and expects that this all ends.
void run_world(const std::function<Task<void>(TestServer&)>& body, const WorldOptions& options = {});

std::string random_bytes(size_t size, uint64_t seed = 1);
std::string md5_hex(std::string_view bytes);
std::string base64_md5(std::string_view bytes);
std::string checksum_base64(s3::ChecksumKind kind, std::string_view bytes);

}  // namespace fb::api
