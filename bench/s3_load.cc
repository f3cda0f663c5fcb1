// SPDX-License-Identifier: Apache-2.0
// A load generator for S3 endpoints: closed loop, or open loop at a rate (--rate), where a request that had
// to wait for a connection counts from when it was due. Every request is signed: all heads are made before
// the clock starts, so that on one core the generator costs little more than its system calls (`raw` asks for
// one path unsigned, for peers that are no S3 servers and for the generator's own ceiling). Prints one JSON
// line.
//
//   fb_s3_load put --port 8080 --bucket bench --objects 10000 --once
//   fb_s3_load get --port 8080 --bucket bench --objects 10000 --connections 64 --seconds 8
//
// Object i is dir-III/object-IIIIIIII.bin; its first 8 bytes are i, which gets verify. Latencies are of the
// loop's clock, which is read once a turn. Any status that is not the expected one is an error, and a run
// with errors is no result. Credentials: FRACTALBITS_ACCESS_KEY and FRACTALBITS_SECRET_KEY.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/chunked_body.h"
#include "http/http_parser.h"
#include "http/tls_stream.h"
#include "io/runtime.h"
#include "io/scope.h"
#include "io/stream.h"
#include "s3/auth/signer.h"
#include "s3/checksum/hash.h"
#include "s3/encoding.h"
#include "s3/time.h"

namespace fb {
namespace {

constexpr size_t kInputBytes = 256 * kKiB;
constexpr size_t kIndexBytes = 8;
constexpr size_t kLatenciesReserved = 4'000'000;
constexpr size_t kListVariants = 1000;
constexpr size_t kListKeys = 1000;
constexpr Duration kAnswerTimeout = Duration::seconds(30);
constexpr int64_t kPresignedSeconds = 86400;

enum class Operation : uint8_t { get, head, put, erase, list, raw };
constexpr std::array kOperationNames = {"get", "head", "put", "delete", "list", "raw"};
constexpr std::array kMethods = {"GET", "HEAD", "PUT", "DELETE", "GET", "GET"};
constexpr std::array kStatus = {200, 200, 200, 204, 200, 200};

struct Options {
  std::string operation;
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  std::string bucket = "bench";
  std::string path = "/";
  std::string authorities;  // PEM file: TLS
  size_t size = 4096;
  size_t objects = 10000;
  unsigned connections = 64;
  unsigned idle = 0;
  unsigned seconds = 8;
  double rate = 0;
  bool once = false;
  bool in_headers = false;  // sign in the Authorization header instead of the URL
  bool hash = false;        // puts: x-amz-content-sha256 of the payload
  bool random = false;      // objects in random order
};

// What the mix of operations draws from: "get=70,put=25,list=5", or one name.
struct Share {
  Operation operation;
  unsigned weight;
};

std::optional<std::vector<Share>> parse_mix(std::string_view text) {
  std::vector<Share> mix;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const size_t equals = item.find('=');
    const auto* name = std::ranges::find(kOperationNames, item.substr(0, equals));
    if (name == kOperationNames.end()) return std::nullopt;
    const unsigned weight =
        equals == std::string_view::npos
            ? 1
            : static_cast<unsigned>(std::atoi(std::string(item.substr(equals + 1)).c_str()));
    if (weight == 0) return std::nullopt;
    mix.push_back({static_cast<Operation>(name - kOperationNames.begin()), weight});
  }
  if (mix.empty()) return std::nullopt;
  return mix;
}

// Heads as they go over the wire, of one operation, one for each object.
class Heads {
 public:
  std::string_view at(size_t index) const {
    return std::string_view(text_).substr(ends_[index], ends_[index + 1] - ends_[index]);
  }
  size_t count() const { return ends_.size() - 1; }
  void add(std::string_view head) {
    text_ += head;
    ends_.push_back(text_.size());
  }

 private:
  std::string text_;
  std::vector<size_t> ends_ = {0};
};

class Load {
 public:
  Load(Env& env, const Options& options, std::vector<Share> mix)
      : env_(env), options_(options), mix_(std::move(mix)), payload_(options.size, std::byte{0}) {
    for (std::byte& byte : payload_) byte = static_cast<std::byte>(env.random());
    for (const Share& share : mix_) total_weight_ += share.weight;
  }

