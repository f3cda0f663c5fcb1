// SPDX-License-Identifier: Apache-2.0
#include "http/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <utility>

#include "http/error.h"
#include "io/error.h"
#include "io/file.h"

namespace fb {
namespace {

constexpr std::string_view kAlpn = "\x08http/1.1";
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct Delete {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPointer = std::unique_ptr<BIO, Delete>;
using CertificatePointer = std::unique_ptr<X509, Delete>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Delete>;
using ContextPointer = std::unique_ptr<SSL_CTX, detail::SslContextDelete>;

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

Error failed(std::string& message, std::string text) {
  message = std::move(text);
  ERR_clear_error();
  return HttpError::tls_failed;
}

BioPointer bio_over(std::string_view text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A private key behind a password must not make the process ask for one on the terminal.
int no_password(char*, int, int, void*) { return 0; }

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  unsigned char* chosen = nullptr;
  const int outcome =
      SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(kAlpn.data()),
                            static_cast<unsigned>(kAlpn.size()), offered, offered_size);
  *out = chosen;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

ContextPointer make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  ContextPointer context(SSL_CTX_new(method));
  FB_ASSERT(context != nullptr);
  SSL_CTX* raw = context.get();
  FB_ASSERT(SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) == 1);
  FB_ASSERT(SSL_CTX_set_cipher_list(raw, kTls12Ciphers) == 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Sessions would carry times of OpenSSL's own clock; every connection does a whole handshake instead.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(
      raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

std::optional<UnixTime> end_of_validity(const X509* certificate) {
  tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return std::nullopt;
  return UnixTime{static_cast<int64_t>(timegm(&parts)) * 1'000'000'000};
}

Task<Result<void>> read_pem(Env& env, const std::string& path, std::string_view what, std::string& text,
                            std::string& message) {
  auto read = co_await read_small_file(env, path, kTlsFileBytesMax);
  if (!read) {
    message = fmt::format("cannot read the {} file {}: {}", what, path, read.error().to_string());
    co_return read.error();
  }
  text = std::move(*read);
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> TlsContext::load_server(Env& env, const std::string& certificate_path,
                                           const std::string& key_path, std::string& message) {
  std::string certificate;
  std::string key;
  FB_CO_CHECK(co_await read_pem(env, certificate_path, "certificate", certificate, message));
  FB_CO_CHECK(co_await read_pem(env, key_path, "private key", key, message));
  auto result = set_server(certificate, key, message);
  OPENSSL_cleanse(key.data(), key.size());
  if (!result) message = fmt::format("{} (certificate {}, key {})", message, certificate_path, key_path);
  co_return result;
}

Result<void> TlsContext::set_server(std::string_view certificate_pem, std::string_view key_pem,
                                    std::string& message) {
  ContextPointer context = make_context(TLS_server_method());
  const BioPointer chain = bio_over(certificate_pem);
  const CertificatePointer own(PEM_read_bio_X509_AUX(chain.get(), nullptr, no_password, nullptr));
  if (own == nullptr) {
    return failed(message,
                  fmt::format("the certificate file holds no certificate in PEM: {}", openssl_reason()));
  }
  if (SSL_CTX_use_certificate(context.get(), own.get()) != 1) {
    return failed(message, fmt::format("the certificate cannot be used: {}", openssl_reason()));
  }
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, no_password, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context.get(), next) != 1) {
      X509_free(next);
      return failed(message, fmt::format("a certificate of the chain cannot be used: {}", openssl_reason()));
    }
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    return failed(message, fmt::format("the certificate chain is damaged: {}", openssl_reason()));
  }
  ERR_clear_error();

  const BioPointer key_bio = bio_over(key_pem);
  const KeyPointer key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return failed(message,
                  fmt::format("the key file holds no unencrypted private key in PEM: {}", openssl_reason()));
  }
  if (X509_check_private_key(own.get(), key.get()) != 1) {
    return failed(message, "the private key does not belong to the certificate");
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    return failed(message, fmt::format("the private key cannot be used: {}", openssl_reason()));
  }
  const auto expires = end_of_validity(own.get());
  if (!expires) return failed(message, "the certificate's end of validity cannot be read");
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  expires_ = *expires;
  context_ = std::move(context);
  return {};
}

Task<Result<void>> TlsContext::load_client(Env& env, const std::string& authorities_path,
                                           std::string& message) {
  std::string authorities;
  FB_CO_CHECK(co_await read_pem(env, authorities_path, "certificate authorities", authorities, message));
  co_return set_client(authorities, message);
}

Result<void> TlsContext::set_client(std::string_view authorities_pem, std::string& message) {
  ContextPointer context = make_context(TLS_client_method());
  X509_STORE* store = SSL_CTX_get_cert_store(context.get());
  const BioPointer bio = bio_over(authorities_pem);
  size_t count = 0;
  for (;;) {
    const CertificatePointer authority(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
    if (authority == nullptr) break;
    if (X509_STORE_add_cert(store, authority.get()) != 1) {
      return failed(message, fmt::format("a certificate authority cannot be used: {}", openssl_reason()));
    }
    ++count;
  }
  if (count == 0) {
    return failed(message, fmt::format("no certificate authority in PEM: {}", openssl_reason()));
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // Not negated on success: 0 means success for this one function.
  FB_ASSERT(SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(kAlpn.data()),
                                    static_cast<unsigned>(kAlpn.size())) == 0);
  context_ = std::move(context);
  return {};
}

}  // namespace fb
