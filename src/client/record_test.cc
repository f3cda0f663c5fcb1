// SPDX-License-Identifier: Apache-2.0
#include "client/record.h"

#include <gtest/gtest.h>

#include "client/record_format.h"

namespace fb {
namespace {

BlobId blob(uint64_t number) {
  return {.volume = 1, .shard = 3, .incarnation = {.value = 9}, .number = number};
}

Locator blob_locator(uint64_t number, uint64_t length_bytes) {
  return {.kind = Locator::Kind::blob, .blob = blob(number), .length_bytes = length_bytes};
}

ObjectRecord small_object() {
  ObjectRecord record;
  record.size_bytes = 4096;
  record.last_modified = {1'700'000'000'000'000'123};
  record.etag.md5.fill(0xab);
  record.checksum = {.algorithm = RecordChecksumAlgorithm::crc32c, .size = 4, .value = {1, 2, 3, 4}};
  record.metadata = "content-type: text/plain";
  record.owner = "owner";
  record.storage_class = "STANDARD_IA";
  record.content = blob_locator(77, 4096);
  return record;
}

ObjectRecord multipart_object() {
  ObjectRecord record;
  record.etag.part_count = 2;
  for (uint16_t number : {1, 7}) {
    RecordPart part{.number = number, .content = blob_locator(number, 5'000'000 + number)};
    part.md5.fill(static_cast<uint8_t>(number));
    part.checksum = {.algorithm = RecordChecksumAlgorithm::sha256, .size = 32};
    record.size_bytes += part.content.length_bytes;
    record.parts.push_back(part);
  }
  record.upload_id = "0123456789abcdef0123456789abcdef";
  return record;
}

std::vector<std::pair<BlobId, uint32_t>> blobs_of(std::string_view record) {
  std::vector<std::pair<BlobId, uint32_t>> out;
  const auto visit = [](void* context, const BlobId& id, uint32_t count) {
    static_cast<decltype(out)*>(context)->emplace_back(id, count);
  };
  EXPECT_TRUE(for_each_blob(record, visit, &out));
  return out;
}

TEST(Record, ObjectRoundTrip) {
  const ObjectRecord record = small_object();
  const std::string bytes = record.encode();
  const auto decoded = ObjectRecord::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->size_bytes, 4096u);
  EXPECT_EQ(decoded->last_modified, record.last_modified);
  EXPECT_EQ(decoded->etag, record.etag);
  EXPECT_EQ(decoded->checksum, record.checksum);
  EXPECT_EQ(decoded->metadata, record.metadata);
  EXPECT_EQ(decoded->owner, record.owner);
  EXPECT_EQ(decoded->storage_class, record.storage_class);
  EXPECT_EQ(decoded->content.blob, blob(77));
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(blobs_of(bytes), (std::vector<std::pair<BlobId, uint32_t>>{{blob(77), 1}}));
  EXPECT_EQ(etag_of(bytes), record.etag);
  EXPECT_EQ(object_size_of(bytes), 4096u);
}

TEST(Record, MultipartRoundTrip) {
  const ObjectRecord record = multipart_object();
  const std::string bytes = record.encode();
  const auto decoded = ObjectRecord::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->upload_id, record.upload_id);
  ASSERT_EQ(decoded->parts.size(), 2u);
  EXPECT_EQ(decoded->parts[1].number, 7);
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(blobs_of(bytes), (std::vector<std::pair<BlobId, uint32_t>>{{blob(1), 5}, {blob(7), 5}}));
  EXPECT_EQ(decoded->etag.text(), "00000000000000000000000000000000-2");
}

TEST(Record, InlineAndEmptyContent) {
  ObjectRecord record;
  EXPECT_EQ(ObjectRecord::decode(record.encode())->content.kind, Locator::Kind::none);
  record.size_bytes = 5;
  record.content = {.kind = Locator::Kind::inline_bytes, .length_bytes = 5, .inline_data = "hello"};
  const std::string bytes = record.encode();
  EXPECT_EQ(ObjectRecord::decode(bytes)->content.inline_data, "hello");
  EXPECT_TRUE(blobs_of(bytes).empty());
}

TEST(Record, UploadAndPartRoundTrip) {
  UploadRecord upload{.initiated = {5},
                      .checksum_algorithm = RecordChecksumAlgorithm::sha1,
                      .checksum_composite = true,
                      .metadata = "m",
                      .owner = "o"};
  const std::string upload_bytes = upload.encode();
  const auto decoded_upload = UploadRecord::decode(upload_bytes);
  ASSERT_TRUE(decoded_upload);
  EXPECT_EQ(decoded_upload->checksum_algorithm, RecordChecksumAlgorithm::sha1);
  EXPECT_TRUE(decoded_upload->checksum_composite);
  EXPECT_EQ(decoded_upload->encode(), upload_bytes);

  PartRecord part{.size_bytes = 10, .last_modified = {6}, .content = blob_locator(4, 10)};
  part.md5.fill(3);
  const std::string part_bytes = part.encode();
  const auto decoded_part = PartRecord::decode(part_bytes);
  ASSERT_TRUE(decoded_part);
  EXPECT_EQ(decoded_part->md5, part.md5);
  EXPECT_EQ(decoded_part->encode(), part_bytes);
  EXPECT_EQ(blobs_of(part_bytes).size(), 1u);
  EXPECT_FALSE(etag_of(part_bytes));
  EXPECT_FALSE(ObjectRecord::decode(part_bytes));

  EXPECT_FALSE(decoded_part->crc64nvme);
  part.crc64nvme = {1, 2, 3, 4, 5, 6, 7, 8};
  part.checksum = {.algorithm = RecordChecksumAlgorithm::crc32, .size = 4, .value = {9}};
  const auto with_both = PartRecord::decode(part.encode());
  ASSERT_TRUE(with_both);
  EXPECT_EQ(with_both->crc64nvme, part.crc64nvme);
  EXPECT_EQ(with_both->checksum, part.checksum);
}