  void prepare() {
    for (const Share& share : mix_) {
      Heads& heads = heads_[static_cast<size_t>(share.operation)];
      if (share.operation == Operation::raw) {
        heads.add(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", options_.path, authority()));
        continue;
      }
      const size_t count = share.operation == Operation::list ? kListVariants : options_.objects;
      for (size_t i = 0; i < count; ++i) heads.add(signed_head(share.operation, i));
    }
  }

  Task<void> run() {
    if (!options_.authorities.empty()) {
      std::string message;
      if (!co_await tls_.load_client(env_, options_.authorities, message)) co_return fail(message);
    }
    Scope scope(env_);
    Scope idle(env_);
    CancelSource stop_idle;
    for (unsigned i = 0; i < options_.idle; ++i) {
      idle.spawn(&Load::stay_idle, std::ref(*this), &stop_idle);
      while (idle_connected_ + failed_ < i + 1) (void)co_await sleep_for(env_, Duration::microseconds(50));
    }
    // Before the clock starts: what it takes to connect is nobody's latency.
    for (unsigned i = 0; i < options_.connections; ++i) scope.spawn(&Load::open_connection, std::ref(*this));
    co_await scope.join();
    latencies_us_.reserve(kLatenciesReserved);
    started_ = env_.now();
    cpu_us_before_ = cpu_us();
    ends_ = options_.once ? Instant::never() : started_ + Duration::seconds(options_.seconds);
    for (const auto& connection : connections_)
      scope.spawn(&Load::run_connection, std::ref(*this), std::ref(*connection));
    co_await scope.join();
    finished_ = env_.now();
    stop_idle.cancel();
    co_await idle.join();
  }

  bool report() {
    std::ranges::sort(latencies_us_);
    const auto percentile = [&](double share) {
      return latencies_us_.empty()
                 ? 0
                 : latencies_us_[std::min(
                       latencies_us_.size() - 1,
                       static_cast<size_t>(static_cast<double>(latencies_us_.size()) * share))];
    };
    const double seconds = static_cast<double>((finished_ - started_).ns) / 1e9;
    const auto requests = static_cast<double>(latencies_us_.size());
    fmt::print(
        "{{\"op\": \"{}\", \"requests\": {}, \"rps\": {:.1f}, \"mib_per_s\": {:.1f}, \"p50_us\": {}, "
        "\"p99_us\": {}, \"p999_us\": {}, \"max_us\": {}, \"errors\": {}, \"cpu_us_per_request\": {:.2f}}}\n",
        options_.operation, latencies_us_.size(), requests / seconds,
        static_cast<double>(body_bytes_) / seconds / static_cast<double>(kMiB), percentile(0.5),
        percentile(0.99), percentile(0.999), latencies_us_.empty() ? 0 : latencies_us_.back(), failed_,
        (cpu_us() - cpu_us_before_) / std::max(requests, 1.0));
    if (!first_error_.empty()) fmt::print(stderr, "first error: {}\n", first_error_);
    return failed_ == 0;
  }

 private:
  struct Request {
    Operation operation = Operation::get;
    size_t index = 0;
    std::string_view head;
    Instant due;
  };

  // User and system time of this process.
  static double cpu_us() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto us = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
    };
    return us(usage.ru_utime) + us(usage.ru_stime);
  }

  std::string authority() const { return fmt::format("{}:{}", options_.host, options_.port); }

  std::string target_of(Operation operation, size_t index) const {
    if (operation == Operation::list) {
      const size_t first = env_random_below(options_.objects) / kListKeys * kListKeys;
      return fmt::format("/{}?list-type=2&max-keys={}&start-after={}", options_.bucket, kListKeys,
                         s3_key(first));
    }
    return fmt::format("/{}/{}", options_.bucket, s3_key(index));
  }
  // Of 10 million objects a directory has 100,000.
  static std::string s3_key(size_t index) {
    return fmt::format("dir-{:03}/object-{:08}.bin", index % 100, index);
  }
  size_t env_random_below(size_t bound) const { return static_cast<size_t>(env_.random() % bound); }

