// SPDX-License-Identifier: Apache-2.0
#include "s3/request/requests.h"

#include <gtest/gtest.h>

#include <vector>

#include "s3/request/parameters.h"

namespace fb::s3 {
namespace {

using Headers = std::vector<HeaderField>;

// Routes a request and keeps what its typed form views.
class RequestsTest : public testing::Test {
 protected:
  template <class Parse>
  auto run(Parse parse, std::string_view method, std::string_view target, Headers headers = {}) {
    method_ = method;
    target_ = target;
    headers_ = std::move(headers);
    head_ = {};
    head_.method = method_;
    head_.target = target_;
    const size_t mark = target_.find('?');
    head_.path = std::string_view(target_).substr(0, mark);
    if (mark != std::string::npos) head_.query = std::string_view(target_).substr(mark + 1);
    head_.headers = headers_;
    auto routed = route(head_, head_.header("host"), {}, buffer_);
    EXPECT_TRUE(routed) << routed.error().text();
    route_ = routed.value_or(Route());
    const ParseContext context{head_, route_, "1", 0};
    const auto checked = check_parameters(context);
    return checked ? parse(context) : decltype(parse(context))(checked.error());
  }
  template <class Parse>
  std::string code(Parse parse, std::string_view method, std::string_view target, Headers headers = {}) {
    const auto result = run(parse, method, target, std::move(headers));
    return result ? "ok" : std::string(result.error().code());
  }

