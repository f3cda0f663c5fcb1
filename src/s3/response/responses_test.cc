// SPDX-License-Identifier: Apache-2.0
#include "s3/response/responses.h"

#include <gtest/gtest.h>

#include <pugixml.hpp>

namespace fb::s3 {
namespace {

constexpr int64_t kTime = 1767323045678;  // 2026-01-02T03:04:05.678Z
constexpr Owner kOwner{"owner-id", "owner <&>"};
const Etag kEtag{md5(as_bytes("")), 0};
constexpr std::string_view kEtagText = "\"d41d8cd98f00b204e9800998ecf8427e\"";

// The document, and its elements by path.
class Parsed {
 public:
  explicit Parsed(const std::string& text) {
    const auto result = document_.load_string(text.c_str());
    EXPECT_TRUE(result) << text;
    EXPECT_EQ(root().attribute("xmlns").value(), kS3NamespaceText);
  }
  pugi::xml_node root() const { return document_.document_element(); }
  std::string at(const char* path) const { return root().first_element_by_path(path).text().get(); }
  bool has(const char* path) const { return !root().first_element_by_path(path).empty(); }
  size_t count(const char* name) const {
    const auto children = root().children(name);
    return std::distance(children.begin(), children.end());
  }

 private:
  static constexpr std::string_view kS3NamespaceText = "http://s3.amazonaws.com/doc/2006-03-01/";
  pugi::xml_document document_;
};

template <class Write, class... Args>
std::string text_of(Write write, const Args&... args) {
  std::string out;
  write(args..., out);
  return out;
}

ShownChecksum crc32(ChecksumType type, uint32_t parts) {
  return {*ChecksumValue::parse(ChecksumKind::crc32, "AAAAAA=="), type, parts};
}

TEST(Responses, ListBuckets) {
  const BucketEntry buckets[] = {{"a-bucket", kTime}, {"b-bucket", 0}};
  ListBucketsRequest request;
  const Parsed plain(text_of(write_list_buckets, request, kOwner, std::span<const BucketEntry>(buckets),
                             std::optional<ListPosition>()));
  EXPECT_STREQ(plain.root().name(), "ListAllMyBucketsResult");
  EXPECT_EQ(plain.at("Owner/ID"), "owner-id");
  EXPECT_EQ(plain.at("Owner/DisplayName"), "owner <&>");
  EXPECT_EQ(plain.at("Buckets/Bucket/Name"), "a-bucket");
  EXPECT_EQ(plain.at("Buckets/Bucket/CreationDate"), "2026-01-02T03:04:05.000Z");
  EXPECT_FALSE(plain.has("ContinuationToken"));

  request.limited = true;
  request.prefix = "a";
  const Parsed paged(text_of(write_list_buckets, request, kOwner, std::span<const BucketEntry>(buckets),
                             std::optional(ListPosition{"b-bucket", false})));
  EXPECT_EQ(paged.at("Prefix"), "a");
  EXPECT_EQ(decode_token(paged.at("ContinuationToken"))->after, "b-bucket");
}

TEST(Responses, BucketLocation) {
  EXPECT_EQ(text_of(write_bucket_location),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>");
}

ObjectList sample_list() {
  static const ListedObject objects[] = {
      {"a b+c&\xC3\xA9", kTime, kEtag, 7, ChecksumKind::crc32, ChecksumType::composite},
      {"k\x01", kTime, kEtag, 0, {}, {}}};
  static constexpr std::string_view kPrefixes[] = {"p &/", "q/"};
  return {objects, kPrefixes, ListPosition{"q/", true}};
}

TEST(Responses, ListObjectsV1) {
  ListObjectsRequest request;
  request.bucket = "bucket";
  request.fetch_owner = true;
  request.prefix = "";
  request.delimiter = "/";
  request.marker = "0<";
  const Parsed list(text_of(write_list_objects, request, kOwner, sample_list()));
  EXPECT_STREQ(list.root().name(), "ListBucketResult");
  EXPECT_EQ(list.at("Name"), "bucket");
  EXPECT_EQ(list.at("Marker"), "0<");
  EXPECT_EQ(list.at("NextMarker"), "q/");
  EXPECT_EQ(list.at("MaxKeys"), "1000");
  EXPECT_EQ(list.at("IsTruncated"), "true");
  EXPECT_FALSE(list.has("KeyCount"));
  EXPECT_FALSE(list.has("EncodingType"));
  EXPECT_EQ(list.count("Contents"), 2U);
  EXPECT_EQ(list.at("Contents/Key"), "a b+c&\xC3\xA9");
  EXPECT_EQ(list.at("Contents/LastModified"), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(list.at("Contents/ETag"), kEtagText);
  EXPECT_EQ(list.at("Contents/Size"), "7");
  EXPECT_EQ(list.at("Contents/StorageClass"), "STANDARD");
  EXPECT_EQ(list.at("Contents/ChecksumAlgorithm"), "CRC32");
  EXPECT_EQ(list.at("Contents/ChecksumType"), "COMPOSITE");
  EXPECT_EQ(list.at("Contents/Owner/ID"), "owner-id");
  EXPECT_EQ(list.count("CommonPrefixes"), 2U);
  EXPECT_EQ(list.at("CommonPrefixes/Prefix"), "p &/");

  request.delimiter = "";
  EXPECT_FALSE(Parsed(text_of(write_list_objects, request, kOwner, sample_list())).has("NextMarker"));
}

TEST(Responses, ListObjectsV2EncodesEveryField) {
  ListObjectsRequest request;
  request.bucket = "bucket";
  request.v2 = true;
  request.encode_url = true;
  request.prefix = "p +";
  request.delimiter = "&/";
  request.start_after = "s%";
  request.continuation_token = "";
  const Parsed list(text_of(write_list_objects, request, kOwner, sample_list()));
  EXPECT_EQ(list.at("EncodingType"), "url");
  EXPECT_EQ(list.at("Prefix"), "p%20%2B");
  EXPECT_EQ(list.at("Delimiter"), "%26/");
  EXPECT_EQ(list.at("StartAfter"), "s%25");
  EXPECT_TRUE(list.has("ContinuationToken"));
  EXPECT_EQ(decode_token(list.at("NextContinuationToken")), (ListPosition{"q/", true}));
  EXPECT_EQ(list.at("KeyCount"), "4");
  EXPECT_EQ(list.at("Contents/Key"), "a%20b%2Bc%26%C3%A9");
  EXPECT_EQ(list.root().child("Contents").next_sibling("Contents").child_value("Key"), std::string("k%01"));
  EXPECT_EQ(list.at("CommonPrefixes/Prefix"), "p%20%26/");
  EXPECT_FALSE(list.has("Contents/Owner"));
  EXPECT_FALSE(list.has("Marker"));
}

TEST(Responses, DeleteResult) {
  const S3Failure failure(S3Error::AccessDenied);
  const DeletedKey keys[] = {{"a&", "", nullptr}, {"b", "null", nullptr}, {"c", "", &failure}};
  const Parsed loud(text_of(write_delete_result, false, std::span<const DeletedKey>(keys)));
  EXPECT_EQ(loud.count("Deleted"), 2U);
  EXPECT_EQ(loud.at("Deleted/Key"), "a&");
  EXPECT_EQ(loud.at("Error/Key"), "c");
  EXPECT_EQ(loud.at("Error/Code"), "AccessDenied");
  const Parsed quiet(text_of(write_delete_result, true, std::span<const DeletedKey>(keys)));
  EXPECT_EQ(quiet.count("Deleted"), 0U);
  EXPECT_EQ(quiet.count("Error"), 1U);
}

TEST(Responses, Copies) {
  const Parsed object(
      text_of(write_copy_object_result, kEtag, kTime, std::optional(crc32(ChecksumType::composite, 3))));
  EXPECT_STREQ(object.root().name(), "CopyObjectResult");
  EXPECT_EQ(object.at("ETag"), kEtagText);
  EXPECT_EQ(object.at("LastModified"), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(object.at("ChecksumCRC32"), "AAAAAA==-3");
  EXPECT_EQ(object.at("ChecksumType"), "COMPOSITE");
  const Parsed part(
      text_of(write_copy_part_result, kEtag, kTime, std::optional(crc32(ChecksumType::full_object, 0))));
  EXPECT_STREQ(part.root().name(), "CopyPartResult");
  EXPECT_EQ(part.at("ChecksumCRC32"), "AAAAAA==");
  EXPECT_FALSE(part.has("ChecksumType"));
}

TEST(Responses, MultipartUpload) {
  const std::string_view key = "k<e>y";
  const Parsed created(text_of(write_initiate_multipart_upload_result, std::string_view("bucket"), key,
                               std::string_view("u-1")));
  EXPECT_STREQ(created.root().name(), "InitiateMultipartUploadResult");
  EXPECT_EQ(created.at("Key"), key);
  EXPECT_EQ(created.at("UploadId"), "u-1");

  const Etag etag{kEtag.md5, 2};
  const Parsed completed(text_of(write_complete_multipart_upload_result,
                                 std::string_view("http://h/bucket/k"), std::string_view("bucket"), key, etag,
                                 std::optional(crc32(ChecksumType::composite, 2))));
  EXPECT_STREQ(completed.root().name(), "CompleteMultipartUploadResult");
  EXPECT_EQ(completed.at("Location"), "http://h/bucket/k");
  EXPECT_EQ(completed.at("ETag"), "\"d41d8cd98f00b204e9800998ecf8427e-2\"");
  EXPECT_EQ(completed.at("ChecksumCRC32"), "AAAAAA==-2");
}

TEST(Responses, ListParts) {
  ListPartsRequest request;
  request.bucket = "bucket";
  request.key = "k y";
  request.upload_id = "u-1";
  request.part_number_marker = 3;
  request.encode_url = true;
  const ListedPart parts[] = {{4, kTime, kEtag, 5, crc32(ChecksumType::full_object, 0).value},
                              {9, kTime, kEtag, 6, {}}};
  const Parsed list(text_of(write_list_parts, request, kOwner,
                            PartList{parts, true, ChecksumKind::crc32, ChecksumType::full_object}));
  EXPECT_STREQ(list.root().name(), "ListPartsResult");
  EXPECT_EQ(list.at("Key"), "k%20y");
  EXPECT_EQ(list.at("PartNumberMarker"), "3");
  EXPECT_EQ(list.at("NextPartNumberMarker"), "9");
  EXPECT_EQ(list.at("IsTruncated"), "true");
  EXPECT_EQ(list.at("ChecksumAlgorithm"), "CRC32");
  EXPECT_EQ(list.count("Part"), 2U);
  EXPECT_EQ(list.at("Part/PartNumber"), "4");
  EXPECT_EQ(list.at("Part/Size"), "5");
  EXPECT_EQ(list.at("Part/ChecksumCRC32"), "AAAAAA==");
}

TEST(Responses, ListMultipartUploads) {
  ListMultipartUploadsRequest request;
  request.bucket = "bucket";
  request.key_marker = "a b";
  request.upload_id_marker = "u-0";
  request.encode_url = true;
  const ListedUpload uploads[] = {{"c d", "u-1", kTime, ChecksumKind::sha256, ChecksumType::composite}};
  const std::string_view prefixes[] = {"p/"};
  const Parsed list(text_of(write_list_multipart_uploads, request, kOwner,
                            UploadList{uploads, prefixes, true, "c d", "u-1"}));
  EXPECT_STREQ(list.root().name(), "ListMultipartUploadsResult");
  EXPECT_EQ(list.at("KeyMarker"), "a%20b");
  EXPECT_EQ(list.at("NextKeyMarker"), "c%20d");
  EXPECT_EQ(list.at("NextUploadIdMarker"), "u-1");
  EXPECT_EQ(list.at("Upload/Key"), "c%20d");
  EXPECT_EQ(list.at("Upload/Initiated"), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(list.at("Upload/ChecksumAlgorithm"), "SHA256");
  EXPECT_EQ(list.at("CommonPrefixes/Prefix"), "p/");
}

}  // namespace
}  // namespace fb::s3
