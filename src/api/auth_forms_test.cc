// SPDX-License-Identifier: Apache-2.0
// Over which host a request is signed, what its query says as headers, and what a refusal tells.
#include <gtest/gtest.h>

#include <algorithm>

#include "api/api_test_world.h"
#include "s3/request/virtual_host.h"

namespace fb::api {
namespace {

// Names of the server and of others, as they may be signed and as they may arrive.
const std::vector<std::string> kHosts = {"s3.example.com",     "s3.example.com:8443",   "s3.local",
                                         "s3.local:80",        "abc.s3.local",          "victim.s3.local",
                                         "victim.s3.local:80", "victim.s3.example.com", "127.0.0.1:8080",
                                         "127.0.0.1",          "elsewhere.example"};

bool may_stand_for(const std::string& sent, const std::string& external, const std::string& signed_host) {
  const s3::HostForms forms(sent, external);
  return std::ranges::find(forms, signed_host) != forms.end();
}

// The content that a request for /abc/k gets, if `host` is the name that counts.
std::string content_at(std::string_view host, const std::vector<std::string>& domains) {
  return "content of " + std::string(s3::bucket_of_host(host, domains).value_or("")) + "/abc/k";
}

// Sends a request signed for one host to another; what is read is what was signed, or nothing is.
Task<void> try_hosts(TestServer& server, const ApiOptions& options, Auth auth, const std::string& signed_host,
                     const std::string& sent_host) {
  const Req get{.path = "/abc/k", .auth = auth, .host = signed_host};
  std::string text = server.client.serialize(get);
  const std::string from = "Host: " + signed_host + "\r\n";
  text.replace(text.find(from), from.size(),
               "Host: " + sent_host +
                   "\r\nX-Forwarded-Host: victim.s3.local\r\nX-Forwarded-Server: victim.s3.local\r\n"
                   "Forwarded: host=victim.s3.local\r\nX-Host: victim.s3.local\r\nX-Forwarded-Prefix: /x\r\n"
                   "Connection: close\r\n");
  const std::string reply = co_await server.client.raw(text);
  const std::string body = reply.substr(std::min(reply.size(), reply.find("\r\n\r\n") + 4));
  const std::string note = signed_host + " sent to " + sent_host + " of " + options.external_host;
  const std::string wanted = content_at(signed_host, options.domains);
  const bool served = reply.starts_with("HTTP/1.1 200");
  if (served) {
    EXPECT_EQ(body, wanted) << note;
  } else {
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 403") || reply.starts_with("HTTP/1.1 404")) << note << reply;
  }
  if (is_v2(auth)) co_return;  // signs the bucket, not the host
  const bool expected = may_stand_for(sent_host, options.external_host, signed_host);
  EXPECT_EQ(!reply.starts_with("HTTP/1.1 403"), expected) << note;
}

TEST(ApiAuthHosts, TheHostThatVerifiedIsTheHostThatRoutes) {
  const std::vector<std::vector<std::string>> domain_lists = {
      {}, {"s3.local"}, {"s3.local", "s3.example.com"}};
  for (const std::string& external :
       {std::string(), std::string("s3.example.com"), std::string("s3.example.com:8443")}) {
    for (const auto& domains : domain_lists) {
      const WorldOptions options{.api = {.domains = domains, .external_host = external}};
      run_world(
          [&](TestServer& server) -> Task<void> {
            server.client.domains = domains;
            co_await server.make_bucket("abc");
            co_await server.make_bucket("victim");
            for (const auto& [path, host] : {std::pair("/abc/k", ""), std::pair("/abc/abc/k", "abc"),
                                             std::pair("/victim/abc/k", "victim")})
              (void)co_await server.call("PUT", path, "", std::string("content of ") + host + "/abc/k");
            for (const Auth auth :
                 {Auth::header_hash, Auth::presigned, Auth::v2_header, Auth::v2_presigned}) {
              for (const std::string& signed_host : kHosts) {
                for (const std::string& sent_host : kHosts)
                  co_await try_hosts(server, options.api, auth, signed_host, sent_host);
              }
            }
          },
          options);
    }
  }
}

TEST(ApiAuthForms, PresignedItemsCountAsHeaders) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/key", "", "content");
    for (const Auth auth : {Auth::presigned, Auth::header_hash, Auth::v2_presigned}) {
      const Reply put = co_await server.call(
          Req{.method = "PUT",
              .path = "/bucket/meta",
              .query = "x-amz-meta-colour=dark%20blue&x-amz-checksum-crc32=AAAAAA%3D%3D&x-id=PutObject"
                       "&x-amz-sdk-checksum-algorithm=CRC32&x-amz-storage-class=STANDARD",
              .body = "x",
              .auth = auth});
      EXPECT_EQ(put.status, 200) << put.body;
      EXPECT_EQ((co_await server.call("HEAD", "/bucket/meta")).header("x-amz-meta-colour"), "dark blue");
      const std::string before = co_await server.state();
      // Version 2 has control characters refused before.
      const std::pair<const char*, int> refused[] = {{"x-amz-acl=public-read", 501},
                                                     {"X-Amz-Server-Side-Encryption=AES256", 501},
                                                     {"x-amz-tagging=a%3Db", 501},
                                                     {"x-amz-storage-class=GLACIER", 501},
                                                     {"x-amz-copy-source=%2Fbucket%2Fmeta", 400},
                                                     {"x-amz-security-token=t", 400},
                                                     {"x-amz-meta-a=1%0D%0Ax-evil%3A%201", 400}};
      for (const auto& [query, status] : refused) {
        const Reply reply = co_await server.call(
            Req{.method = "PUT", .path = "/bucket/key", .query = query, .body = "changed", .auth = auth});
        EXPECT_EQ(reply.status, status) << query << reply.body;
      }
      EXPECT_EQ(co_await server.state(), before);
    }
  });
}

