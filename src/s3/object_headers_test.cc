// SPDX-License-Identifier: Apache-2.0
#include "s3/object_headers.h"

#include <gtest/gtest.h>

#include <vector>

namespace fb::s3 {
namespace {

constexpr std::string_view kAccount = "123456789012";

template <class F>
auto with(const std::vector<HeaderField>& headers, F&& parse) {
  RequestHead head;
  head.headers = headers;
  return parse(head);
}

std::string check(std::string_view name, std::string_view value) {
  const auto result = with({{"Host", "h"}, {name, value}},
                           [](const RequestHead& head) { return check_unsupported_headers(head, kAccount); });
  return result ? "ok" : std::string(result.error().code());
}

TEST(UnsupportedHeaders, DefaultsPassAndOthersDoNot) {
  EXPECT_EQ(check("X-Amz-Acl", "private"), "ok");
  EXPECT_EQ(check("x-amz-acl", "public-read"), "NotImplemented");
  EXPECT_EQ(check("x-amz-acl", "bucket-owner-full-control"), "ok");
  EXPECT_EQ(check("x-amz-grant-full-control", "bucket-owner-full-control"), "NotImplemented");
  EXPECT_EQ(check("x-amz-grant-read", "id=1"), "NotImplemented");
  EXPECT_EQ(check("x-amz-storage-class", "STANDARD"), "ok");
  EXPECT_EQ(check("x-amz-storage-class", "GLACIER"), "NotImplemented");
  EXPECT_EQ(check("x-amz-storage-class", "FAST"), "InvalidStorageClass");
  EXPECT_EQ(check("x-amz-server-side-encryption", "AES256"), "NotImplemented");
  EXPECT_EQ(check("x-amz-server-side-encryption", "aws:kms"), "NotImplemented");
  EXPECT_EQ(check("x-amz-server-side-encryption-customer-key", "k"), "NotImplemented");
  EXPECT_EQ(check("x-amz-server-side-encryption-bucket-key-enabled", "false"), "ok");
  EXPECT_EQ(check("x-amz-server-side-encryption-bucket-key-enabled", "true"), "NotImplemented");
  EXPECT_EQ(check("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"), "NotImplemented");
  EXPECT_EQ(check("x-amz-tagging", ""), "ok");
  EXPECT_EQ(check("x-amz-tagging", "a=b"), "NotImplemented");
  EXPECT_EQ(check("x-amz-tagging-directive", "COPY"), "ok");
  EXPECT_EQ(check("x-amz-tagging-directive", "REPLACE"), "ok");
  EXPECT_EQ(check("x-amz-object-lock-mode", "GOVERNANCE"), "NotImplemented");
  EXPECT_EQ(check("x-amz-object-lock-legal-hold", "OFF"), "ok");
  EXPECT_EQ(check("x-amz-object-lock-legal-hold", "ON"), "NotImplemented");
  EXPECT_EQ(check("x-amz-bucket-object-lock-enabled", "False"), "ok");
  EXPECT_EQ(check("x-amz-bucket-object-lock-enabled", "true"), "NotImplemented");
  EXPECT_EQ(check("x-amz-object-ownership", "BucketOwnerEnforced"), "ok");
  EXPECT_EQ(check("x-amz-object-ownership", "ObjectWriter"), "NotImplemented");
  EXPECT_EQ(check("x-amz-website-redirect-location", "/x"), "NotImplemented");
  EXPECT_EQ(check("x-amz-request-payer", "requester"), "ok");
  EXPECT_EQ(check("x-amz-mfa", "1 2"), "NotImplemented");
  EXPECT_EQ(check("x-amz-write-offset-bytes", "0"), "NotImplemented");
  EXPECT_EQ(check("x-amz-expected-bucket-owner", kAccount), "ok");
  EXPECT_EQ(check("x-amz-expected-bucket-owner", "1"), "AccessDenied");
  EXPECT_EQ(check("x-amz-source-expected-bucket-owner", "1"), "AccessDenied");
}

TEST(UnsupportedHeaders, UnknownOnesPass) {
  for (std::string_view name :
       {"x-amz-sdk-checksum-algorithm", "amz-sdk-request", "x-amz-date", "x-amz-meta-acl", "x-amz-new"}) {
    EXPECT_EQ(check(name, "value"), "ok") << name;
  }
}

TEST(ResponseOverrides, Parse) {
  const auto overrides =
      parse_response_overrides(QueryView("response-content-type=text%2Fplain&x=1&response-expires=a+b"));
  EXPECT_TRUE(overrides->any);
  EXPECT_EQ(overrides->values[0], "text/plain");
  EXPECT_EQ(overrides->values[5], "a b");
  EXPECT_FALSE(parse_response_overrides(QueryView("a=b"))->any);
  EXPECT_FALSE(parse_response_overrides(QueryView("response-content-type=a%0D%0ASet-Cookie:x")));
  EXPECT_FALSE(parse_response_overrides(QueryView("response-content-type=%zz")));
}

}  // namespace
}  // namespace fb::s3
