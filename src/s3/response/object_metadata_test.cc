// SPDX-License-Identifier: Apache-2.0
#include "s3/response/object_metadata.h"

#include <gtest/gtest.h>

#include <vector>

namespace fb::s3 {
namespace {

S3Result<std::string> parse(const std::vector<HeaderField>& headers) {
  RequestHead head;
  head.headers = headers;
  return parse_object_metadata(head);
}

std::string emitted(std::string_view metadata, const ResponseOverrides& overrides = {}) {
  std::string text;
  const bool good =
      emit_object_headers(metadata, overrides, [&](std::string_view name, std::string_view value) {
        text.append(name).append(": ").append(value).append("\n");
      });
  return good ? text : "damaged";
}

std::string round_trip(const std::vector<HeaderField>& headers) {
  const auto metadata = parse(headers);
  return metadata ? emitted(*metadata) : std::string(metadata.error().code());
}

TEST(ObjectMetadata, NothingGivenIsNothingStored) {
  EXPECT_EQ(*parse({{"Host", "x"}, {"Content-Length", "5"}}), "");
  EXPECT_EQ(emitted(""), "Content-Type: binary/octet-stream\n");
}

TEST(ObjectMetadata, SystemHeadersComeBack) {
  EXPECT_EQ(round_trip({{"content-TYPE", "text/plain"},
                        {"Expires", "never"},
                        {"Cache-Control", "no-cache"},
                        {"cache-control", "no-store"},
                        {"Content-Language", "de"},
                        {"Content-Disposition", "attachment; filename=\"\xC3\xA9\""}}),
            "Content-Type: text/plain\nCache-Control: no-cache,no-store\n"
            "Content-Disposition: attachment; filename=\"\xC3\xA9\"\nContent-Language: de\nExpires: never\n");
}

TEST(ObjectMetadata, ControlCharactersAreRefused) {
  EXPECT_EQ(round_trip({{"Content-Type", "a\r\nSet-Cookie: b"}}), "InvalidArgument");
  EXPECT_EQ(round_trip({{"Expires", "a\tb"}}), "Expires: a\tb\nContent-Type: binary/octet-stream\n");
}

TEST(ObjectMetadata, AwsChunkedIsNotStored) {
  const auto encoding = [](std::string_view value) {
    const auto metadata = parse({{"Content-Encoding", value}});
    MetadataReader reader(*metadata);
    const auto entry = reader.next();
    return entry ? std::string(entry->value) : "none";
  };
  EXPECT_EQ(encoding("aws-chunked"), "none");
  EXPECT_EQ(encoding("AWS-Chunked,gzip"), "gzip");
  EXPECT_EQ(encoding("gzip, aws-chunked"), "gzip");
  EXPECT_EQ(encoding("gzip, br"), "gzip, br");
  EXPECT_EQ(encoding("aws-chunked, gzip, br"), "gzip,br");
  EXPECT_EQ(round_trip({{"Content-Encoding", "gzip"}, {"Content-Encoding", "aws-chunked"}}),
            "Content-Encoding: gzip\nContent-Type: binary/octet-stream\n");
}

TEST(ObjectMetadata, UserMetadata) {
  EXPECT_EQ(
      round_trip({{"X-Amz-Meta-Colour", "Blue"}, {"x-amz-meta-empty", ""}, {"x-amz-meta-colour", "red"}}),
      "x-amz-meta-colour: Blue,red\nx-amz-meta-empty: \nContent-Type: binary/octet-stream\n");
  EXPECT_EQ(round_trip({{"x-amz-meta-", "v"}}), "InvalidArgument");
}

TEST(ObjectMetadata, UserMetadataBeyondAsciiIsSentAsEncodedWord) {
  EXPECT_EQ(round_trip({{"x-amz-meta-a", "caf\xC3\xA9"}}),
            "x-amz-meta-a: =?UTF-8?B?Y2Fmw6k=?=\nContent-Type: binary/octet-stream\n");
  EXPECT_EQ(round_trip({{"x-amz-meta-a", "caf\xE9"}}),
            "x-amz-meta-a: =?UTF-8?B?Y2Fmw6k=?=\nContent-Type: binary/octet-stream\n")
      << "what is not UTF-8 is ISO-8859-1";
  EXPECT_EQ(round_trip({{"x-amz-meta-a", "=?UTF-8?Q?caf=C3=A9?="}}),
            "x-amz-meta-a: =?UTF-8?B?Y2Fmw6k=?=\nContent-Type: binary/octet-stream\n");
  // A decoded line break never reaches a header.
  EXPECT_EQ(round_trip({{"x-amz-meta-a", "=?UTF-8?Q?a=0D=0Ab?="}}),
            "x-amz-meta-a: =?UTF-8?B?YQ0KYg==?=\nContent-Type: binary/octet-stream\n");
}

TEST(ObjectMetadata, EncodedWords) {
  EXPECT_EQ(decode_words("plain"), "plain");
  EXPECT_EQ(decode_words("=?utf-8?b?YWJj?="), "abc");
  EXPECT_EQ(decode_words("a =?utf-8?q?b_c?= =?iso-8859-1?q?=E9?= d"), "a b c\xC3\xA9 d");
  for (std::string_view text :
       {"=?", "=?utf-8", "=?utf-8?b", "=?utf-8?b?", "=?utf-8?b?YWJj", "=?utf-8?b?YW!?=", "=?utf-8?x?a?=",
        "=?koi8-r?b?YWJj?=", "=?utf-8?q?=F?=", "=?utf-8?q?=FF?=", "a =? b ?="}) {
    EXPECT_EQ(decode_words(text), text);
  }
}

TEST(ObjectMetadata, Limits) {
  const std::string exact(kUserMetadataSizeMax - 1, 'v');
  EXPECT_TRUE(parse({{"x-amz-meta-n", exact}}));
  EXPECT_EQ(round_trip({{"x-amz-meta-nn", exact}}), "MetadataTooLarge");
  EXPECT_EQ(round_trip({{"x-amz-meta-n", exact}, {"x-amz-meta-m", ""}}), "MetadataTooLarge");
  EXPECT_EQ(round_trip({{"Expires", std::string(kSystemHeadersSizeMax, 'e')}}),
            "RequestHeaderSectionTooLarge");
}

TEST(ObjectMetadata, Overrides) {
  const auto metadata = parse({{"Content-Type", "text/plain"}, {"Expires", "x"}});
  ResponseOverrides overrides;
  overrides.any = true;
  overrides.values[0] = "image/png";
  overrides.values[1] = "no-store";
  EXPECT_EQ(emitted(*metadata, overrides), "Content-Type: image/png\nCache-Control: no-store\nExpires: x\n");
}

TEST(ObjectMetadata, DamagedBytesAreReported) {
  const std::string good = *parse({{"Content-Type", "text/plain"}, {"Expires", "x"}, {"x-amz-meta-a", "b"}});
  EXPECT_NE(emitted(good), "damaged");
  for (size_t size = 1; size < good.size(); ++size) emitted(std::string_view(good).substr(0, size));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x80);
    emitted(bad);
  }
  EXPECT_EQ(emitted("\x02"), "damaged");
  EXPECT_EQ(emitted(good.substr(0, good.size() - 1)), "damaged");
  EXPECT_EQ(emitted(good + '\x01'), "damaged") << "fields are in order";
  using namespace std::string_view_literals;
  EXPECT_EQ(emitted("\x01\x01\x01\x00x\x01\x01\x00y"sv), "damaged") << "a system header stands once";
  EXPECT_EQ(emitted("\x01\x07\x01\x00x\x01\x00y"sv), "damaged") << "a name of user metadata has its prefix";
}

}  // namespace
}  // namespace fb::s3
