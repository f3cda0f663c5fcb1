// SPDX-License-Identifier: Apache-2.0
#include "cli/s3_client.h"

#include <fmt/format.h>

#include <charconv>

#include "http/http_client.h"
#include "http/tls_stream.h"
#include "io/error.h"
#include "io/name_lookup.h"
#include "s3/auth/signer.h"
#include "s3/checksum/hash.h"
#include "s3/request/xml_body.h"
#include "s3/time.h"

namespace fb {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

bool parse_port(std::string_view text, uint16_t& port) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > UINT16_MAX)
    return false;
  port = static_cast<uint16_t>(value);
  return true;
}

constexpr size_t kAnswerBodySizeMax = 1 << 20;

S3Answer answer_of(const ResponseHead& head, std::string_view body) {
  S3Answer answer{.status = head.status, .has_etag = !head.header("etag").empty(), .body = std::string(body)};
  if (head.status < 300) return answer;
  auto error = s3::parse_error_body(body);
  if (!error) return answer;
  answer.code = std::move(error->code);
  answer.message = std::move(error->message);
  return answer;
}

}  // namespace

ConfigResult<S3Endpoint> S3Endpoint::parse(std::string_view url) {
  const auto wrong = [&] {
    return std::unexpected(
        fmt::format("'{}' is no endpoint; write http://HOST:PORT or https://HOST:PORT without a path", url));
  };
  S3Endpoint endpoint{.tls = url.starts_with(kHttps)};
  if (!endpoint.tls && !url.starts_with(kHttp)) return wrong();
  std::string_view rest = url.substr(endpoint.tls ? kHttps.size() : kHttp.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@ ") != std::string_view::npos) return wrong();
  endpoint.authority = rest;
  endpoint.port = endpoint.tls ? kHttpsPort : kHttpPort;
  const bool bracketed = rest.starts_with('[');
  const size_t host_end = bracketed ? rest.find(']') : rest.find(':');
  if (bracketed && host_end == std::string_view::npos) return wrong();
  endpoint.host = bracketed ? rest.substr(1, host_end - 1) : rest.substr(0, host_end);
  if (host_end != std::string_view::npos) rest.remove_prefix(host_end + (bracketed ? 1 : 0));
  if (host_end == std::string_view::npos) rest = {};
  if (!rest.empty() && (rest[0] != ':' || !parse_port(rest.substr(1), endpoint.port))) return wrong();
  if (endpoint.host.empty()) return wrong();
  return endpoint;
}

ConfigResult<S3Endpoint> S3Endpoint::parse_management(std::string_view url) {
  auto endpoint = parse(url);
  if (!endpoint) return std::unexpected("--mgmt-url: " + endpoint.error());
  if (endpoint->tls) return std::unexpected("--mgmt-url: the management port speaks plain HTTP");
  return endpoint;
}

Task<Result<Socket>> S3Client::connect(Instant deadline, std::string& message) {
  const auto addresses = look_up_host(endpoint_.host, endpoint_.port);
  if (!addresses) {
    message = fmt::format("cannot find the host {}", endpoint_.host);
    co_return addresses.error();
  }
  Error failed = IoError::failed;
  for (const Endpoint& address : *addresses) {
    auto socket = co_await Socket::connect(env_, address, {.deadline = deadline});
    if (socket) co_return std::move(*socket);
    failed = socket.error();
  }
  message = fmt::format("cannot connect to {} ({}); is the server running there?", endpoint_.url(),
                        to_string(static_cast<IoError>(failed.code())));
  co_return failed;
}

Task<Result<S3Answer>> S3Client::send(std::string_view method, std::string_view target,
                                      std::vector<HeaderField> headers, Instant deadline,
                                      std::string& message) {
  const std::string date = s3::format_amz_date(env_.wall_clock().seconds());
  headers.push_back({"Host", endpoint_.authority});
  headers.push_back({"x-amz-date", date});
  headers.push_back({"x-amz-content-sha256", s3::kEmptySha256Hex});
  if (!settings_.session_token.empty()) headers.push_back({"x-amz-security-token", settings_.session_token});
  RequestHead head{.method = method, .target = target, .headers = headers};
  head.path = target.substr(0, target.find('?'));
  head.query = target.substr(std::min(head.path.size() + 1, target.size()));
  const s3::SigningIdentity identity{.access_key = settings_.access_key,
                                     .secret = settings_.secret_key.reveal(),
                                     .region = settings_.region};
  FB_CO_TRY(const std::string authorization, s3::sign_request(head, identity));
  headers.push_back({"Authorization", authorization});

  FB_CO_TRY(Socket socket, co_await connect(deadline, message));
  if (!endpoint_.tls) {
    auto answer = co_await exchange(socket, method, target, headers, deadline, message);
    (void)co_await socket.close();
    co_return answer;
  }
  TlsStream tls(socket, tls_, TlsStream::Role::client, endpoint_.host);
  const auto shaken = co_await tls.handshake({.deadline = deadline});
  if (!shaken) {
    message = fmt::format("no TLS with {}: {}", endpoint_.url(),
                          tls.failure().empty() ? shaken.error().to_string() : tls.failure());
    (void)co_await socket.close();
    co_return shaken.error();
  }
  auto answer = co_await exchange(tls, method, target, headers, deadline, message);
  co_await tls.close_notify({.deadline = deadline});
  (void)co_await socket.close();
  co_return answer;
}

Task<Result<S3Answer>> S3Client::exchange(Stream& stream, std::string_view method, std::string_view target,
                                          const std::vector<HeaderField>& headers, Instant deadline,
                                          std::string& message) {
  message = fmt::format("no answer came from {}", endpoint_.url());
  HttpClient client(stream);
  const IoLimits limits{.deadline = deadline};
  FB_CO_CHECK(co_await client.send(
      {.method = method, .target = target, .headers = headers, .content_length = 0}, {}, limits));
  FB_CO_TRY(const ResponseHead* const head, co_await client.receive_head(limits));
  FB_CO_TRY(const std::string body, co_await client.read_body_text(kAnswerBodySizeMax, limits));
  message.clear();
  co_return answer_of(*head, body);
}

}  // namespace fb