TEST(Record, CloudObjectsKeepTheirSumsInTheRecordOrInABlob) {
  const std::string sums(3 * kCloudSumBytes, 's');
  const BlobId cloud{.volume = kCloudVolume, .shard = 1, .incarnation = {7}, .number = 8};
  const BlobId sums_blob{.volume = 0, .shard = 2, .incarnation = {7}, .number = 9};
  const uint64_t size = 2 * uint64_t{kBlobBlockSizeMax} + 1;
  ObjectRecord record{.size_bytes = size};
  record.content = {.kind = Locator::Kind::cloud, .blob = cloud, .length_bytes = size, .sums = sums};
  const std::string inline_bytes = record.encode();
  record.content.sums = {};
  record.content.sums_blob = sums_blob;
  const std::string blob_bytes = record.encode();

  const auto with_inline = ObjectRecord::decode(inline_bytes);
  ASSERT_TRUE(with_inline);
  EXPECT_EQ(with_inline->content.sums, sums);
  EXPECT_EQ(with_inline->content.blob, cloud);
  EXPECT_EQ(with_inline->encode(), inline_bytes);
  EXPECT_EQ(blobs_of(inline_bytes).size(), 1U);
  const auto with_blob = ObjectRecord::decode(blob_bytes);
  ASSERT_TRUE(with_blob);
  EXPECT_EQ(with_blob->content.sums_blob, sums_blob);
  EXPECT_EQ(with_blob->encode(), blob_bytes);
  EXPECT_EQ(blobs_of(blob_bytes).size(), 2U);

  for (const std::string& bytes : {inline_bytes, blob_bytes}) {
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto decoded = ObjectRecord::decode(std::string_view(bytes).substr(0, bytes.size() - cut));
      EXPECT_FALSE(decoded && decoded->content.kind == Locator::Kind::cloud) << cut;
    }
  }
  std::string local_volume = inline_bytes;
  const size_t at = local_volume.find("\xff\xff");
  ASSERT_NE(at, std::string::npos);
  local_volume[at] = 0;
  EXPECT_FALSE(ObjectRecord::decode(local_volume)) << "an object of the cloud in a volume of this store";
}

TEST(Record, UnknownOptionalFieldIsSkippedAndUnknownRequiredRefused) {
  std::string bytes = small_object().encode();
  EXPECT_TRUE(ObjectRecord::decode(bytes + std::string("\x64\x02xy", 4)));
  const auto refused = ObjectRecord::decode(bytes + std::string("\xe4\x02xy", 4));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(RecordError::unsupported));
}

TEST(Record, NewerVersionAndUnknownFeaturesAreRefused) {
  std::string bytes = small_object().encode();
  bytes[0] = 2;
  EXPECT_TRUE(ObjectRecord::decode(bytes).error().is(RecordError::unsupported));
  bytes[0] = 1;
  bytes[2] = 1;
  EXPECT_TRUE(ObjectRecord::decode(bytes).error().is(RecordError::unsupported));
}

TEST(Record, EveryTruncationIsRefusedOrLosesAnOptionalField) {
  const std::string bytes = small_object().encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ObjectRecord::decode(std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(Record, BitFlipsNeverCrash) {
  for (const std::string& original : {small_object().encode(), multipart_object().encode()}) {
    for (size_t bit = 0; bit < original.size() * 8; ++bit) {
      std::string bytes = original;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      const auto decoded = ObjectRecord::decode(bytes);
      if (decoded) EXPECT_LE(decoded->encode().size(), bytes.size());
    }
  }
}

TEST(Record, DuplicateAndUnorderedFieldsAreRefused) {
  const std::string bytes = small_object().encode();
  EXPECT_FALSE(ObjectRecord::decode(bytes + bytes.substr(kRecordHeaderSize)));
}

TEST(Record, LongVarintsAreRefused) {
  EXPECT_FALSE(ObjectRecord::decode(std::string("\x01\x01\x00\x00\x01\x82\x00zz", 9)));
}

TEST(Record, ClientToken) {
  ClientTokenRecord record{.expires = {1'700'000'000'000'000'123}};
  for (size_t i = 0; i < record.fingerprint.size(); ++i) record.fingerprint[i] = static_cast<uint8_t>(i);
  const std::string bytes = record.encode();
  EXPECT_EQ(bytes.size(), kRecordHeaderSize + 2 + 8 + 2 + 32);
  const auto decoded = ClientTokenRecord::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->fingerprint, record.fingerprint);
  EXPECT_EQ(decoded->expires, record.expires);
  EXPECT_TRUE(blobs_of(bytes).empty());
  EXPECT_FALSE(etag_of(bytes));
  EXPECT_FALSE(ObjectRecord::decode(bytes));
  EXPECT_FALSE(ClientTokenRecord::decode(small_object().encode()));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ClientTokenRecord::decode(std::string_view(bytes).substr(0, size))) << size;
  }
}

}  // namespace
}  // namespace fb
