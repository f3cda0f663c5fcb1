// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/checksum_headers.h"

#include <gtest/gtest.h>

#include <vector>

namespace fb::s3 {
namespace {

template <class F>
auto with(const std::vector<HeaderField>& headers, F&& parse) {
  RequestHead head;
  head.headers = headers;
  return parse(head);
}

TEST(ChecksumChoice, Parses) {
  const auto choice = with({{"x-amz-checksum-algorithm", "sha256"}, {"x-amz-checksum-type", "COMPOSITE"}},
                           parse_checksum_choice);
  EXPECT_EQ(choice->kind, ChecksumKind::sha256);
  EXPECT_EQ(choice->type, ChecksumType::composite);
  EXPECT_FALSE(with({{"x-amz-checksum-algorithm", "MD9"}}, parse_checksum_choice));
  EXPECT_FALSE(with({{"x-amz-checksum-type", "HALF"}}, parse_checksum_choice));
  for (const std::string_view name : {"x-amz-checksum-algorithm", "x-amz-checksum-type"}) {
    const std::string_view value = name.ends_with("type") ? "COMPOSITE" : "CRC32";
    EXPECT_EQ(with({{name, value}, {name, value}}, parse_checksum_choice).error().error,
              S3Error::InvalidArgument);
  }
}

TEST(ChecksumChoice, TypesFitTheirAlgorithms) {
  for (const ChecksumKind kind : kChecksumKinds) {
    const bool full_only = kind == ChecksumKind::crc64nvme;
    const bool composite_only = kind == ChecksumKind::sha1 || kind == ChecksumKind::sha256;
    const auto full = resolve_checksum_type(kind, ChecksumType::full_object);
    const auto composite = resolve_checksum_type(kind, ChecksumType::composite);
    EXPECT_EQ(full.has_value(), !composite_only);
    EXPECT_EQ(composite.has_value(), !full_only);
    EXPECT_EQ(*resolve_checksum_type(kind, {}),
              full_only ? ChecksumType::full_object : ChecksumType::composite);
  }
  EXPECT_EQ(resolve_checksum_type(ChecksumKind::crc64nvme, ChecksumType::composite).error().text(),
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.");
}

TEST(ObjectChecksum, Parses) {
  EXPECT_EQ((*with({{"x-amz-checksum-crc32", "AAAAAA==-3"}}, parse_object_checksum))->text, "AAAAAA==-3");
  EXPECT_EQ((*with({{"x-amz-checksum-crc32", "AAAAAA=="}}, parse_object_checksum))->kind,
            ChecksumKind::crc32);
  EXPECT_FALSE(with({{"x-amz-checksum-type", "COMPOSITE"}}, parse_object_checksum)->has_value());
  for (const std::string_view bad : {"AA-3", "AAAAAA==-", "AAAAAA==-0", "AAAAAA==-x", "AAAAAA==-1-2", ""}) {
    EXPECT_EQ(with({{"x-amz-checksum-crc32", bad}}, parse_object_checksum).error().error,
              S3Error::InvalidRequest)
        << bad;
  }
  EXPECT_EQ(with({{"x-amz-checksum-crc32", "AAAAAA=="}, {"x-amz-checksum-crc32c", "AAAAAA=="}},
                 parse_object_checksum)
                .error()
                .error,
            S3Error::InvalidRequest);
  EXPECT_EQ(with({{"x-amz-checksum-crc32", "AAAAAA=="}, {"X-Amz-Checksum-CRC32", "AAAAAA=="}},
                 parse_object_checksum)
                .error()
                .error,
            S3Error::InvalidArgument);
  EXPECT_EQ(with({{"x-amz-checksum-sha512", "AAAAAA=="}}, parse_object_checksum).error().error,
            S3Error::NotImplemented);
  EXPECT_EQ(with({{"x-amz-checksum-md9", "AAAAAA=="}}, parse_object_checksum).error().error,
            S3Error::InvalidRequest);
}

}  // namespace
}  // namespace fb::s3
