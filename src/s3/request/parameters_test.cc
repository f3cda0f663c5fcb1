// SPDX-License-Identifier: Apache-2.0
#include "s3/request/parameters.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fb::s3 {
namespace {

std::string check(Operation operation, std::string_view query, const std::vector<HeaderField>& headers = {}) {
  RequestHead head;
  head.query = query;
  head.headers = headers;
  Route route;
  route.operation = operation;
  route.query = QueryView(query);
  const auto result = check_parameters({head, route, "123456789012", 0});
  return result ? "ok" : std::string(result.error().code());
}

constexpr auto kGet = Operation::GetObject;
constexpr auto kPut = Operation::PutObject;

// Also those of operations that have been added since, as nothing takes what it does not name.
TEST(Parameters, UnknownHeadersAreRefusedByEveryOperation) {
  for (const OperationInfo& entry : kOperations) {
    EXPECT_EQ(check(entry.operation, "", {{"X-Amz-New", "1"}}), "NotImplemented") << entry.name;
    EXPECT_EQ(check(entry.operation, "", {{"x-amz-new", ""}, {"x-new", "1"}}), "ok") << entry.name;
    EXPECT_EQ(check(entry.operation, "x-id=a&new=1&X-Amz-Date=2"), "ok") << entry.name;
  }
}

TEST(Parameters, HeadersOfOtherOperations) {
  EXPECT_EQ(check(kGet, "", {{"x-amz-copy-source", "b/k"}}), "InvalidArgument");
  EXPECT_EQ(check(Operation::CopyObject, "", {{"x-amz-copy-source", "b/k"}}), "ok");
  EXPECT_EQ(check(kPut, "", {{"x-amz-rename-source", "k"}}), "NotImplemented");
  EXPECT_EQ(check(Operation::AbortMultipartUpload, "", {{"x-amz-if-match-initiated-time", "now"}}),
            "NotImplemented");
  EXPECT_EQ(check(Operation::UploadPart, "", {{"x-amz-meta-a", "b"}}), "InvalidArgument");
  EXPECT_EQ(check(kGet, "", {{"x-amz-meta-a", "b"}}), "ok") << "a read stores nothing";
  EXPECT_EQ(check(Operation::DeleteObject, "", {{"x-amz-bypass-governance-retention", "true"}}), "ok");
  EXPECT_EQ(check(kPut, "", {{"x-amz-bypass-governance-retention", "true"}}), "NotImplemented");
  const HeaderField algorithm{"x-amz-checksum-algorithm", "CRC32"};
  EXPECT_EQ(check(kPut, "", {algorithm}), "NotImplemented");
  EXPECT_EQ(check(kPut, "", {algorithm, {"x-amz-checksum-crc32", "AAAAAA=="}}), "ok");
  EXPECT_EQ(check(kPut, "", {algorithm, {"x-amz-trailer", "x-amz-checksum-crc32"}}), "ok");
}

TEST(Parameters, QueryItems) {
  EXPECT_EQ(check(kGet, "versionId=abc&partNumber=1&response-expires=0"), "ok") << "the parser's business";
  for (std::string_view query :
       {"response-content-typ=x", "response-%63ontent-length=1", "Response-Expires=0", "versionid=a",
        "VersionId=a", "uploadID=a", "uploadId=a", "partnumber=1"}) {
    EXPECT_EQ(check(kGet, query), "InvalidArgument") << query;
  }
  for (std::string_view query : {"versionId=null", "version%49d=a", "partNumber=1", "response-expires=0"})
    EXPECT_EQ(check(kPut, query), "InvalidArgument") << query;
  EXPECT_EQ(check(Operation::HeadBucket, "max-keys=0&prefix=a&marker=b"), "ok");
  EXPECT_EQ(check(Operation::ListObjectsV2, "marker=a"), "InvalidArgument");
  EXPECT_EQ(check(Operation::ListObjectsV2, "marker="), "ok");
  EXPECT_EQ(check(kGet, "%zz=1"), "InvalidURI");
}

TEST(Parameters, GivenTwice) {
  EXPECT_EQ(check(kGet, "versionId=null&versionId=abc"), "InvalidArgument");
  EXPECT_EQ(check(kGet, "versionId=null&versionId=null"), "ok");
  EXPECT_EQ(check(kGet, "response-expires=1&response-expires=2"), "InvalidArgument");
  EXPECT_EQ(check(kGet, "response-expires=1&response-%65xpires=1"), "ok");
  EXPECT_EQ(check(Operation::ListObjectsV2, "list-type=2&list-type=1"), "InvalidArgument");
  EXPECT_EQ(check(kPut, "", {{"Content-MD5", "a"}, {"content-md5", "b"}}), "InvalidArgument");
  EXPECT_EQ(check(kPut, "", {{"x-amz-acl", "private"}, {"x-amz-acl", "private"}}), "ok");
  EXPECT_EQ(check(Operation::CopyObject, "", {{"x-amz-copy-source", "a"}, {"X-Amz-Copy-Source", "b"}}),
            "InvalidArgument");
  EXPECT_EQ(check(kGet, "", {{"If-Match", "a"}, {"If-Match", "b"}}), "ok") << "together they are one list";
}

TEST(Parameters, HeaderSection) {
  RequestHead head;
  const std::string name = "x-amz-meta-a";
  std::string value(kHeaderSectionSizeMax - name.size(), 'v');
  std::vector<HeaderField> fields = {{name, value}};
  head.headers = fields;
  EXPECT_TRUE(check_header_section(head));
  value.push_back('v');
  fields[0].value = value;
  EXPECT_EQ(check_header_section(head).error().error, S3Error::RequestHeaderSectionTooLarge);
}

}  // namespace
}  // namespace fb::s3
