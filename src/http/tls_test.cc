// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <gmock/gmock.h>

#include "http/error.h"
#include "http/http_test_env.h"
#include "http/tls_context.h"
#include "http/tls_stream.h"
#include "io/file.h"

namespace fb {
namespace {

constexpr long kDaySeconds = 24L * 3600;

template <class Write>
std::string to_pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

struct Identity {
  std::string certificate;
  std::string key;
};

// A certificate that signs itself, for `name`, from a day before `now_seconds` until `days` after.
Identity make_identity(const std::string& name, int64_t now_seconds, long days = 10) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  ASN1_TIME_set(X509_getm_notBefore(certificate), now_seconds - 30 * kDaySeconds);
  ASN1_TIME_set(X509_getm_notAfter(certificate), now_seconds + days * kDaySeconds);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + name + ",IP:127.0.0.1").c_str());
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  X509_sign(certificate, key, EVP_sha256());
  Identity identity{.certificate = to_pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); }),
                    .key = to_pem([&](BIO* bio) {
                      PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                    })};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

class TlsTest : public testing::TestWithParam<TestEnv> {
 protected:
  // `identity` is made by the environment's clock.
  void with(const std::function<Task<void>(Env&, HttpServer&, TestHandler&, TlsContext&, const Identity&)>&
                client) {
    TlsContext context;
    Identity identity;
    with_server(GetParam(), {.limits = quick_limits(), .tls = &context},
                [&](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
                  identity = make_identity("store.test", env.wall_clock().seconds());
                  std::string message;
                  EXPECT_TRUE(context.set_server(identity.certificate, identity.key, message)) << message;
                  co_await client(env, server, handler, context, identity);
                });
  }
};

INSTANTIATE_TEST_SUITE_P(All, TlsTest, testing::Values(TestEnv::uring, TestEnv::portable, TestEnv::sim),
                         test_env_name);

constexpr HeaderField kHost{"Host", "store.test"};

// The outcome of a client's handshake that trusts `authorities`: empty, or why it failed.
Task<std::string> try_handshake(Env& env, Endpoint endpoint, const std::string& authorities,
                                const std::string& host) {
  TlsContext trust;
  std::string message;
  EXPECT_TRUE(trust.set_client(authorities, message)) << message;
  auto socket = co_await Socket::connect(env, endpoint);
  CutStream records(*socket);
  TlsStream tls(records, trust, TlsStream::Role::client, host);
  const auto greeted = co_await tls.handshake({});
  std::string failure;
  if (!greeted) {
    EXPECT_TRUE(greeted.error().is(HttpError::tls_failed));
    failure = tls.failure();
  }
  EXPECT_TRUE(co_await tls.close());
  co_return failure;
}

TEST_P(TlsTest, RequestsAndLargeBodies) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext&, const Identity& identity) -> Task<void> {
    TlsContext trust;
    std::string message;
    EXPECT_TRUE(trust.set_client(identity.certificate, message)) << message;
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream records(*socket);
    TlsStream tls(records, trust, TlsStream::Role::client, "store.test");
    const auto greeted = co_await tls.handshake({});
    EXPECT_TRUE(greeted) << tls.failure();
    if (greeted) {
      EXPECT_EQ(tls.protocol_version(), "TLSv1.3");
      CutStream stream(tls);
      HttpClient client(stream);
      for (const size_t size :
           {size_t{0}, size_t{5}, size_t{16'384}, size_t{100'000}, size_t{2 * kMiB + 3}}) {
        std::string body = pattern_text(size);
        co_await when_all(
            [&]() -> Task<void> {
              iovec vector{body.data(), body.size()};
              EXPECT_TRUE(co_await client.send({.method = "PUT", .target = "/echo", .headers = {&kHost, 1}},
                                               {&vector, 1}, {}));
            },
            [&]() -> Task<void> {
              const auto head = co_await client.receive_head({});
              EXPECT_TRUE(head && (*head)->status == 200);
              const auto text = co_await client.read_body_text(4 * kMiB, {});
              EXPECT_TRUE(text && *text == body) << size;
            });
      }
      EXPECT_EQ(server.stats().tls_handshakes, 1u);
    }
    EXPECT_TRUE(co_await tls.close());
  });
}