  std::string signed_head(Operation operation, size_t index) {
    const std::string_view method = kMethods[static_cast<size_t>(operation)];
    const std::string target = target_of(operation, index);
    const std::string host = authority();
    const int64_t now = env_.wall_clock().seconds();
    const std::string date = s3::format_amz_date(now);
    std::vector<HeaderField> fields = {{"Host", host}};
    std::string hash = "UNSIGNED-PAYLOAD";
    if (operation == Operation::put && options_.hash) {
      std::memcpy(payload_.data(), &index, kIndexBytes);
      hash = s3::hex_encode(s3::sha256({reinterpret_cast<const uint8_t*>(payload_.data()), payload_.size()}));
    }
    const bool in_headers = options_.in_headers || (operation == Operation::put && options_.hash);
    if (in_headers) {
      fields.push_back({"x-amz-date", date});
      fields.push_back({"x-amz-content-sha256", hash});
    }
    RequestHead head{.method = method, .target = target, .headers = fields};
    head.path = std::string_view(target).substr(0, target.find('?'));
    head.query = std::string_view(target).substr(std::min(head.path.size() + 1, target.size()));
    const char* access_key = std::getenv("FRACTALBITS_ACCESS_KEY");
    const char* secret = std::getenv("FRACTALBITS_SECRET_KEY");
    const s3::SigningIdentity identity{.access_key = access_key, .secret = secret};
    std::string text;
    if (in_headers) {
      text = fmt::format("{} {} HTTP/1.1\r\nAuthorization: {}\r\n", method, target,
                         s3::sign_request(head, identity).value());
    } else {
      const s3::PresignOptions presigned{.time_seconds = now, .expires_seconds = kPresignedSeconds};
      text = fmt::format("{} {} HTTP/1.1\r\n", method, s3::presign(head, identity, presigned).value());
    }
    for (const HeaderField& field : fields) text += fmt::format("{}: {}\r\n", field.name, field.value);
    if (operation == Operation::put) text += fmt::format("Content-Length: {}\r\n", options_.size);
    return text + "\r\n";
  }

  // The next one, or nothing where the run is over.
  bool next(Request& request) {
    if (options_.once ? issued_ == options_.objects : env_.now() >= ends_) return false;
    unsigned ticket = mix_.size() == 1 ? 0 : static_cast<unsigned>(env_.random() % total_weight_);
    size_t share = 0;
    while (share + 1 < mix_.size() && ticket >= mix_[share].weight) ticket -= mix_[share++].weight;
    request.operation = mix_[share].operation;
    const Heads& heads = heads_[static_cast<size_t>(request.operation)];
    const bool random = options_.random || mix_.size() > 1;
    request.index = random ? env_random_below(heads.count()) : issued_ % heads.count();
    request.head = heads.at(request.index);
    request.due = options_.rate == 0 ? env_.now()
                                     : started_ + Duration::nanoseconds(static_cast<int64_t>(
                                                      static_cast<double>(issued_) * 1e9 / options_.rate));
    ++issued_;
    return true;
  }

  void fail(std::string_view what) {
    ++failed_;
    if (first_error_.empty()) first_error_ = what;
  }

  // A connection of either kind; `socket` receives and sends without a coroutine between.
  struct Connection {
    explicit Connection(Socket opened) : socket(std::move(opened)) {}
    Socket socket;
    std::optional<TlsStream> tls;
    std::vector<std::byte> input = std::vector<std::byte>(kInputBytes);
    std::array<HeaderField, kHeaderCountMax> fields;
    HttpLimits limits;
    ResponseParser parser{fields, limits};
    size_t filled = 0;
  };

  Task<std::unique_ptr<Connection>> connect() {
    const auto address = Endpoint::parse(authority());
    if (!address) {
      fail("bad address");
      co_return nullptr;
    }
    auto socket = co_await Socket::connect(env_, *address, {.deadline = env_.now() + kAnswerTimeout});
    if (!socket) {
      fail(socket.error().to_string());
      co_return nullptr;
    }
    auto connection = std::make_unique<Connection>(std::move(*socket));
    if (!options_.authorities.empty()) {
      connection->tls.emplace(connection->socket, tls_, TlsStream::Role::client, options_.host);
      const auto shaken = co_await connection->tls->handshake({.deadline = env_.now() + kAnswerTimeout});
      if (!shaken) {
        fail(connection->tls->failure());
        (void)co_await connection->socket.close();
        co_return nullptr;
      }
    }
    co_return connection;
  }

