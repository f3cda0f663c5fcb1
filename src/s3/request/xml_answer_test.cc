// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "s3/request/xml_body.h"
#include "s3/response/responses.h"

// What clouds answer, in the shapes of AWS, MinIO and s3rver, and what only looks like it.

namespace fb::s3 {
namespace {

constexpr std::string_view kDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

template <class T>
std::string_view code(const S3Result<T>& result) {
  return result ? "ok" : result.error().code();
}

const std::string kAwsList =
    std::string(kDeclaration) +
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>large-objects</Name>"
    "<Prefix>p/</Prefix><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</"
    "NextContinuationToken>"
    "<KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>"
    "<Contents><Key>p/00ff/1/0001-0000000000000001</Key><LastModified>2026-11-28T10:00:00.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e-2&quot;</ETag><ChecksumAlgorithm>CRC32C</ChecksumAlgorithm>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>16777216</Size><StorageClass>STANDARD</StorageClass></"
    "Contents>"
    "<Contents><Key>p/a&amp;b &lt;c&gt; &#x1F600;&apos;</Key><Size>18446744073709551616</Size></Contents>"
    "</ListBucketResult>";

const std::string kMinioUploads =
    std::string(kDeclaration) +
    "<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>"
    "<KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker><NextKeyMarker>p/k2</NextKeyMarker>"
    "<NextUploadIdMarker>ZGVm</NextUploadIdMarker><Delimiter></Delimiter><Prefix>p/</Prefix>"
    "<EncodingType></EncodingType><MaxUploads>1000</MaxUploads><IsTruncated>true</IsTruncated>"
    "<Upload><Key>p/k</Key><UploadId>YWJj</UploadId><Initiator><ID></ID><DisplayName>x</DisplayName></"
    "Initiator>"
    "<Owner><ID></ID><DisplayName></DisplayName></Owner><StorageClass></StorageClass>"
    "<Initiated>2026-11-28T10:00:00.000Z</Initiated></Upload>"
    "<Upload><Key>p/k2</Key><UploadId>ZGVm</UploadId></Upload></ListMultipartUploadsResult>";

TEST(ListResult, OfAws) {
  const auto list = parse_list_result(kAwsList);
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(list->items[0].key, "p/00ff/1/0001-0000000000000001");
  EXPECT_EQ(list->items[1].key, "p/a&b <c> \xF0\x9F\x98\x80'");
  EXPECT_TRUE(list->truncated);
  EXPECT_EQ(list->next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
}

TEST(ListResult, OfS3rver) {
  // Indented, without a declaration, its owner before the rest.
  const auto list = parse_list_result(
      "<ListBucketResult xmlns=\"http://doc.s3.amazonaws.com/2006-03-01\">\n  <IsTruncated> "
      "false\n</IsTruncated>\n"
      "  <Contents>\n    <Owner>\n      <ID>123</ID>\n    </Owner>\n    <Key>a b</Key>\n    <!-- "
      "<Key>x</Key> -->\n"
      "  </Contents>\n  <CommonPrefixes><Prefix>q/</Prefix></CommonPrefixes>\n</ListBucketResult>\n");
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->items.size(), 1U);
  EXPECT_EQ(list->items[0].key, "a b");
  EXPECT_FALSE(list->truncated);
  EXPECT_TRUE(list->next_token.empty());
}

TEST(ListResult, WithNamespacePrefixesAndCdata) {
  const auto list = parse_list_result(
      "<a:ListBucketResult "
      "xmlns:a=\"http://s3.amazonaws.com/doc/2006-03-01/\"><a:Contents><a:Key>x<![CDATA[<&]]>y"
      "</a:Key></a:Contents><a:IsTruncated>1</a:IsTruncated></a:ListBucketResult>");
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->items.size(), 1U);
  EXPECT_EQ(list->items[0].key, "x<&y");
  EXPECT_TRUE(list->truncated);
}

TEST(ListResult, WithKeysEncodedAsUrls) {
  const auto encoded = [](std::string_view key) {
    return fmt::format(
        "<ListBucketResult><Contents><Key>{}</Key></Contents><EncodingType>url</EncodingType>"
        "<NextContinuationToken>a%2Fb+c</NextContinuationToken></ListBucketResult>",
        key);
  };
  const auto list = parse_list_result(encoded("p%2Fa+b%25%0A%C3%BC"));
  ASSERT_TRUE(list) << list.error().text();
  EXPECT_EQ(list->items[0].key, "p/a b%\n\xC3\xBC");
  EXPECT_EQ(list->next_token, "a%2Fb+c") << "a token is what it is";
  for (const std::string_view key : {"%", "a%2", "%zz"})
    EXPECT_EQ(code(parse_list_result(encoded(key))), "MalformedXML") << key;
  // Not said to be encoded: not decoded.
  EXPECT_EQ(parse_list_result("<ListBucketResult><Contents><Key>%41+</Key></Contents></ListBucketResult>")
                ->items[0]
                .key,
            "%41+");
}

TEST(ListResult, EmptyOnes) {
  for (const std::string_view body :
       {"<ListBucketResult/>", "<ListBucketResult xmlns=\"x\"></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents2/></ListBucketResult>"}) {
    const auto list = parse_list_result(body);
    ASSERT_TRUE(list) << body;
    EXPECT_TRUE(list->items.empty());
    EXPECT_FALSE(list->truncated);
  }
}

TEST(ListUploadsResult, OfMinio) {
  const auto list = parse_list_uploads_result(kMinioUploads);
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(list->items[0].key, "p/k");
  EXPECT_EQ(list->items[0].upload_id, "YWJj");
  EXPECT_TRUE(list->truncated);
  EXPECT_EQ(list->next_key, "p/k2");
  EXPECT_EQ(list->next_upload_id, "ZGVm");
  const auto encoded = parse_list_uploads_result(
      "<ListMultipartUploadsResult><EncodingType>url</EncodingType><NextKeyMarker>p%2Fk</NextKeyMarker>"
      "<NextUploadIdMarker>a%2Fb</NextUploadIdMarker><Upload><Key>p%2Fk</Key><UploadId>a%2Fb</UploadId></"
      "Upload>"
      "</ListMultipartUploadsResult>");
  ASSERT_TRUE(encoded);
  EXPECT_EQ(encoded->items[0].key, "p/k");
  EXPECT_EQ(encoded->items[0].upload_id, "a%2Fb");
  EXPECT_EQ(encoded->next_key, "p/k");
  EXPECT_EQ(encoded->next_upload_id, "a%2Fb");
}

TEST(ListResult, WhatMakesNoSenseIsRefused) {
  const auto list = [](std::string_view inside) {
    return code(parse_list_result(fmt::format("<ListBucketResult>{}</ListBucketResult>", inside)));
  };
  EXPECT_EQ(list("<Contents/>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key/></Contents>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key><b>x</b></Key></Contents>"), "MalformedXML");
  EXPECT_EQ(list("<IsTruncated>perhaps</IsTruncated>"), "MalformedXML");
  EXPECT_EQ(list("<IsTruncated>99999999999999999999</IsTruncated>"), "MalformedXML");
  EXPECT_EQ(list("<IsTruncated></IsTruncated>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key>&nbsp;</Key></Contents>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key>&#0;</Key></Contents>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key>&#x110000;</Key></Contents>"), "MalformedXML");
  EXPECT_EQ(list("<Contents><Key>\xC3\x28</Key></Contents>"), "MalformedXML");
  EXPECT_EQ(list("</ListBucketResult><ListBucketResult>"), "MalformedXML");
  for (const std::string_view other :
       {"<html><body>Login</body></html>", "<ListAllMyBucketsResult/>", "<ListMultipartUploadsResult/>",
        "<Error><Code>NoSuchBucket</Code></Error>", "{\"Contents\":[]}",
        "<!DOCTYPE x [<!ENTITY e \"k\">]><ListBucketResult/>"})
    EXPECT_EQ(code(parse_list_result(other)), "MalformedXML") << other;
  EXPECT_EQ(code(parse_list_result("")), "MissingRequestBodyError");
  EXPECT_EQ(code(parse_list_uploads_result("<ListBucketResult/>")), "MalformedXML");
}

TEST(InitiateResult, OfAll) {
  const auto aws = parse_initiate_result(
      std::string(kDeclaration) +
      "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>"
      "<Key>p/k</Key><UploadId>VXBsb2FkIElE_.~-</UploadId></InitiateMultipartUploadResult>");
  ASSERT_TRUE(aws) << aws.error().text();
  EXPECT_EQ(*aws, "VXBsb2FkIElE_.~-");
  const std::string huge(100'000, '9');
  EXPECT_EQ(parse_initiate_result("<InitiateMultipartUploadResult><UploadId>" + huge +
                                  "</UploadId></InitiateMultipartUploadResult>")
                .value_or(""),
            huge);
  for (const std::string_view other :
       {"<InitiateMultipartUploadResult/>",
        "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>",
        "<CompleteMultipartUploadResult><UploadId>a</UploadId></CompleteMultipartUploadResult>",
        "<InitiateMultipartUploadResult><UploadId><a/></UploadId></InitiateMultipartUploadResult>",
        "<Error><Code>AccessDenied</Code></Error>"})
    EXPECT_FALSE(parse_initiate_result(other)) << other;
}

TEST(ResultOf, TellsASuccessFromAnErrorBehind200) {
  // AWS keeps the connection alive with blanks while it joins parts.
  const std::string done =
      std::string(kDeclaration) +
      "\n \n<CompleteMultipartUploadResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Location>x</Location>"
      "<Bucket>b</Bucket><Key>k</Key><ETag>&#34;d41d8cd98f00b204e9800998ecf8427e-2&#34;</ETag>"
      "<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C></CompleteMultipartUploadResult>";
  const std::string error =
      std::string(kDeclaration) +
      "\n \n<Error><Code>InternalError</Code><Message>We encountered an internal error. Please "
      "try again.</Message><RequestId>656c76696e6727</RequestId></Error>";
  EXPECT_TRUE(is_result_of("CompleteMultipartUploadResult", done));
  EXPECT_FALSE(is_result_of("CompleteMultipartUploadResult", error));
  EXPECT_FALSE(is_result_of("CopyPartResult", done));
  EXPECT_FALSE(is_result_of("CompleteMultipartUploadResult", ""));
  const auto parsed = parse_error_body(error);
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->code, "InternalError");
  EXPECT_EQ(parsed->request_id, "656c76696e6727");
  for (const std::string_view root : {"CopyObjectResult", "CopyPartResult"}) {
    const std::string copied = fmt::format(
        "<{0} "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LastModified>2026-11-28T10:00:00.000Z</"
        "LastModified>"
        "<ETag>\"9b2cf535f27731c974343645a3985328\"</ETag></{0}>",
        root);
    EXPECT_TRUE(is_result_of(root, copied));
    EXPECT_FALSE(is_result_of("CompleteMultipartUploadResult", copied));
  }
}

TEST(ErrorBody, OfMinioAndOfS3rver) {
  const auto minio = parse_error_body(std::string(kDeclaration) +
                                      "<Error><Code>SlowDownWrite</Code><Message>Resource requested is "
                                      "unwritable, please reduce your request "
                                      "rate</Message><Key>p/k</Key><BucketName>b</BucketName><Resource>/b/p/"
                                      "k</Resource><RequestId>17A1</RequestId>"
                                      "<HostId>dd9025bab4ad464b</HostId></Error>");
  ASSERT_TRUE(minio) << minio.error().text();
  EXPECT_EQ(minio->code, "SlowDownWrite");
  const auto s3rver = parse_error_body(
      "<Error>\n  <Code>NoSuchKey</Code>\n  <Message>The specified key does not exist.</Message>\n  "
      "<Resource>p/k</Resource>\n</Error>\n");
  ASSERT_TRUE(s3rver);
  EXPECT_EQ(s3rver->code, "NoSuchKey");
}

// What there is of each kind, and whether it is accepted.
struct Answer {
  std::string_view name;
  std::string body;
  std::function<bool(std::string_view)> accepted;
};

std::vector<Answer> answers() {
  return {
      {"ListBucketResult", kAwsList,
       [](std::string_view body) { return parse_list_result(body).has_value(); }},
      {"ListMultipartUploadsResult", kMinioUploads,
       [](std::string_view body) { return parse_list_uploads_result(body).has_value(); }},
      {"InitiateMultipartUploadResult",
       "<InitiateMultipartUploadResult><Key>k</Key><UploadId>id</UploadId></InitiateMultipartUploadResult>",
       [](std::string_view body) { return parse_initiate_result(body).has_value(); }},
      {"CompleteMultipartUploadResult",
       "<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>",
       [](std::string_view body) { return is_result_of("CompleteMultipartUploadResult", body); }},
      {"CopyPartResult", "<CopyPartResult><ETag>&quot;e&quot;</ETag></CopyPartResult>",
       [](std::string_view body) { return is_result_of("CopyPartResult", body); }},
      {"Error", "<Error><Code>NoSuchKey</Code></Error>",
       [](std::string_view body) { return parse_error_body(body).has_value(); }}};
}

TEST(Answers, CutAnywhereAreRefused) {
  for (const Answer& answer : answers()) {
    EXPECT_TRUE(answer.accepted(answer.body)) << answer.name;
    for (size_t size = 0; size < answer.body.size(); ++size)
      EXPECT_FALSE(answer.accepted(std::string_view(answer.body).substr(0, size)))
          << answer.name << " " << size;
  }
}

TEST(Answers, OfTenMebibytesAreRefused) {
  constexpr size_t kHuge = 10 << 20;
  const auto fill = [](std::string_view piece, size_t size) {
    std::string text;
    while (text.size() < size) text += piece;
    return text;
  };
  for (const Answer& answer : answers()) {
    const std::string open = fmt::format("<{}>", answer.name);
    const std::string close = fmt::format("</{}>", answer.name);
    for (const size_t size : {kHuge, kAnswerBodySizeMax - 1'000, kErrorBodySizeMax - 1'000}) {
      const bool small = size < kErrorBodySizeMax;
      EXPECT_FALSE(answer.accepted(open + fill("<a>", size))) << answer.name << size;
      EXPECT_FALSE(answer.accepted(fmt::format("<{} {}>", answer.name, fill("a='' ", size)))) << answer.name;
      EXPECT_FALSE(answer.accepted(open + "<Key " + fill("a='b' ", size))) << answer.name << size;
      const std::string nested = open + fill("<a>", size / 2) + fill("</a>", size / 2 + size / 6) + close;
      if (!small) EXPECT_FALSE(answer.accepted(nested)) << answer.name << size;
    }
    // Whole, and of a good size, with something else of it in front: as good as without.
    const std::string inner = answer.body.substr(answer.body.find('>', answer.body.find(answer.name)) + 1);
    EXPECT_TRUE(answer.accepted(open + fill("<a x='y'>", 9'000) + fill("</a>", 4'000) + inner))
        << answer.name;
  }
}

}  // namespace
}  // namespace fb::s3