TEST_P(TlsTest, Pipelining) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext&, const Identity& identity) -> Task<void> {
    TlsContext trust;
    std::string message;
    EXPECT_TRUE(trust.set_client(identity.certificate, message));
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream records(*socket);
    TlsStream tls(records, trust, TlsStream::Role::client, "127.0.0.1");
    EXPECT_TRUE(co_await tls.handshake({})) << tls.failure();
    EXPECT_TRUE(
        co_await send_text(tls,
                           "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
                           "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    const std::string text = co_await receive_all(tls);
    EXPECT_EQ(count_of(text, "HTTP/1.1 200"), 3u);
    EXPECT_TRUE(co_await tls.close());
  });
}

TEST_P(TlsTest, Verification) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext& context,
          const Identity& identity) -> Task<void> {
    const Endpoint at = server.endpoint();
    EXPECT_EQ(co_await try_handshake(env, at, identity.certificate, "store.test"), "");
    EXPECT_EQ(co_await try_handshake(env, at, identity.certificate, "127.0.0.1"), "");
    EXPECT_THAT(co_await try_handshake(env, at, identity.certificate, "other.test"),
                testing::HasSubstr("mismatch"));
    const Identity other = make_identity("store.test", env.wall_clock().seconds());
    EXPECT_NE(co_await try_handshake(env, at, other.certificate, "store.test"), "");
    // Reload: new connections meet the new certificate.
    std::string message;
    EXPECT_TRUE(context.set_server(other.certificate, other.key, message));
    EXPECT_EQ(co_await try_handshake(env, at, other.certificate, "store.test"), "");
    EXPECT_NE(co_await try_handshake(env, at, identity.certificate, "store.test"), "");
    const Identity expired = make_identity("store.test", env.wall_clock().seconds(), -1);
    EXPECT_TRUE(context.set_server(expired.certificate, expired.key, message));
    EXPECT_LT(context.certificate_expires(), env.wall_clock());
    EXPECT_THAT(co_await try_handshake(env, at, expired.certificate, "store.test"),
                testing::HasSubstr("expired"));
  });
}

TEST_P(TlsTest, ReloadKeepsConnections) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext& context,
          const Identity& identity) -> Task<void> {
    TlsContext trust;
    std::string message;
    EXPECT_TRUE(trust.set_client(identity.certificate, message));
    auto socket = co_await Socket::connect(env, server.endpoint());
    CutStream records(*socket);
    TlsStream tls(records, trust, TlsStream::Role::client, "store.test");
    EXPECT_TRUE(co_await tls.handshake({})) << tls.failure();
    const Identity other = make_identity("store.test", env.wall_clock().seconds());
    EXPECT_TRUE(context.set_server(other.certificate, other.key, message));
    CutStream stream(tls);
    HttpClient client(stream);
    EXPECT_TRUE(co_await client.send({.target = "/hello", .headers = {&kHost, 1}}, {}, {}));
    EXPECT_TRUE(co_await client.receive_head({}));
    EXPECT_EQ(co_await client.read_body_text(100, {}), "hello");
    EXPECT_TRUE(co_await tls.close());
  });
}

