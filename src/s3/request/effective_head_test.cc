// SPDX-License-Identifier: Apache-2.0
#include "s3/request/effective_head.h"

#include <gtest/gtest.h>

#include "s3/request/parameters.h"
#include "s3/test_request.h"

namespace fb::s3 {
namespace {

// "name: value\n..." of all headers, or the code of the problem.
std::string fold(std::string_view text) {
  TestRequest request(text);
  const RequestHead& sent = request.head();
  const EffectiveHead effective(sent, sent.query);
  if (!effective.problem()) {
    EXPECT_EQ(effective.head().headers.data(), sent.headers.data());
    return std::string(effective.problem().error().code());
  }
  std::string out;
  for (const HeaderField& field : effective.head().headers)
    out.append(field.name).append(": ").append(field.value).append("\n");
  return out;
}

TEST(EffectiveHead, ItemsBecomeHeaders) {
  EXPECT_EQ(fold("PUT /b/k?x-id=PutObject&X-Amz-Meta-A=1%202&x%2Damz-acl=private&x-amz-tagging\nHost: h"),
            "Host: h\nx-amz-meta-a: 1 2\nx-amz-acl: private\nx-amz-tagging: \n");
  EXPECT_EQ(fold("PUT /b/k?x-amz-meta-a=1&x-amz-meta-a=+2+\nHost: h"),
            "Host: h\nx-amz-meta-a: 1\nx-amz-meta-a: 2\n");
  EXPECT_EQ(fold("PUT /b/k?x-amz-meta-a=1\nX-Amz-Meta-A: 1"), "X-Amz-Meta-A: 1\n") << "the same counts once";
}

TEST(EffectiveHead, NothingToFoldLeavesTheHeaders) {
  for (const char* text :
       {"GET /b/k\nHost: h",
        "GET /b/k?X-Amz-Algorithm=a&X-Amz-Credential=c&X-Amz-Date=d&X-Amz-Expires=1"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=s&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD\nHost: h",
        "PUT "
        "/b/"
        "k?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-amz-checksum-new=x\nHost: "
        "h",
        "PUT /b/k?content-type=text%2Fhtml&content-md5=x\nHost: h"}) {
    TestRequest request(text);
    const RequestHead& sent = request.head();
    const EffectiveHead effective(sent, sent.query);
    EXPECT_TRUE(effective.problem()) << text;
    EXPECT_EQ(effective.head().headers.data(), sent.headers.data()) << text;
  }
  EXPECT_EQ(
      fold("PUT "
           "/b/k?x-amz-checksum-algorithm=CRC32&x-amz-checksum-type=COMPOSITE&x-amz-checksum-mode=ENABLED"),
      "x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: COMPOSITE\nx-amz-checksum-mode: ENABLED\n");
}

TEST(EffectiveHead, TypeAndDigestOfVersion2) {
  const std::string claims =
      "PUT /b/k?AWSAccessKeyId=a&Expires=1&Signature=s&Content-Type=text%2Fplain&content-md5=x%3D";
  EXPECT_EQ(fold(claims), "content-type: text/plain\ncontent-md5: x=\n");
  EXPECT_EQ(fold(claims + "\nContent-Type: text/html"), "Content-Type: text/html\ncontent-md5: x=\n");
}

TEST(EffectiveHead, Problems) {
  const std::pair<const char*, const char*> cases[] = {
      {"x-amz-copy-source=%2Fb%2Fk", "InvalidRequest"},
      {"X-Amz-Copy-Source=%2Fb%2Fk", "InvalidRequest"},
      {"x-amz-copy-source-range=bytes%3D0-1", "InvalidRequest"},
      {"x-amz-security-token=t", "InvalidToken"},
      {"x-amz-content-sha256=UNSIGNED-PAYLOAD", "InvalidArgument"},
      {"x-amz-meta-a=1%0D%0Ax-evil:%201", "InvalidArgument"},
      {"x-amz-meta-a=%00", "InvalidArgument"},
      {"x-amz-meta-a%0D%0Aevil=1", "InvalidArgument"},
      {"x-amz-meta-a%3Aevil=1", "InvalidArgument"},
      {"x-amz-meta-a=%zz", "InvalidURI"},
      {"x-amz-meta-%zz=1", "InvalidURI"}};
  for (const auto& [query, code] : cases)
    EXPECT_EQ(fold("PUT /b/k?" + std::string(query) + "\nHost: h"), code) << query;
  EXPECT_EQ(fold("PUT /b/k?x-amz-meta-a=1\nx-amz-meta-a: 2"), "InvalidArgument");
  std::string many = "PUT /b/k?a";
  for (int i = 0; i < 129; ++i) many += "&x-amz-meta-a=1";
  EXPECT_EQ(fold(many), "InvalidURI");
}

// Each function that is refused as a header is refused as an item.
TEST(EffectiveHead, RefusedFunctionsStayRefused) {
  for (const char* item : {"x-amz-server-side-encryption=AES256", "x-amz-storage-class=GLACIER",
                           "x-amz-tagging=a%3Db", "x-amz-acl=public-read",
                           "x-amz-website-redirect-location=%2Fx", "x-amz-object-lock-mode=GOVERNANCE"}) {
    const std::string text = "PUT /b/k?" + std::string(item) + "\nHost: h";
    TestRequest request{std::string_view(text)};
    const RequestHead& sent = request.head();
    const EffectiveHead effective(sent, sent.query);
    Route route;
    route.operation = Operation::PutObject;
    EXPECT_TRUE(check_parameters({sent, route, "123456789012", 0})) << "is not seen in the query itself";
    const auto refused = check_parameters({effective.head(), route, "123456789012", 0});
    ASSERT_FALSE(refused) << item;
    EXPECT_EQ(refused.error().code(), "NotImplemented") << item;
  }
}

}  // namespace
}  // namespace fb::s3
