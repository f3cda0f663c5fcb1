// SPDX-License-Identifier: Apache-2.0
#include "admin/management_guard.h"

#include <gtest/gtest.h>

#include "s3/auth/signer.h"
#include "s3/test_request.h"
#include "s3/time.h"

namespace fb {
namespace {

constexpr int64_t kNow = 1'800'000'000;

class ManagementGuardTest : public testing::Test {
 protected:
  // Why POST /fsck signed for `host` at `time` is refused, by a guard that listens at `listen`.
  std::string ask(std::string host, int64_t time = kNow, std::string nonce = {}, bool presigned = false) {
    const std::string date = s3::format_amz_date(time);
    std::vector<HeaderField> headers = {{"Host", host}};
    if (!presigned) {
      headers.push_back({"x-amz-date", date});
      headers.push_back({"x-amz-content-sha256", "UNSIGNED-PAYLOAD"});
    }
    if (!nonce.empty()) headers.push_back({"x-nonce", nonce});
    RequestHead head{.method = "POST", .target = "/fsck", .path = "/fsck", .headers = headers};
    const s3::SigningIdentity identity{.access_key = root_.access_key, .secret = root_.secret.reveal()};
    std::string signed_text;
    if (presigned) {
      signed_text = *s3::presign(head, identity, {.time_seconds = time, .expires_seconds = 600});
      head.target = signed_text;
      head.query = head.target.substr(head.target.find('?') + 1);
    } else {
      signed_text = *s3::sign_request(head, identity);
      headers.push_back({"Authorization", signed_text});
      head.headers = headers;
    }
    return guard_.refuses(head, root_, kNow);
  }

  KeyInfo root_{.access_key = "AKROOT", .secret = Secret("a secret of the root key")};
  ManagementGuard guard_{
      *Endpoint::parse("127.0.0.1:18080"), {"mgmt.example.com", "map.example.com:9"}, kNow - 100};
};

TEST_F(ManagementGuardTest, SignaturesAreBoundToThePort) {
  EXPECT_EQ(ask("127.0.0.1:18080"), "");
  EXPECT_EQ(ask("localhost:18080"), "");
  EXPECT_EQ(ask("MGMT.example.com:18080"), "");
  EXPECT_EQ(ask("map.example.com:9"), "");
  for (const char* other :
       {"127.0.0.1:8080", "127.0.0.1", "127.0.0.2:18080", "localhost:8080", "s3.example.com",
        "mgmt.example.com", "mgmt.example.com:8080", "map.example.com:18080", "[::1]:18080"}) {
    EXPECT_NE(ask(other).find("not this port"), std::string::npos) << other << ask(other);
  }
}

TEST_F(ManagementGuardTest, EachSignatureCountsOnce) {
  EXPECT_EQ(ask("127.0.0.1:18080"), "");
  EXPECT_NE(ask("127.0.0.1:18080").find("made before"), std::string::npos);
  EXPECT_EQ(ask("127.0.0.1:18080", kNow, "other"), "");
  EXPECT_EQ(ask("127.0.0.1:18080", kNow - 1), "");
  EXPECT_NE(ask("127.0.0.1:18080", kNow - 1).find("made before"), std::string::npos);
}

TEST_F(ManagementGuardTest, TimesAreShort) {
  EXPECT_NE(ask("127.0.0.1:18080", kNow - 101), "") << "before the start";
  EXPECT_NE(ask("127.0.0.1:18080", kNow + 31), "");
  ManagementGuard old(*Endpoint::parse("127.0.0.1:18080"), {}, 0);
  std::swap(guard_, old);
  EXPECT_EQ(ask("127.0.0.1:18080", kNow - 300), "");
  EXPECT_NE(ask("127.0.0.1:18080", kNow - 301), "");
}

TEST_F(ManagementGuardTest, MemoryIsBounded) {
  for (size_t i = 0; i < ManagementGuard::kSeenMax; ++i)
    ASSERT_EQ(ask("127.0.0.1:18080", kNow, std::to_string(i)), "");
  EXPECT_NE(ask("127.0.0.1:18080", kNow, "more"), "");
}

TEST_F(ManagementGuardTest, UrlsAreNoOrders) {
  EXPECT_NE(ask("127.0.0.1:18080", kNow, "", true).find("Authorization"), std::string::npos);
}

TEST_F(ManagementGuardTest, NamesThatMayRead) {
  for (const char* good :
       {"", "127.0.0.1", "127.0.0.1:18080", "10.1.2.3:9090", "[::1]:18080", "[fe80::1]", "localhost",
        "LocalHost:1", "mgmt.example.com", "mgmt.example.com.:80", "map.example.com"})
    EXPECT_TRUE(guard_.serves(good)) << good;
  for (const char* bad :
       {"evil.example", "evil.example:18080", "127.0.0.1.evil.example", "localhost.evil.example",
        "xmgmt.example.com", "1.2.3.4.5", "[::1].evil.example", "a:b:c"})
    EXPECT_FALSE(guard_.serves(bad)) << bad;
}

}  // namespace
}  // namespace fb
