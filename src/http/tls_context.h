// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/env.h"

namespace fb {

namespace detail {
struct SslContextDelete {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
}  // namespace detail

// Certificate, key and settings of TLS for one core. New connections use the certificate and key loaded last;
// existing ones keep those they began with. If loading fails, the context stays as it was, and `message` says
// what is wrong in words an operator can act on. TLS 1.2 and 1.3, forward secrecy and authenticated
// encryption only, ALPN "http/1.1"; no session tickets, no renegotiation, no compression.
class TlsContext {
 public:
  TlsContext() = default;
  TlsContext(const TlsContext&) = delete;

  // A chain in PEM, the server's own certificate first, and its private key in PEM, unencrypted.
  Task<Result<void>> load_server(Env& env, const std::string& certificate_path, const std::string& key_path,
                                 std::string& message);
  Result<void> set_server(std::string_view certificate_pem, std::string_view key_pem, std::string& message);
  // Trusts only the authorities in PEM.
  Task<Result<void>> load_client(Env& env, const std::string& authorities_path, std::string& message);
  Result<void> set_client(std::string_view authorities_pem, std::string& message);

  bool loaded() const { return context_ != nullptr; }
  // The time when the server's own certificate expires.
  UnixTime certificate_expires() const { return expires_; }
  SSL_CTX* native() const { return context_.get(); }

 private:
  std::unique_ptr<SSL_CTX, detail::SslContextDelete> context_;
  UnixTime expires_;
};

inline constexpr size_t kTlsFileBytesMax = 1 * 1024 * 1024;

}  // namespace fb
