// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/request_head.h"
#include "cli/aws_settings.h"
#include "http/tls_context.h"
#include "io/env.h"
#include "io/stream.h"

namespace fb {

// The address of S3, from "http://host:port" or "https://host"; text behind that is refused.
struct S3Endpoint {
  bool tls = false;
  std::string host;       // without the brackets of an IPv6 address
  std::string authority;  // as the Host header has it
  uint16_t port = 80;

  static ConfigResult<S3Endpoint> parse(std::string_view url);
  // Parses --mgmt-url: the management port of a server.
  static ConfigResult<S3Endpoint> parse_management(std::string_view url);
  std::string url() const { return (tls ? "https://" : "http://") + authority; }
};

struct S3Answer {
  int status = 0;
  bool has_etag = false;
  std::string body{};
  // From an error document; empty if there was none.
  std::string code{};
  std::string message{};
};

// A client of S3 for commands: each request is signed and goes over a connection of its own.
class S3Client {
 public:
  // `tls` must be loaded if the endpoint is https; all must outlive the client.
  S3Client(Env& env, const S3Endpoint& endpoint, const AwsSettings& settings, const TlsContext& tls)
      : env_(env), endpoint_(endpoint), settings_(settings), tls_(tls) {}

  // A request without a body. `target` is percent-encoded; `headers` are those of the operation. An error
  // means that no whole answer came, and `message` then says why in words.
  Task<Result<S3Answer>> send(std::string_view method, std::string_view target,
                              std::vector<HeaderField> headers, Instant deadline, std::string& message);

 private:
  Task<Result<Socket>> connect(Instant deadline, std::string& message);
  Task<Result<S3Answer>> exchange(Stream& stream, std::string_view method, std::string_view target,
                                  const std::vector<HeaderField>& headers, Instant deadline,
                                  std::string& message);

  Env& env_;
  const S3Endpoint& endpoint_;
  const AwsSettings& settings_;
  const TlsContext& tls_;
};

}  // namespace fb