  static Task<void> stay_idle(Load& self, CancelToken stop) {
    const std::unique_ptr<Connection> connection = co_await self.connect();
    if (connection == nullptr) co_return;
    ++self.idle_connected_;
    (void)co_await sleep_until(self.env_, Instant::never(), stop);
    (void)co_await connection->socket.close();
  }

  static Task<void> open_connection(Load& self) {
    if (auto connection = co_await self.connect()) self.connections_.push_back(std::move(connection));
  }

  static Task<void> run_connection(Load& self, Connection& connection) {
    Request request;
    while (self.next(request)) {
      if (request.due > self.env_.now()) (void)co_await sleep_until(self.env_, request.due);
      const Result<void> done = co_await self.exchange(connection, request);
      if (!done) {
        self.fail(done.error().to_string());
        break;
      }
      self.latencies_us_.push_back(static_cast<uint32_t>((self.env_.now() - request.due).microseconds()));
    }
    (void)co_await connection.socket.close();
  }

  Task<Result<void>> exchange(Connection& connection, const Request& request) {
    const IoLimits limits{.deadline = env_.now() + kAnswerTimeout};
    uint64_t index = request.index;
    std::array<iovec, 3> vectors{{{const_cast<char*>(request.head.data()), request.head.size()}, {}, {}}};
    size_t count = 1;
    if (request.operation == Operation::put) {
      vectors[1] = {&index, kIndexBytes};
      vectors[2] = {payload_.data() + kIndexBytes, payload_.size() - kIndexBytes};
      count = vectors.size();
      body_bytes_ += payload_.size();
    }
    FB_CO_CHECK(co_await send(connection, std::span(vectors).first(count), limits));
    co_return co_await receive_answer(connection, request, limits);
  }

  static Task<Result<void>> send(Connection& connection, std::span<iovec> vectors, const IoLimits& limits) {
    if (connection.tls) co_return co_await connection.tls->send_all(vectors, limits);
    while (!vectors.empty()) {
      FB_CO_TRY(const size_t sent, co_await connection.socket.send_operation(vectors, limits));
      vectors = skip_vectors(vectors, sent);
    }
    co_return Result<void>();
  }

  Task<Result<void>> receive_answer(Connection& connection, const Request& request, const IoLimits& limits) {
    ResponseParser& parser = connection.parser;
    parser.reset();
    connection.filled = 0;
    const auto text = [&] {
      return std::string_view(reinterpret_cast<const char*>(connection.input.data()), connection.filled);
    };
    ParseState state = ParseState::need_more;
    while (state == ParseState::need_more) {
      FB_CO_CHECK(co_await receive_more(connection, limits));
      state = parser.parse(text());
    }
    if (state == ParseState::failed) co_return IoError::failed;
    const int status = parser.head().status;
    if (status != kStatus[static_cast<size_t>(request.operation)]) {
      fail(text());
      co_return IoError::failed;
    }
    const MessageFraming framing = parser.framing();
    std::memmove(connection.input.data(), connection.input.data() + parser.head_size(),
                 connection.filled - parser.head_size());
    connection.filled -= parser.head_size();
    if (request.operation == Operation::head || status == 204) co_return Result<void>();
    if (framing.chunked) co_return co_await receive_chunks(connection, limits);
    uint64_t left = framing.content_length.value_or(0);
    body_bytes_ += left;
    bool verified = request.operation != Operation::get;
    while (left > 0) {
      if (!verified && connection.filled >= kIndexBytes) {
        if (std::memcmp(connection.input.data(), &request.index, kIndexBytes) != 0) {
          fail(fmt::format("object {} has the bytes of another one", request.index));
          co_return IoError::failed;
        }
        verified = true;
      }
      if (verified) {
        left -= std::min<uint64_t>(left, connection.filled);
        connection.filled = 0;
      }
      if (left > 0) FB_CO_CHECK(co_await receive_more(connection, limits));
    }
    co_return Result<void>();
  }

