// SPDX-License-Identifier: Apache-2.0
#include "s3/request/virtual_host.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "s3/auth/request_auth.h"
#include "s3/auth/signer.h"
#include "s3/test_request.h"

namespace fb::s3 {
namespace {

std::vector<std::string> forms(std::string_view host, std::string_view external = {}) {
  std::vector<std::string> out;
  for (const std::string_view form : HostForms(host, external)) out.emplace_back(form);
  return out;
}

TEST(HostForms, EachOnceInOrder) {
  using List = std::vector<std::string>;
  EXPECT_EQ(forms("a"), List({"a"}));
  EXPECT_EQ(forms("a:80"), List({"a:80", "a"}));
  EXPECT_EQ(forms("a", "a"), List({"a"}));
  EXPECT_EQ(forms("a:1", "b:2"), List({"a:1", "b:2", "a", "b"}));
  EXPECT_EQ(forms("a:1", "a"), List({"a:1", "a"}));
  EXPECT_EQ(forms("[::1]:80"), List({"[::1]:80", "[::1]"}));
  EXPECT_EQ(forms("[::1]"), List({"[::1]"}));
  EXPECT_EQ(forms("a:b"), List({"a:b"}));
  EXPECT_EQ(forms("", "b"), List({"", "b"}));
}

// A signature that holds names the host it holds for, under every combination of options.
TEST(HostForms, TheNameThatVerifiedIsReported) {
  const SigningIdentity identity{.access_key = "AK", .secret = "secret"};
  const std::vector<std::string> names = {"s3.local",           "s3.local:8080",  "victim.s3.local",
                                          "victim.s3.local:80", "s3.example.com", "s3.example.com:443",
                                          "127.0.0.1:8080",     "127.0.0.1"};
  for (const std::string& external :
       {std::string(), std::string("s3.example.com"), std::string("s3.example.com:443")}) {
    for (const std::string& signed_host : names) {
      for (const std::string& sent_host : names) {
        std::vector<HeaderField> headers = {{"Host", signed_host}};
        RequestHead head{.method = "GET", .target = "/a/k", .path = "/a/k", .headers = headers};
        const std::string target = *presign(head, identity, {.time_seconds = 1000, .expires_seconds = 60});
        headers[0].value = sent_host;
        head.query = std::string_view(target).substr(target.find('?') + 1);
        head.headers = headers;
        SigningKeyCache cache(4);
        const auto auth = parse_auth(head);
        ASSERT_TRUE(auth);
        const auto verified = authenticate_request(head, *auth, "secret", 1000, cache, {{}, external});
        const auto may_be = forms(sent_host, external);
        const bool expected = std::ranges::find(may_be, signed_host) != may_be.end();
        ASSERT_EQ(verified.has_value(), expected)
            << signed_host << " sent to " << sent_host << " of " << external;
        if (verified) EXPECT_EQ(verified->host, signed_host);
      }
    }
  }
}

TEST(RequestAuth, AnEmptyRegionIsARegion) {
  const std::vector<HeaderField> headers = {
      {"Host", "h"}, {"x-amz-date", "19700101T001640Z"}, {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}};
  std::vector<HeaderField> signed_headers = headers;
  RequestHead head{.method = "GET", .target = "/a/k", .path = "/a/k", .headers = headers};
  const auto authorization = sign_request(head, {.access_key = "AK", .secret = "secret", .region = ""});
  ASSERT_NE(authorization->find("AK/19700101//s3/aws4_request"), std::string::npos);
  signed_headers.push_back({"Authorization", *authorization});
  head.headers = signed_headers;
  SigningKeyCache cache(4);
  const auto auth = parse_auth(head);
  ASSERT_TRUE(auth);
  EXPECT_EQ(auth->credential.region(), "");
  EXPECT_TRUE(authenticate_request(head, *auth, "secret", 1000, cache, {}));
  EXPECT_FALSE(authenticate_request(head, *auth, "another", 1000, cache, {}));
}

TEST(RequestAuth, TokensAreRefusedWhereverTheyStand) {
  for (const char* text : {"GET /k\nHost: h\nx-amz-security-token: t",
                           "GET /k\nHost: h\nX-Amz-Security-Token:", "GET /k?X-Amz-Security-Token=t\nHost: h",
                           "GET /k?x%2Damz-security-token=\nHost: h"}) {
    TestRequest request(text);
    AuthRequest auth{.kind = AuthKind::header,
                     .other_query = request.head().query,
                     .credential = *Credential::parse("AK/20130524/r/s3/aws4_request")};
    SigningKeyCache cache(4);
    const auto verified = authenticate_request(request.head(), auth, "secret", 0, cache, {});
    ASSERT_FALSE(verified);
    EXPECT_TRUE(verified.error().is(AuthError::token_unknown)) << text;
  }
}

}  // namespace
}  // namespace fb::s3
