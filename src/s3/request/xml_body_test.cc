// SPDX-License-Identifier: Apache-2.0
#include "s3/request/xml_body.h"

#include <gtest/gtest.h>

#include "s3/request/route.h"

namespace fb::s3 {
namespace {

template <class T>
std::string_view code(const S3Result<T>& result) {
  return result ? "ok" : result.error().code();
}

TEST(DeleteBody, Parses) {
  const auto body = parse_delete_body(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      "<Quiet> true\n</Quiet><!-- & <x --><Object><Key>a&amp;b&#x20;c</Key></Object>"
      "<Object>\n<VersionId>null</VersionId><Key> </Key></Object>"
      "<Object><Key><![CDATA[<&]]>d&#1;\r\n</Key></Object></Delete>");
  ASSERT_TRUE(body) << body.error().text();
  EXPECT_TRUE(body->quiet);
  ASSERT_EQ(body->items.size(), 3U);
  EXPECT_EQ(body->items[0].key, "a&b c");
  EXPECT_EQ(body->items[1].key, " ");
  EXPECT_EQ(body->items[1].version_id, "null");
  EXPECT_FALSE(body->items[1].refusal);
  EXPECT_EQ(body->items[2].key, "<&d\x01\n");
}

// A misspelt condition would delete what it was to protect.
TEST(DeleteBody, ElementsOutsideTheSchemaAreRefused) {
  const auto run = [](std::string_view inner) {
    const std::string body = "<Delete>" + std::string(inner) + "</Delete>";
    return std::string(code(parse_delete_body(body)));
  };
  EXPECT_EQ(run("<Object><Key>a</Key></Object>"), "ok");
  EXPECT_EQ(run("<Object><Key>a</Key></Object><Unknown/>"), "MalformedXML");
  EXPECT_EQ(run("<Object><Key>a</Key><Etag>e</Etag></Object>"), "MalformedXML");
  EXPECT_EQ(run("<Object><Key>a</Key><Key>b</Key></Object>"), "MalformedXML");
  EXPECT_EQ(run("<Quiet>true</Quiet><Quiet>false</Quiet><Object><Key>a</Key></Object>"), "MalformedXML");
  const auto empty_version =
      parse_delete_body("<Delete><Object><Key>a</Key><VersionId></VersionId></Object></Delete>");
  ASSERT_TRUE(empty_version);
  EXPECT_EQ(empty_version->items[0].refusal->error, S3Error::InvalidArgument);
}

TEST(DeleteBody, NamespacePrefixesAreIgnored) {
  const auto body =
      parse_delete_body("<s3:Delete xmlns:s3=\"x\"><s3:Object><s3:Key>k</s3:Key></s3:Object></s3:Delete>");
  ASSERT_TRUE(body);
  EXPECT_EQ(body->items[0].key, "k");
}

TEST(DeleteBody, RefusesSingleKeys) {
  const std::string long_key(kKeySizeMax + 1, 'k');
  const auto body = parse_delete_body("<Delete><Object><Key>" + long_key +
                                      "</Key></Object><Object><Key>a</Key><VersionId>v1</VersionId></Object>"
                                      "<Object><Key>b</Key><Size>1</Size></Object>"
                                      "<Object><Key>c</Key><ETag>x, y</ETag></Object></Delete>");
  ASSERT_TRUE(body);
  EXPECT_EQ(body->items[0].refusal->error, S3Error::KeyTooLongError);
  EXPECT_EQ(body->items[1].refusal->error, S3Error::NotImplemented);
  EXPECT_EQ(body->items[2].refusal->error, S3Error::NotImplemented);
  EXPECT_EQ(body->items[3].refusal->error, S3Error::NotImplemented);
}

TEST(DeleteBody, Conditions) {
  const auto body = parse_delete_body(
      "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><ETag> &quot;x&quot; </ETag></Object>"
      "<Object><ETag>*</ETag><Key>c</Key></Object></Delete>");
  ASSERT_TRUE(body);
  EXPECT_FALSE(body->items[0].etag);
  EXPECT_EQ(body->items[1].etag, "\"x\"");
  EXPECT_EQ(body->items[2].etag, "*");
  for (const DeleteItem& item : body->items) EXPECT_FALSE(item.refusal);
  EXPECT_EQ(
      code(parse_delete_body("<Delete><Object><Key>a</Key><ETag>x</ETag><ETag>y</ETag></Object></Delete>")),
      "MalformedXML");
}

TEST(DeleteBody, Limits) {
  const auto with = [](size_t count) {
    std::string body = "<Delete>";
    for (size_t i = 0; i < count; ++i) body += "<Object><Key>k</Key></Object>";
    return parse_delete_body(body + "</Delete>");
  };
  EXPECT_EQ(with(1000)->items.size(), 1000U);
  EXPECT_EQ(code(with(1001)), "MalformedXML");
  EXPECT_EQ(code(with(0)), "MalformedXML");
  EXPECT_EQ(code(parse_delete_body(std::string(kDeleteBodySizeMax + 1, ' '))), "MaxMessageLengthExceeded");
  EXPECT_EQ(code(parse_delete_body("")), "MissingRequestBodyError");
}

TEST(DeleteBody, Malformed) {
  const std::string_view bodies[] = {
      " ",
      "x",
      "<Delete>",
      "<Delete/>",
      "<delete><Object><Key>k</Key></Object></delete>",
      "<Delete><Object></Object></Delete>",
      "<Delete><Object><Key/></Object></Delete>",
      "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
      "<Delete><Object><Key><b>a</b></Key></Object></Delete>",
      "<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
      "<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
      "<Delete><Object><Key>a&#0;b</Key></Object></Delete>",
      "<Delete><Object><Key>a&#x000;b</Key></Object></Delete>",
      "<Delete><Object><Key>a&#xD800;b</Key></Object></Delete>",
      "<Delete><Object><Key>a&#x110000;b</Key></Object></Delete>",
      "<Delete><Object><Key>a&#-1;b</Key></Object></Delete>",
      "<Delete><Object><Key>a&nbsp;b</Key></Object></Delete>",
      "<Delete><Object><Key>a & b</Key></Object></Delete>",
      "<Delete><Object><Key>\xFF</Key></Object></Delete>",
      "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
      "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b "
      "\"&a;&a;\">]><Delete><Object><Key>&b;</Key></Object></Delete>",
      "<!DOCTYPE d [<!ENTITY x SYSTEM "
      "\"file:///etc/passwd\">]><Delete><Object><Key>&x;</Key></Object></Delete>",
      "<Delete><Object><Key><![CDATA[a</Key></Object></Delete>",
      "<Delete><!-- <Object><Key>a</Key></Object></Delete>",
      "junk<Delete><Object><Key>a</Key></Object></Delete>",
      "<?xml version=\"1.0\"?>junk<Delete><Object><Key>a</Key></Object></Delete>",
      "<Delete><Object><Key>a</Key></Object></Delete>tail",
      "<Delete>text<Object><Key>a</Key></Object></Delete>",
      "<Delete><Object>text<Key>a</Key></Object></Delete>",
      "<Delete><Object><Key>a</Key><![CDATA[text]]></Object></Delete>",
  };
  for (std::string_view body : bodies) EXPECT_EQ(code(parse_delete_body(body)), "MalformedXML") << body;
  using namespace std::string_view_literals;
  EXPECT_EQ(code(parse_delete_body("<Delete><Object><Key>a\0b</Key></Object></Delete>"sv)), "MalformedXML");
}

TEST(DeleteBody, MemoryIsBoundedByMarkup) {
  std::string elements = "<Delete>";
  for (int i = 0; i < 500'000; ++i) elements += "<a/>";
  EXPECT_EQ(code(parse_delete_body(elements + "</Delete>")), "MalformedXML");
  std::string attributes = "<Delete ";
  for (int i = 0; i < 500'000; ++i) attributes += "a='' ";
  EXPECT_EQ(code(parse_delete_body(attributes + "/>")), "MalformedXML");
  // Text is no markup.
  std::string keys = "<Delete>";
  for (int i = 0; i < 1000; ++i) keys += "<Object><Key>" + std::string(kKeySizeMax, '=') + "</Key></Object>";
  EXPECT_TRUE(parse_delete_body(keys + "</Delete>"));
}

TEST(DeleteBody, DeepNestingIsHarmless) {
  std::string body = "<Delete>";
  for (int i = 0; i < 100'000; ++i) body += "<a>";
  EXPECT_EQ(code(parse_delete_body(body)), "MalformedXML");
  for (int i = 0; i < 100'000; ++i) body += "</a>";
  EXPECT_EQ(code(parse_delete_body(body + "</Delete>")), "MalformedXML");
}

std::string complete(std::string_view parts) {
  return "<CompleteMultipartUpload>" + std::string(parts) + "</CompleteMultipartUpload>";
}

TEST(CompleteBody, Parses) {
  const auto parts = parse_complete_body(complete(
      "<Part><PartNumber>1</PartNumber><ETag>\"abc\"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
      "<Part><ETag>&quot;def&quot;</ETag><PartNumber> 10000 </PartNumber></Part>"));
  ASSERT_TRUE(parts) << parts.error().text();
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ(parts->at(0).number, 1U);
  EXPECT_EQ(parts->at(0).etag, "abc");
  ASSERT_EQ(parts->at(0).checksums.size(), 1U);
  EXPECT_EQ(parts->at(0).checksums[0].kind(), ChecksumKind::crc32);
  EXPECT_EQ(parts->at(1).number, 10000U);
  EXPECT_EQ(parts->at(1).etag, "def");
}

TEST(CompleteBody, TheLargestOneIsAccepted) {
  std::string parts;
  for (uint32_t number = 1; number <= kPartNumberMax; ++number) {
    parts +=
        fmt::format("<Part>\n  <ETag>\"{:032x}\"</ETag>\n  <PartNumber>{}</PartNumber>\n", number, number);
    for (ChecksumKind kind : kChecksumKinds) {
      const std::string zeros(checksum_size(kind), '\0');
      parts += fmt::format("  <Checksum{0}>{1}</Checksum{0}>\n", checksum_name(kind),
                           base64_encode(as_bytes(zeros)));
    }
    parts += "</Part>\n";
  }
  const auto parsed = parse_complete_body(complete(parts));
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->size(), kPartNumberMax);
  EXPECT_EQ(parsed->back().checksums.size(), kChecksumKinds.size());
}

TEST(CompleteBody, Refuses) {
  const auto part = [](std::string_view number, std::string_view rest = "<ETag>e</ETag>") {
    return fmt::format("<Part><PartNumber>{}</PartNumber>{}</Part>", number, rest);
  };
  const auto run = [](const std::string& parts) { return code(parse_complete_body(complete(parts))); };
  EXPECT_EQ(code(parse_complete_body("")), "MalformedXML");
  EXPECT_EQ(run(""), "MalformedXML");
  EXPECT_EQ(run(part("1", "")), "MalformedXML");
  EXPECT_EQ(run("<Part><ETag>e</ETag></Part>"), "MalformedXML");
  EXPECT_EQ(run(part("x")), "MalformedXML");
  EXPECT_EQ(run(part("")), "MalformedXML");
  EXPECT_EQ(run(part("0")), "InvalidArgument");
  EXPECT_EQ(run(part("10001")), "InvalidArgument");
  EXPECT_EQ(run(part("99999999999999")), "InvalidArgument");
  EXPECT_EQ(run(part("-1")), "InvalidArgument");
  EXPECT_EQ(run(part("2") + part("1")), "InvalidPartOrder");
  EXPECT_EQ(run(part("2") + part("2")), "InvalidPartOrder");
  EXPECT_EQ(run(part("1", "<ETag>e</ETag><ChecksumCRC32>AAAA</ChecksumCRC32>")), "InvalidArgument");
  EXPECT_EQ(run(part("1", "<ETag>e</ETag><CheckSumCRC32>AAAA</CheckSumCRC32>")), "MalformedXML");
  EXPECT_EQ(run(part("1", "<ETag>e</ETag><ETag>f</ETag>")), "MalformedXML");
  EXPECT_EQ(run(part("1", "<ETag>e</ETag><ChecksumMD9>AAAA</ChecksumMD9>")), "NotImplemented");
}

TEST(CreateBucketBody, Parses) {
  EXPECT_TRUE(parse_create_bucket_body(""));
  EXPECT_EQ(parse_create_bucket_body("<CreateBucketConfiguration xmlns=\"x\"><LocationConstraint>eu-west-1"
                                     "</LocationConstraint></CreateBucketConfiguration>")
                ->location_constraint,
            "eu-west-1");
  EXPECT_TRUE(parse_create_bucket_body("<CreateBucketConfiguration/>"));
  EXPECT_TRUE(parse_create_bucket_body("<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>"));
  EXPECT_EQ(code(parse_create_bucket_body(
                "<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>")),
            "NotImplemented");
  EXPECT_EQ(
      code(parse_create_bucket_body("<CreateBucketConfiguration><LocationConstraint>a b</LocationConstraint>"
                                    "</CreateBucketConfiguration>")),
      "InvalidLocationConstraint");
  EXPECT_EQ(code(parse_create_bucket_body("<Delete/>")), "MalformedXML");
}

TEST(ErrorBody, IsWhatTheServerWrites) {
  std::string body;
  append_error_xml(S3Failure(S3Error::NoSuchKey, "a < b").with("Key", "k"), "/bucket/k", "id", "host", body);
  const auto error = parse_error_body(body);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "NoSuchKey");
  EXPECT_EQ(error->message, "a < b");
  EXPECT_EQ(error->request_id, "id");
  for (std::string_view other :
       {"", "<html></html>", "<Error/>", "<Error><Code><b/></Code></Error>", "Error"}) {
    EXPECT_FALSE(parse_error_body(other)) << other;
  }
}

}  // namespace
}  // namespace fb::s3