  Task<Result<void>> receive_chunks(Connection& connection, const IoLimits& limits) {
    ChunkedDecoder decoder;
    for (;;) {
      size_t at = 0;
      while (at < connection.filled && !decoder.done()) {
        const uint64_t payload = std::min<uint64_t>(decoder.payload_due(), connection.filled - at);
        if (payload > 0) {
          decoder.take_payload(payload);
          body_bytes_ += payload;
          at += payload;
          continue;
        }
        const std::string_view rest(reinterpret_cast<const char*>(connection.input.data()) + at,
                                    connection.filled - at);
        FB_CO_TRY(const size_t consumed, decoder.consume(rest));
        at += consumed;
      }
      connection.filled = 0;
      if (decoder.done()) co_return Result<void>();
      FB_CO_CHECK(co_await receive_more(connection, limits));
    }
  }

  Task<Result<void>> receive_more(Connection& connection, const IoLimits& limits) {
    const std::span<std::byte> room = std::span(connection.input).subspan(connection.filled);
    size_t received = 0;
    if (connection.tls) {
      FB_CO_TRY(received, co_await connection.tls->receive(room, limits));
    } else {
      FB_CO_TRY(received, co_await connection.socket.receive_operation(room, limits));
    }
    if (received == 0) co_return IoError::connection_lost;
    connection.filled += received;
    co_return Result<void>();
  }

  Env& env_;
  const Options& options_;
  std::vector<Share> mix_;
  unsigned total_weight_ = 0;
  std::array<Heads, kOperationNames.size()> heads_;
  std::vector<std::byte> payload_;
  TlsContext tls_;
  Instant started_, ends_, finished_;
  double cpu_us_before_ = 0;
  size_t issued_ = 0;
  uint64_t body_bytes_ = 0;
  uint64_t failed_ = 0;
  unsigned idle_connected_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::string first_error_;
  std::vector<uint32_t> latencies_us_;
};

}  // namespace
}  // namespace fb

int main(int argc, char** argv) {
  fb::Options options;
  CLI::App app("Loads an S3 endpoint with signed requests; prints one JSON line.");
  app.add_option("operation", options.operation,
                 "get, head, put, delete, list, raw, or a mix: get=70,put=25,list=5")
      ->required();
  app.add_option("--host", options.host, "address of the server")->capture_default_str();
  app.add_option("--port", options.port)->capture_default_str();
  app.add_option("--bucket", options.bucket)->capture_default_str();
  app.add_option("--path", options.path, "of raw requests")->capture_default_str();
  app.add_option("--tls", options.authorities, "speak TLS and trust the certificates of this PEM file");
  app.add_option("--size", options.size, "bytes an object")->capture_default_str();
  app.add_option("--objects", options.objects)->capture_default_str();
  app.add_option("--connections", options.connections)->capture_default_str();
  app.add_option("--idle", options.idle, "connections that are opened before and send nothing")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds)->capture_default_str();
  app.add_option("--rate", options.rate, "open loop: requests a second")->capture_default_str();
  app.add_flag("--once", options.once, "every object once, however long it takes");
  app.add_flag("--sign-headers", options.in_headers, "sign in the Authorization header instead of the URL");
  app.add_flag("--hash", options.hash, "puts carry the SHA-256 of their payload, which the server verifies");
  app.add_flag("--random", options.random, "objects in random order");
  CLI11_PARSE(app, argc, argv);
  auto mix = fb::parse_mix(options.operation);
  if (!mix) {
    fmt::print(stderr, "'{}' is no operation and no mix; write get, or get=70,put=25,list=5\n",
               options.operation);
    return 2;
  }
  const bool raw = mix->size() == 1 && mix->front().operation == fb::Operation::raw;
  if (!raw && (std::getenv("FRACTALBITS_ACCESS_KEY") == nullptr ||
               std::getenv("FRACTALBITS_SECRET_KEY") == nullptr)) {
    fmt::print(stderr, "set FRACTALBITS_ACCESS_KEY and FRACTALBITS_SECRET_KEY to the server's credentials\n");
    return 2;
  }
  if (options.size < fb::kIndexBytes || options.objects == 0) {
    fmt::print(stderr, "--size is at least 8 bytes, --objects at least 1\n");
    return 2;
  }
  bool clean = false;
  const auto ran = fb::run_cores({.cores = 1}, [&](fb::Env& env) -> fb::Task<void> {
    fb::Load load(env, options, *mix);
    load.prepare();
    co_await load.run();
    clean = load.report();
  });
  if (!ran) fmt::print(stderr, "{}\n", ran.error().to_string());
  return ran && clean ? 0 : 1;
}
