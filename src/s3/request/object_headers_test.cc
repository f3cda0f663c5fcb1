// SPDX-License-Identifier: Apache-2.0
#include "s3/request/object_headers.h"

#include <gtest/gtest.h>

#include <vector>

#include "s3/request/header_rules.h"
#include "s3/request/parameters.h"

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
  Route route;
  route.operation = Operation::PutObject;
  const auto result = with({{"Host", "h"}, {name, value}}, [&](const RequestHead& head) {
    return check_parameters({head, route, kAccount, 0});
  });
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
  EXPECT_EQ(check("x-amz-expected-bucket-owner", "1"), "InvalidBucketOwnerAWSAccountID");
  EXPECT_EQ(check("x-amz-expected-bucket-owner", "999999999999"), "AccessDenied");
  EXPECT_EQ(check("x-amz-source-expected-bucket-owner", "999999999999"), "AccessDenied");
}

// A value that S3 does not know is not taken for one of a function that is not built.
TEST(UnsupportedHeaders, ValuesThatNobodyKnows) {
  for (std::string_view name :
       {"x-amz-acl", "x-amz-object-ownership", "x-amz-object-lock-mode", "x-amz-object-lock-legal-hold",
        "x-amz-server-side-encryption", "x-amz-tagging-directive", "x-amz-bucket-object-lock-enabled"}) {
    EXPECT_EQ(check(name, "nonsense"), "InvalidArgument") << name;
  }
}

TEST(UnsupportedHeaders, TheMessageNamesTheValueAndTheWayOut) {
  const S3Failure failure = unsupported_header({"x-amz-acl", "public-read"}, "private");
  EXPECT_TRUE(failure.text().starts_with(info(S3Error::NotImplemented).message));
  for (std::string_view part : {"x-amz-acl", "public-read", "private"})
    EXPECT_NE(failure.text().find(part), std::string_view::npos) << part;
}

// The last twelve digits of the owner's canonical id are its account's number.
TEST(UnsupportedHeaders, ExpectedOwner) {
  const std::string owner = std::string(51, 'f') + "0" + "000000000001";
  const auto check_owner = [&](std::string_view expected) {
    const auto result = check_header_value("expected-bucket-owner", {"", expected}, owner);
    return result ? "ok" : std::string(result.error().code());
  };
  EXPECT_EQ(check_owner("000000000001"), "ok");
  EXPECT_EQ(check_owner(owner), "ok");
  EXPECT_EQ(check_owner("000000000002"), "AccessDenied");
  EXPECT_EQ(check_owner("00000000001"), "InvalidBucketOwnerAWSAccountID");
}

TEST(UnsupportedHeaders, HarmlessOnesPass) {
  for (std::string_view name :
       {"x-amz-sdk-checksum-algorithm", "amz-sdk-request", "x-amz-date", "x-amz-meta-acl", "x-amz-te"}) {
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