TEST_P(TlsTest, PlainTextAndSilence) {
  with([](Env& env, HttpServer& server, TestHandler& handler, TlsContext&, const Identity&) -> Task<void> {
    const std::string answer =
        co_await raw_exchange(env, server.endpoint(), {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"});
    EXPECT_EQ(count_of(answer, "HTTP"), 0u);
    EXPECT_EQ(server.stats().tls_handshake_errors, 1u);
    EXPECT_EQ(co_await raw_exchange(env, server.endpoint(), {""}), "");
    EXPECT_EQ(server.stats().timeouts, 1u);
    EXPECT_EQ(handler.handled, 0);
  });
}

TEST(TlsContext, SaysWhatIsWrong) {
  const Identity one = make_identity("a.test", 1'800'000'000);
  const Identity two = make_identity("b.test", 1'800'000'000);
  TlsContext context;
  std::string message;
  EXPECT_FALSE(context.set_server("nonsense", one.key, message));
  EXPECT_THAT(message, testing::HasSubstr("holds no certificate"));
  EXPECT_FALSE(context.set_server(one.certificate, "nonsense", message));
  EXPECT_THAT(message, testing::HasSubstr("holds no unencrypted private key"));
  EXPECT_FALSE(context.set_server(one.certificate, two.key, message));
  EXPECT_THAT(message, testing::HasSubstr("does not belong to the certificate"));
  std::string damaged = one.certificate + two.certificate;
  damaged.replace(one.certificate.size() + 60, 4, "!!!!");
  EXPECT_FALSE(context.set_server(damaged, one.key, message));
  EXPECT_THAT(message, testing::HasSubstr("chain"));
  EXPECT_FALSE(context.set_client("", message));
  EXPECT_FALSE(context.loaded());
  // A failure leaves the loaded certificate in place.
  EXPECT_TRUE(context.set_server(one.certificate + two.certificate, one.key, message));
  EXPECT_FALSE(context.set_server("nonsense", one.key, message));
  EXPECT_TRUE(context.loaded());
}

TEST(TlsContext, LoadsFiles) {
  run_in(TestEnv::sim, [](Env& env) -> Task<void> {
    const Identity identity = make_identity("a.test", env.wall_clock().seconds());
    const auto write = [&](const std::string& path, const std::string& text) {
      return replace_small_file(env, path, text, 0600, FileRole::other);
    };
    EXPECT_TRUE(co_await make_directory(env, "/tls"));
    EXPECT_TRUE(co_await write("/tls/certificate.pem", identity.certificate));
    EXPECT_TRUE(co_await write("/tls/key.pem", identity.key));
    TlsContext context;
    std::string message;
    EXPECT_TRUE(co_await context.load_server(env, "/tls/certificate.pem", "/tls/key.pem", message))
        << message;
    EXPECT_FALSE(co_await context.load_server(env, "/tls/missing.pem", "/tls/key.pem", message));
    EXPECT_THAT(message, testing::HasSubstr("cannot read the certificate file /tls/missing.pem"));
    EXPECT_FALSE(co_await context.load_server(env, "/tls/key.pem", "/tls/key.pem", message));
    EXPECT_THAT(message, testing::HasSubstr("/tls/key.pem"));
    TlsContext trust;
    EXPECT_TRUE(co_await trust.load_client(env, "/tls/certificate.pem", message)) << message;
  });
}

// A client that sends half a record, in the handshake or after it, holds nothing of the shared memory.
TEST_P(TlsTest, HalfARecordHoldsNoSharedMemory) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext&, const Identity& identity) -> Task<void> {
    TlsContext trust;
    std::string message;
    EXPECT_TRUE(trust.set_client(identity.certificate, message)) << message;
    auto socket = co_await Socket::connect(env, server.endpoint());
    TlsStream tls(*socket, trust, TlsStream::Role::client, "store.test");
    EXPECT_TRUE(co_await tls.handshake({})) << tls.failure();
    auto unfinished = co_await Socket::connect(env, server.endpoint());
    EXPECT_TRUE(co_await send_text(*unfinished, std::string("\x16\x03\x01\x02\x00half a greeting", 20)));
    EXPECT_TRUE(co_await send_text(*socket, std::string("\x17\x03\x03\x40\x00", 5) + std::string(8000, 'x')));
    (void)co_await sleep_for(env, Duration::milliseconds(100));
    EXPECT_EQ(server.stats().connections_active, 2u);
    EXPECT_EQ(env.buffers().used_bytes(), 0u);
    EXPECT_EQ(env.stats().receive_buffers, 0u);
    EXPECT_TRUE(co_await unfinished->close());
    EXPECT_TRUE(co_await socket->close());
  });
}

// Pipelined requests behind one whose answer is not read hold no shared memory either.
TEST_P(TlsTest, PipelinedRequestsBehindAnUnreadAnswerHoldNoReceiveBuffer) {
  with([](Env& env, HttpServer& server, TestHandler&, TlsContext&, const Identity& identity) -> Task<void> {
    TlsContext trust;
    std::string message;
    EXPECT_TRUE(trust.set_client(identity.certificate, message)) << message;
    auto socket = co_await Socket::connect(env, server.endpoint());
    TlsStream tls(*socket, trust, TlsStream::Role::client, "store.test");
    EXPECT_TRUE(co_await tls.handshake({})) << tls.failure();
    std::string requests;
    for (int i = 0; i < 20; ++i) requests += "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_TRUE(co_await send_text(tls, requests));
    (void)co_await sleep_for(env, Duration::milliseconds(150));
    EXPECT_EQ(server.stats().connections_active, 1u);
    EXPECT_EQ(env.stats().receive_buffers, 0u);
    EXPECT_TRUE(co_await socket->close());
  });
}

}  // namespace
}  // namespace fb
