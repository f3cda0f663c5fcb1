// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "s3/checksum/crc64.h"

namespace fb::s3 {
namespace {

std::string hex_of(ChecksumKind kind, std::string_view text) {
  return hex_encode(Checksum::of(kind, as_bytes(text)).bytes());
}

std::vector<uint8_t> random_bytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

uint64_t crc64_bit_by_bit(Bytes bytes) {
  uint64_t crc = ~uint64_t{0};
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x9a6c9329ac4bc9b5 : 0);
  }
  return ~crc;
}

// The check values of the CRC catalogue, and those of the NVMe and iSCSI (RFC 3720) standards.
TEST(Checksum, PublishedVectors) {
  EXPECT_EQ(hex_of(ChecksumKind::crc32, "123456789"), "cbf43926");
  EXPECT_EQ(hex_of(ChecksumKind::crc32c, "123456789"), "e3069283");
  EXPECT_EQ(hex_of(ChecksumKind::crc64nvme, "123456789"), "ae8b14860a799888");
  EXPECT_EQ(hex_of(ChecksumKind::crc32c, std::string(32, '\0')), "8a9136aa");
  EXPECT_EQ(hex_of(ChecksumKind::crc32c, std::string(32, '\xff')), "62a8ab43");
  EXPECT_EQ(hex_of(ChecksumKind::crc64nvme, std::string(4096, '\0')), "6482d367eb22b64e");
  EXPECT_EQ(hex_of(ChecksumKind::crc64nvme, std::string(4096, '\xff')), "c0ddba7302eca3ac");
  EXPECT_EQ(hex_of(ChecksumKind::sha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of(ChecksumKind::sha256, ""), kEmptySha256Hex);
  EXPECT_EQ(hex_of(ChecksumKind::crc32, ""), "00000000");
  EXPECT_EQ(hex_of(ChecksumKind::crc64nvme, ""), "0000000000000000");
}

TEST(Checksum, FoldingTableAndBitsAgree) {
  const std::vector<uint8_t> bytes = random_bytes(1100, 1);
  for (size_t offset = 0; offset < 17; ++offset) {
    for (size_t size = 0; offset + size <= bytes.size(); size += 1 + size / 97) {
      const Bytes piece = Bytes(bytes).subspan(offset, size);
      const uint64_t expected = crc64_bit_by_bit(piece);
      ASSERT_EQ(crc64nvme(0, piece), expected) << offset << " " << size;
      ASSERT_EQ(crc64nvme_by_table(0, piece), expected) << offset << " " << size;
    }
  }
}

TEST(Checksum, SplitsDoNotMatterAndPartsCombine) {
  const std::vector<uint8_t> bytes = random_bytes(700, 2);
  for (const ChecksumKind kind : kChecksumKinds) {
    const ChecksumValue whole = Checksum::of(kind, bytes);
    for (size_t split = 0; split <= bytes.size(); split += 7) {
      const Bytes first = Bytes(bytes).first(split);
      const Bytes second = Bytes(bytes).subspan(split);
      Checksum checksum(kind);
      checksum.update(first);
      checksum.update(second);
      ASSERT_EQ(checksum.finish(), whole);
      if (!can_be_full_object(kind)) continue;
      ASSERT_EQ(combine(Checksum::of(kind, first), Checksum::of(kind, second), second.size()), whole);
    }
  }
}

TEST(Checksum, PartsOfGigabytesCombine) {
  // Combining is associative, so that many small steps check one long one.
  const std::vector<uint8_t> block = random_bytes(1024, 3);
  for (const ChecksumKind kind : {ChecksumKind::crc32, ChecksumKind::crc32c, ChecksumKind::crc64nvme}) {
    ChecksumValue doubled = Checksum::of(kind, block);
    ChecksumValue one_more = doubled;
    uint64_t size = block.size();
    for (int i = 0; i < 25; ++i, size *= 2) doubled = combine(doubled, doubled, size);
    const ChecksumValue behind = combine(doubled, one_more, block.size());
    const ChecksumValue before = combine(one_more, doubled, size);
    EXPECT_EQ(behind, before);  // all blocks are the same bytes
  }
}

TEST(Checksum, Names) {
  for (const ChecksumKind kind : kChecksumKinds) {
    EXPECT_EQ(checksum_kind_of_name(checksum_name(kind)), kind);
    EXPECT_EQ(checksum_kind_of_header(checksum_header(kind)), kind);
  }
  EXPECT_EQ(checksum_kind_of_header("X-Amz-Checksum-CRC64NVME"), ChecksumKind::crc64nvme);
  EXPECT_EQ(checksum_kind_of_header("x-amz-checksum-type"), std::nullopt);
  EXPECT_EQ(checksum_kind_of_name("MD5"), std::nullopt);
}

TEST(Checksum, Base64Values) {
  EXPECT_EQ(Checksum::of(ChecksumKind::crc32, as_bytes("123456789")).to_base64(), "y/Q5Jg==");
  EXPECT_EQ(ChecksumValue::parse(ChecksumKind::crc32, "y/Q5Jg=="),
            Checksum::of(ChecksumKind::crc32, as_bytes("123456789")));
  for (const std::string_view bad : {"", "y/Q5", "y/Q5Jg", "y/Q5Jgo=", "y/Q5Jh==", "y/Q5J===", "y_Q5Jg=="}) {
    EXPECT_FALSE(ChecksumValue::parse(ChecksumKind::crc32, bad)) << bad;
  }
  EXPECT_FALSE(ChecksumValue::parse(ChecksumKind::crc64nvme, "y/Q5Jg=="));
}

TEST(Checksum, Composite) {
  CompositeChecksum composite(ChecksumKind::sha256);
  std::string joined;
  for (const std::string_view part : {"one", "two", "three"}) {
    const ChecksumValue value = Checksum::of(ChecksumKind::sha256, as_bytes(part));
    composite.add(value);
    joined.append(reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size());
  }
  const CompositeValue value = composite.finish();
  EXPECT_EQ(value.to_string(), base64_encode(sha256(joined)) + "-3");
  EXPECT_EQ(CompositeValue::parse(ChecksumKind::sha256, value.to_string()), value);
  for (const std::string_view suffix : {"", "-", "-0", "-03", "-x", "-3x", "--3", "-99999999999"}) {
    EXPECT_FALSE(CompositeValue::parse(ChecksumKind::sha256, value.value.to_base64() + std::string(suffix)))
        << suffix;
  }
}

}  // namespace
}  // namespace fb::s3