  std::string method_;
  std::string target_;
  Headers headers_;
  RequestHead head_;
  RouteBuffer buffer_;
  Route route_;
};

TEST_F(RequestsTest, GetObject) {
  const auto request =
      run(parse_get_object, "GET", "/bucket/a%20b?partNumber=3&response-content-type=x&x-id=GetObject",
          {{"If-Match", "e"}, {"x-amz-checksum-mode", "enabled"}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->bucket, "bucket");
  EXPECT_EQ(request->key, "a b");
  EXPECT_EQ(request->part_number, 3U);
  EXPECT_EQ(request->overrides.values[0], "x");
  EXPECT_TRUE(request->with_checksums);
  EXPECT_FALSE(request->conditions.empty());
  EXPECT_EQ(code(parse_get_object, "HEAD", "/bucket/k?versionId=null"), "ok");
  EXPECT_EQ(code(parse_get_object, "HEAD", "/bucket/k?versionId=abc"), "NotImplemented");
  EXPECT_EQ(code(parse_get_object, "GET", "/bucket/k?partNumber=0"), "InvalidArgument");
  EXPECT_EQ(code(parse_get_object, "GET", "/bucket/k?partNumber=10001"), "InvalidArgument");
  EXPECT_EQ(code(parse_get_object, "GET", "/bucket/k?partNumber=x"), "InvalidArgument");
  EXPECT_EQ(code(parse_get_object, "GET", "/bucket/k?partNumber=1", {{"Range", "bytes=0-1"}}),
            "InvalidRequest");
  EXPECT_EQ(run(parse_get_object, "GET", "/bucket/k", {{"Range", "bytes=0-1"}})->range, "bytes=0-1");
}

TEST_F(RequestsTest, PutObject) {
  const auto request = run(parse_put_object, "PUT", "/bucket/dir/",
                           {{"Content-Type", "application/x-directory"},
                            {"x-amz-acl", "private"},
                            {"x-amz-storage-class", "STANDARD"}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->key, "dir/");
  EXPECT_FALSE(request->metadata.empty());
  EXPECT_TRUE(request->condition.empty());
  EXPECT_EQ(code(parse_put_object, "PUT", "/bucket/k", {{"x-amz-acl", "public-read"}}), "NotImplemented");
  EXPECT_EQ(code(parse_put_object, "PUT", "/bucket/k?partNumber=1"), "InvalidArgument");
  EXPECT_TRUE(check_body_size(kSinglePutSizeMax, kSinglePutSizeMax));
  EXPECT_EQ(check_body_size(kSinglePutSizeMax + 1, kSinglePutSizeMax).error().error, S3Error::EntityTooLarge);
}

TEST_F(RequestsTest, ConditionalWrites) {
  const Headers match = {
      {"If-Match", "\"e\""}, {"x-amz-copy-source", "b-b/k"}, {"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="}};
  const auto check = [](const auto& request) {
    ASSERT_TRUE(request);
    EXPECT_EQ(request->condition.kind, WriteCondition::Kind::etag_is);
    EXPECT_EQ(request->condition.etag, "e");
  };
  const Headers match_only = {match[0], match[2]};
  check(run(parse_put_object, "PUT", "/bucket/k", match_only));
  check(run(parse_copy_object, "PUT", "/bucket/k", match));
  check(run(parse_delete_object, "DELETE", "/bucket/k", match_only));
  check(run(parse_complete_multipart_upload, "POST", "/bucket/k?uploadId=u", match_only));
  Headers absent = {{"If-None-Match", "*"}, {"x-amz-copy-source", "b-b/k"}};
  EXPECT_EQ(code(parse_copy_object, "PUT", "/bucket/k", absent), "ok");
  absent.pop_back();
  EXPECT_EQ(code(parse_put_object, "PUT", "/bucket/k", absent), "ok");
  EXPECT_EQ(code(parse_delete_object, "DELETE", "/bucket/k", absent), "NotImplemented");
  EXPECT_EQ(code(parse_complete_multipart_upload, "POST", "/bucket/k?uploadId=u", absent), "ok");
  absent[0].value = "e";
  EXPECT_EQ(code(parse_put_object, "PUT", "/bucket/k", absent), "NotImplemented");
  EXPECT_EQ(code(parse_delete_object, "DELETE", "/bucket/k", {{"x-amz-if-match-size", "1"}}),
            "NotImplemented");
}

TEST_F(RequestsTest, OtherWritesRefuseConditionsAndAllRefuseVersions) {
  const Headers condition = {
      {"If-Match", "e"}, {"x-amz-copy-source", "b-b/k"}, {"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="}};
  const Headers condition_only = {{"If-Match", "e"}};
  EXPECT_EQ(code(parse_delete_objects, "POST", "/bucket?delete", {condition[0], condition[2]}),
            "NotImplemented");
  EXPECT_EQ(code(parse_create_multipart_upload, "POST", "/bucket/k?uploads", condition_only),
            "NotImplemented");
  EXPECT_EQ(code(parse_upload_part, "PUT", "/bucket/k?uploadId=u&partNumber=1", condition_only),
            "NotImplemented");
  EXPECT_EQ(code(parse_upload_part_copy, "PUT", "/bucket/k?uploadId=u&partNumber=1", condition),
            "NotImplemented");
  EXPECT_EQ(code(parse_abort_multipart_upload, "DELETE", "/bucket/k?uploadId=u", condition_only),
            "NotImplemented");
  EXPECT_EQ(code(parse_put_object, "PUT", "/bucket/k?versionId=v"), "InvalidArgument");
  EXPECT_EQ(code(parse_delete_object, "DELETE", "/bucket/k?versionId="), "InvalidArgument");
  EXPECT_EQ(code(parse_delete_object, "DELETE", "/bucket/k?versionId=v"), "NotImplemented");
  EXPECT_EQ(code(parse_delete_object, "DELETE", "/bucket/k"), "ok");
}

TEST_F(RequestsTest, CopyObject) {
  const auto request = run(parse_copy_object, "PUT", "/bucket/k",
                           {{"x-amz-copy-source", "/src-bucket/a%2Bb+c%20d?versionId=null"},
                            {"x-amz-copy-source-if-match", "e"},
                            {"x-amz-metadata-directive", "REPLACE"},
                            {"x-amz-meta-a", "b"}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->source.bucket, "src-bucket");
  EXPECT_EQ(request->source.key, "a+b c d") << "decoded as a query is";
  EXPECT_TRUE(request->replace_metadata);
  EXPECT_FALSE(request->metadata.empty());
  EXPECT_FALSE(request->source_conditions.empty());

  const auto source = [&](std::string_view text, Headers more = {}) {
    more.push_back({"x-amz-copy-source", text});
    return code(parse_copy_object, "PUT", "/bucket/k", more);
  };
  EXPECT_EQ(source("src/k"), "ok");
  EXPECT_EQ(source("src/k?versionId=v"), "NotImplemented");
  EXPECT_EQ(source("src/k?other"), "ok") << "a question mark may be part of a key";
  EXPECT_EQ(source("bucket/k"), "InvalidRequest") << "onto itself";
  EXPECT_EQ(source("bucket/k", {{"x-amz-metadata-directive", "REPLACE"}}), "ok");
  EXPECT_EQ(source("src/k", {{"x-amz-metadata-directive", "MOVE"}}), "InvalidArgument");
  EXPECT_EQ(source(""), "InvalidArgument");
  EXPECT_EQ(source("src"), "InvalidArgument");
  EXPECT_EQ(source("src/"), "InvalidArgument");
  EXPECT_EQ(source("/src//k"), "ok");
  EXPECT_EQ(source("src/%zz"), "InvalidArgument");
  EXPECT_EQ(source("src/a%00"), "InvalidArgument");
  EXPECT_EQ(source("src/" + std::string(1025, 'k')), "KeyTooLongError");
  EXPECT_EQ(source("S_C/k"), "InvalidArgument");
  EXPECT_EQ(source("src/../k"), "InvalidArgument");
  EXPECT_EQ(source("src/k?versionId="), "InvalidArgument");
  EXPECT_EQ(source("arn:aws:s3:us-west-2:1:accesspoint/p/object/k"), "NotImplemented");
}

TEST_F(RequestsTest, ListObjects) {
  const auto v1 = run(parse_list_objects, "GET",
                      "/bucket?prefix=a%2F&delimiter=%2F&marker=a/b/&max-keys=5&encoding-type=url");
  ASSERT_TRUE(v1);
  EXPECT_FALSE(v1->v2);
  EXPECT_EQ(v1->prefix, "a/");
  EXPECT_EQ(v1->delimiter, "/");
  EXPECT_EQ(v1->position, (ListPosition{"a/b/", true}));
  EXPECT_EQ(v1->max_keys, 5U);
  EXPECT_TRUE(v1->encode_url);
  EXPECT_TRUE(v1->fetch_owner);

  const std::string token = encode_token({"k+1", false});
  const auto v2 = run(parse_list_objects, "GET",
                      "/bucket?list-type=2&start-after=z&fetch-owner=true&continuation-token=" + token);
  ASSERT_TRUE(v2);
  EXPECT_TRUE(v2->v2);
  EXPECT_EQ(v2->position, (ListPosition{"k+1", false})) << "a token counts more than start-after";
  EXPECT_EQ(v2->start_after, "z");
  EXPECT_EQ(v2->continuation_token, token);
  EXPECT_TRUE(v2->fetch_owner);
  EXPECT_EQ(v2->max_keys, kListKeysMax);

  const auto empty_token =
      run(parse_list_objects, "GET", "/bucket?list-type=2&start-after=a+b%2B&continuation-token=");
  EXPECT_EQ(empty_token->position.after, "a b+") << "'+' is a space in a query";
  EXPECT_EQ(empty_token->continuation_token, "");

  const auto with = [&](std::string_view query) {
    return code(parse_list_objects, "GET", "/bucket?" + std::string(query));
  };
  EXPECT_EQ(with("max-keys=0"), "ok");
  EXPECT_EQ(with("max-keys="), "ok");
  EXPECT_EQ(with("max-keys=-1"), "InvalidArgument");
  EXPECT_EQ(with("max-keys=blah"), "InvalidArgument");
  EXPECT_EQ(with("max-keys=2147483648"), "InvalidArgument");
  EXPECT_EQ(run(parse_list_objects, "GET", "/bucket?max-keys=2147483647")->max_keys, kListKeysMax);
  EXPECT_EQ(with("encoding-type=base64"), "InvalidArgument");
  EXPECT_EQ(with("prefix=%FF"), "InvalidArgument");
  EXPECT_EQ(with("prefix=%00"), "InvalidArgument");
  EXPECT_EQ(with("prefix=%zz"), "InvalidURI");
  EXPECT_EQ(with("prefix=" + std::string(1025, 'p')), "InvalidArgument");
  EXPECT_EQ(with("list-type=2&continuation-token=abc"), "InvalidArgument");
}

TEST_F(RequestsTest, Buckets) {
  EXPECT_EQ(run(parse_bucket_request, "PUT", "/bucket")->bucket, "bucket");
  EXPECT_EQ(code(parse_bucket_request, "PUT", "/bucket", {{"x-amz-bucket-object-lock-enabled", "true"}}),
            "NotImplemented");
  EXPECT_EQ(code(parse_bucket_request, "HEAD", "/bucket", {{"x-amz-expected-bucket-owner", "222222222222"}}),
            "AccessDenied");
  EXPECT_FALSE(run(parse_list_buckets, "GET", "/")->limited);
  EXPECT_EQ(run(parse_list_buckets, "GET", "/?max-buckets=7&prefix=a")->max_buckets, 7U);
  EXPECT_EQ(code(parse_list_buckets, "GET", "/?max-buckets=0"), "InvalidArgument");
  EXPECT_EQ(code(parse_list_buckets, "GET", "/?continuation-token=x"), "InvalidArgument");
}

TEST_F(RequestsTest, CreateMultipartUpload) {
  const auto request = run(parse_create_multipart_upload, "POST", "/bucket/k?uploads",
                           {{"x-amz-checksum-algorithm", "CRC64NVME"}, {"Content-Type", "a"}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->checksum_kind, ChecksumKind::crc64nvme);
  EXPECT_EQ(request->checksum_type, ChecksumType::full_object);
  EXPECT_EQ(code(parse_create_multipart_upload, "POST", "/bucket/k?uploads",
                 {{"x-amz-checksum-type", "COMPOSITE"}}),
            "InvalidRequest");
  EXPECT_EQ(code(parse_create_multipart_upload, "POST", "/bucket/k?uploads",
                 {{"x-amz-checksum-type", "FULL_OBJECT"}, {"x-amz-checksum-algorithm", "SHA1"}}),
            "InvalidRequest");
}

TEST_F(RequestsTest, Parts) {
  const auto part = run(parse_upload_part, "PUT", "/bucket/k?partNumber=10000&uploadId=a%2Bb");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->upload_id, "a+b");
  EXPECT_EQ(part->part_number, 10000U);
  EXPECT_EQ(code(parse_upload_part, "PUT", "/bucket/k?uploadId=u"), "InvalidArgument");
  EXPECT_EQ(code(parse_upload_part, "PUT", "/bucket/k?uploadId=u&partNumber=10001"), "InvalidArgument");
  EXPECT_EQ(code(parse_upload_part, "PUT", "/bucket/k?uploadId=&partNumber=1"), "NoSuchUpload");
  EXPECT_EQ(code(parse_upload_part, "PUT", "/bucket/k?uploadId=" + std::string(300, 'u') + "&partNumber=1"),
            "NoSuchUpload");

  const auto copy = [&](std::string_view range) {
    return run(parse_upload_part_copy, "PUT", "/bucket/k?uploadId=u&partNumber=1",
               {{"x-amz-copy-source", "bucket/k"}, {"x-amz-copy-source-range", range}});
  };
  EXPECT_EQ(copy("bytes=5-9")->source_range, (CopyRange{5, 9}));
  EXPECT_FALSE(copy("")->source_range);
  EXPECT_EQ(copy("bytes=5-").error().error, S3Error::InvalidArgument);
  EXPECT_EQ(copy("bytes=0-5368709120").error().error, S3Error::EntityTooLarge);

  const auto complete = run(parse_complete_multipart_upload, "POST", "/bucket/k?uploadId=u",
                            {{"x-amz-checksum-crc32", "AAAAAA==-2"},
                             {"x-amz-checksum-type", "COMPOSITE"},
                             {"x-amz-mp-object-size", "10"}});
  ASSERT_TRUE(complete);
  EXPECT_EQ(complete->checksum->text, "AAAAAA==-2");
  EXPECT_EQ(complete->object_size, 10U);
  EXPECT_EQ(
      code(parse_complete_multipart_upload, "POST", "/bucket/k?uploadId=u", {{"x-amz-mp-object-size", "-1"}}),
      "InvalidRequest");
  EXPECT_EQ(code(parse_abort_multipart_upload, "DELETE", "/bucket/k?uploadId=u"), "ok");
}

TEST_F(RequestsTest, MultipartLists) {
  const auto parts = run(parse_list_parts, "GET", "/bucket/k?uploadId=u&part-number-marker=7&max-parts=5000");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->part_number_marker, 7U);
  EXPECT_EQ(parts->max_parts, kListPartsMax);
  EXPECT_EQ(code(parse_list_parts, "GET", "/bucket/k?uploadId=u&max-parts=x"), "InvalidArgument");

  const auto uploads = run(parse_list_multipart_uploads, "GET",
                           "/bucket?uploads&key-marker=k&upload-id-marker=u&max-uploads=2&delimiter=/");
  ASSERT_TRUE(uploads);
  EXPECT_EQ(uploads->key_marker, "k");
  EXPECT_EQ(uploads->upload_id_marker, "u");
  EXPECT_EQ(uploads->max_uploads, 2U);
  EXPECT_EQ(run(parse_list_multipart_uploads, "GET", "/bucket?uploads&upload-id-marker=u")->upload_id_marker,
            "");
}

TEST_F(RequestsTest, RenameObject) {
  const auto rename = [&](std::string_view target, std::string_view source, Headers more = {}) {
    more.push_back({"x-amz-rename-source", source});
    return run(parse_rename_object, "PUT", target, std::move(more));
  };
  const auto request = rename("/bucket/new%20name?renameObject", "/old%2Fa+b%20c", {{"If-None-Match", "*"}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->key, "new name");
  EXPECT_EQ(request->source, "old/a+b c");
  EXPECT_FALSE(request->directory);
  EXPECT_FALSE(request->destination_conditions.empty());
  EXPECT_TRUE(request->source_conditions.empty());
  EXPECT_TRUE(request->client_token.empty());
  EXPECT_EQ(rename("/bucket/k?renameObject", "bucket/x")->source, "bucket/x") << "a key, not bucket and key";
  EXPECT_EQ(rename("/bucket/k?renameObject", "%2Fx")->source, "/x");
  EXPECT_EQ(rename("/bucket/k?renameObject", "//x")->source, "/x");

  const auto directory = rename("/bucket/a/?renameObject", "b/c/", {{"If-None-Match", "*"}});
  ASSERT_TRUE(directory);
  EXPECT_TRUE(directory->directory);
  EXPECT_TRUE(directory->destination_conditions.empty());
}

TEST_F(RequestsTest, RenameObjectRefusals) {
  const auto rename = [&](std::string_view target, std::string_view source, Headers more = {}) {
    more.push_back({"x-amz-rename-source", source});
    return code(parse_rename_object, "PUT", target, std::move(more));
  };
  const std::string_view key = "/bucket/k?renameObject";
  EXPECT_EQ(code(parse_rename_object, "PUT", key), "InvalidArgument");
  EXPECT_EQ(rename(key, ""), "InvalidArgument");
  EXPECT_EQ(rename(key, "/"), "InvalidArgument");
  EXPECT_EQ(rename(key, "%zz"), "InvalidArgument");
  EXPECT_EQ(rename(key, "a%00"), "InvalidArgument");
  EXPECT_EQ(rename(key, "%ff"), "InvalidArgument");
  EXPECT_EQ(rename(key, std::string(1025, 'a')), "KeyTooLongError");
  EXPECT_EQ(rename(key, "k"), "InvalidRequest") << "onto itself";
  EXPECT_EQ(rename(key, "a/"), "InvalidRequest");
  EXPECT_EQ(rename("/bucket/a/?renameObject", "b"), "InvalidRequest");
  EXPECT_EQ(rename("/bucket/a/?renameObject", "a/"), "InvalidRequest");
  EXPECT_EQ(rename("/bucket/a/b/?renameObject", "a/"), "InvalidRequest");
  EXPECT_EQ(rename("/bucket/ab/?renameObject", "a/"), "ok");
  EXPECT_EQ(rename("/bucket/a/?renameObject", "a/b/"), "ok") << "whether anything else is there is not known";
  EXPECT_EQ(rename("/bucket/k?renameObject&versionId=v", "a"), "InvalidArgument");
  EXPECT_EQ(rename(key, "a", {{"If-None-Match", "\"e\""}}), "NotImplemented");
  EXPECT_EQ(rename(key, "a", {{"x-amz-if-match-size", "1"}}), "NotImplemented");
  EXPECT_EQ(rename(key, "a", {{"x-amz-acl", "public-read"}}), "NotImplemented");
  const std::string_view date = "Fri, 02 Jan 2026 03:04:05 GMT";
  for (const std::string_view prefix : {"", "x-amz-rename-source-"}) {
    for (const std::string_view condition :
         {"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}) {
      const std::string name = std::string(prefix) + std::string(condition);
      const bool is_date = name.ends_with("Since");
      const std::string_view value = is_date ? date : "*";
      EXPECT_EQ(rename(key, "a", {{name, value}}), "ok") << name;
      if (is_date) EXPECT_EQ(rename(key, "a", {{name, "yesterday"}}), "InvalidArgument") << name;
      EXPECT_EQ(rename("/bucket/b/?renameObject", "a/", {{name, value}}),
                name == "If-None-Match" ? "ok" : "NotImplemented")
          << name;
    }
  }
}

TEST_F(RequestsTest, RenameObjectClientToken) {
  const auto rename = [&](std::string_view token, std::string_view target = "/bucket/k?renameObject",
                          std::string_view source = "s", Headers more = {}) {
    more.push_back({"x-amz-rename-source", source});
    more.push_back({"x-amz-client-token", token});
    return run(parse_rename_object, "PUT", target, std::move(more));
  };
  const std::string longest(64, '~');
  EXPECT_EQ(rename(longest)->client_token, longest);
  EXPECT_TRUE(rename("")->client_token.empty());
  for (const std::string& bad :
       {std::string(65, 'a'), std::string("a b"), std::string("\xc3\xa4"), std::string("a\x7f")}) {
    EXPECT_EQ(rename(bad).error().error, S3Error::InvalidArgument) << bad;
  }
  // The parameters make the fingerprint, however they were written; the token does not.
  const Sha256Digest print = rename("t")->fingerprint;
  EXPECT_EQ(rename("u")->fingerprint, print);
  EXPECT_EQ(rename("t", "/bucket/%6B?renameObject", "/s")->fingerprint, print);
  EXPECT_NE(rename("t", "/bucket/l?renameObject")->fingerprint, print);
  EXPECT_NE(rename("t", "/bucket/k?renameObject", "r")->fingerprint, print);
  const Sha256Digest conditional =
      rename("t", "/bucket/k?renameObject", "s", {{"If-Match", "a"}, {"x-amz-rename-source-if-match", "b"}})
          ->fingerprint;
  EXPECT_NE(conditional, print);
  EXPECT_EQ(
      rename("t", "/bucket/k?renameObject", "s", {{"X-Amz-Rename-Source-If-Match", "b"}, {"if-match", "a"}})
          ->fingerprint,
      conditional);
  EXPECT_NE(
      rename("t", "/bucket/k?renameObject", "s", {{"If-Match", "b"}, {"x-amz-rename-source-if-match", "a"}})
          ->fingerprint,
      conditional);
}

}  // namespace
}  // namespace fb::s3