TEST(ApiAuthForms, VersionTwoMayBeOff) {
  const WorldOptions options{.api = {.signature_v2 = false}};
  run_world(
      [](TestServer& server) -> Task<void> {
        co_await server.make_bucket();
        for (const Auth auth : {Auth::v2_header, Auth::v2_presigned, Auth::v2_bad_secret}) {
          const Reply reply = co_await server.call(Req{.path = "/bucket", .auth = auth});
          EXPECT_EQ(reply.status, 400);
          EXPECT_EQ(reply.code(), "InvalidRequest");
          EXPECT_TRUE(reply.body.find("signature_version=") != std::string::npos) << reply.body;
        }
      },
      options);
}

TEST(ApiAuthForms, TokensOfNobody) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const Auth auth : {Auth::header_hash, Auth::presigned, Auth::v2_header, Auth::v2_presigned}) {
      const Req with_header{.path = "/bucket", .headers = {{"x-amz-security-token", "t"}}, .auth = auth};
      EXPECT_EQ((co_await server.call(with_header)).code(), "InvalidToken");
      const Req with_item{.path = "/bucket", .query = "X-Amz-Security-Token=t", .auth = auth};
      EXPECT_EQ((co_await server.call(with_item)).code(), "InvalidToken");
    }
  });
}

// The text of an element, in which line ends are written as references.
std::string lines_of(const Reply& reply, const std::string& name) {
  std::string text = reply.element(name);
  for (size_t at = 0; (at = text.find("&#xa;", at)) != std::string::npos;) text.replace(at, 5, "\n");
  return text;
}

TEST(ApiAuthForms, AMismatchShowsWhatWasSigned) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Reply reply = co_await server.call(Req{.path = "/bucket", .auth = Auth::bad_signature});
    EXPECT_EQ(reply.element("AWSAccessKeyId"), kAccessKey);
    EXPECT_EQ(reply.element("SignatureProvided").size(), 64u);
    const std::string text = lines_of(reply, "StringToSign");
    EXPECT_TRUE(text.starts_with("AWS4-HMAC-SHA256\n")) << text;
    EXPECT_TRUE(reply.element("StringToSignBytes").starts_with("41 57 53 34 2d 48 4d 41 43")) << reply.body;
    EXPECT_EQ(reply.element("StringToSignBytes").size(), text.size() * 3 - 1);
    const std::string canonical = lines_of(reply, "CanonicalRequest");
    EXPECT_TRUE(canonical.starts_with("GET\n/bucket\n\nhost:s3.test\n")) << canonical;
    EXPECT_TRUE(text.ends_with(s3::hex_encode(s3::sha256(canonical))));
    EXPECT_EQ(reply.element("CanonicalRequestBytes").size(), canonical.size() * 3 - 1);

    const Reply old = co_await server.call(Req{.path = "/bucket", .auth = Auth::v2_presigned_bad_secret});
    EXPECT_TRUE(lines_of(old, "StringToSign").ends_with("\n/bucket/")) << old.body;
    EXPECT_FALSE(old.element("StringToSignBytes").empty());
    EXPECT_TRUE(old.body.find("CanonicalRequest") == std::string::npos);

    const Req long_one{.path = "/bucket/" + std::string(10'000, 'k'), .auth = Auth::bad_signature};
    EXPECT_LT((co_await server.call(long_one)).body.size(), 40'000u);
  });
}

TEST(ApiAuthForms, AnonymousHeadOfABucketTellsTheRegion) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const Auth auth : {Auth::none, Auth::bad_secret, Auth::header_hash}) {
      const Reply reply = co_await server.call(Req{.method = "HEAD", .path = "/bucket", .auth = auth});
      EXPECT_EQ(reply.status, auth == Auth::header_hash ? 200 : 403);
      EXPECT_EQ(reply.header("x-amz-bucket-region"), "us-east-1");
    }
    const Req of_object{.method = "HEAD", .path = "/bucket/key", .auth = Auth::none};
    EXPECT_FALSE((co_await server.call(of_object)).has("x-amz-bucket-region"));
  });
}

// A page stored here must not run in the origin of what else is served here.
TEST(ApiAuthForms, PagesAreSandboxed) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    (void)co_await server.call("PUT", "/bucket/page", "", "<script/>", {{"Content-Type", "text/html"}});
    (void)co_await server.call("PUT", "/bucket/data", "", "data");
    const Reply page = co_await server.call("GET", "/bucket/page");
    EXPECT_EQ(page.header("content-security-policy"), "sandbox allow-downloads");
    EXPECT_EQ(page.header("x-content-type-options"), "nosniff");
    const Reply data = co_await server.call("GET", "/bucket/data");
    EXPECT_FALSE(data.has("content-security-policy"));
    EXPECT_EQ(data.header("x-content-type-options"), "nosniff");
    const Reply made = co_await server.call("GET", "/bucket/data", "response-content-type=text%2Fhtml");
    EXPECT_EQ(made.header("content-security-policy"), "sandbox allow-downloads");
    EXPECT_EQ((co_await server.call("GET", "/bucket/none")).header("x-content-type-options"), "nosniff");
  });
}

}  // namespace
}  // namespace fb::api
