// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/multipart_checksum.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fb::s3 {
namespace {

const std::vector<std::string> kContents = {"the first part", "and the second", ""};

std::string whole() { return kContents[0] + kContents[1] + kContents[2]; }

ChecksumValue sum(ChecksumKind kind, std::string_view text) { return Checksum::of(kind, as_bytes(text)); }

std::vector<PartChecksums> parts_with(std::optional<ChecksumKind> own, bool with_crc64nvme) {
  std::vector<PartChecksums> parts;
  for (const std::string& content : kContents) {
    PartChecksums part{.size_bytes = content.size()};
    if (own) part.own = sum(*own, content);
    if (with_crc64nvme) part.crc64nvme = sum(ChecksumKind::crc64nvme, content);
    parts.push_back(part);
  }
  return parts;
}

ChecksumValue expected(ChecksumKind kind, ChecksumType type) {
  if (type == ChecksumType::full_object) return sum(kind, whole());
  CompositeChecksum composite(kind);
  for (const std::string& content : kContents) composite.add(sum(kind, content));
  return composite.finish().value;
}

std::string code(const auto& result) { return result ? "ok" : std::string(result.error().code()); }

// Every algorithm with each of its types, against every statement about the object.
TEST(MultipartChecksum, OfUploadsWithAnAlgorithm) {
  for (const ChecksumKind kind : kChecksumKinds) {
    for (const ChecksumType type : {ChecksumType::full_object, ChecksumType::composite}) {
      if (!resolve_checksum_type(kind, type)) continue;
      const UploadChecksum upload{kind, type};
      const auto parts = parts_with(kind, false);
      const ChecksumValue value = expected(kind, type);
      const auto made = object_checksum(upload, parts, {}, {});
      ASSERT_TRUE(made && *made);
      EXPECT_EQ((*made)->value, value);
      EXPECT_EQ((*made)->type, type);

      const auto stating = [&](ChecksumKind of, const std::string& text,
                               std::optional<ChecksumType> stated_type = {}) {
        return code(object_checksum(upload, parts, ObjectChecksum{of, text}, stated_type));
      };
      const bool composite = type == ChecksumType::composite;
      const std::string text = value.to_base64();
      EXPECT_EQ(stating(kind, text), "ok");
      EXPECT_EQ(stating(kind, text, type), "ok");
      EXPECT_EQ(stating(kind, text + "-3"), composite ? "ok" : "BadDigest");
      EXPECT_EQ(stating(kind, text + "-2"), "BadDigest");
      EXPECT_EQ(stating(kind, sum(kind, "other").to_base64()), "BadDigest");
      EXPECT_EQ(stating(kind, sum(kind, "other").to_base64() + "-3"), "BadDigest");
      const ChecksumType other = composite ? ChecksumType::full_object : ChecksumType::composite;
      EXPECT_EQ(stating(kind, text, other), "InvalidRequest");
      for (const ChecksumKind another : kChecksumKinds) {
        if (another == kind) continue;
        EXPECT_EQ(stating(another, sum(another, whole()).to_base64()), "InvalidRequest");
      }
      EXPECT_EQ(code(object_checksum(upload, parts_with({}, true), {}, {})),
                kind == ChecksumKind::crc64nvme ? "ok" : "InvalidRequest");
    }
  }
}

TEST(MultipartChecksum, OfUploadsWithoutAnAlgorithm) {
  const ChecksumValue crc64nvme = sum(ChecksumKind::crc64nvme, whole());
  std::vector<std::optional<ChecksumKind>> sent = {std::nullopt};
  for (const ChecksumKind kind : kChecksumKinds) sent.emplace_back(kind);
  for (const auto& own : sent) {
    const auto parts = parts_with(own, own != ChecksumKind::crc64nvme);
    const auto stating = [&](ChecksumKind of, const std::string& text) {
      const auto made = object_checksum({}, parts, ObjectChecksum{of, text}, {});
      if (made) {
        EXPECT_EQ((*made)->value, crc64nvme);
        EXPECT_EQ((*made)->type, ChecksumType::full_object);
      }
      return code(made);
    };
    const auto made = object_checksum({}, parts, {}, {});
    ASSERT_TRUE(made && *made);
    EXPECT_EQ((*made)->value, crc64nvme);
    EXPECT_EQ(code(object_checksum({}, parts, {}, ChecksumType::full_object)), "ok");
    EXPECT_EQ(code(object_checksum({}, parts, {}, ChecksumType::composite)), "InvalidRequest");
    for (const ChecksumKind stated : kChecksumKinds) {
      const bool known = stated == ChecksumKind::crc64nvme || stated == own;
      EXPECT_EQ(stating(stated, sum(stated, "other").to_base64()), known ? "BadDigest" : "ok");
      if (can_be_full_object(stated)) EXPECT_EQ(stating(stated, sum(stated, whole()).to_base64()), "ok");
      if (!can_be_composite(stated)) continue;
      const std::string composite = expected(stated, ChecksumType::composite).to_base64();
      EXPECT_EQ(stating(stated, composite), "ok");
      EXPECT_EQ(stating(stated, composite + "-3"), "ok");
      EXPECT_EQ(stating(stated, composite + "-4"), known ? "BadDigest" : "ok");
    }
  }
}

// Parts that were stored before there was a default.
TEST(MultipartChecksum, OfOldParts) {
  const auto made = object_checksum({}, parts_with(ChecksumKind::crc32, false), {}, {});
  ASSERT_TRUE(made);
  EXPECT_FALSE(*made);
  auto mixed = parts_with({}, true);
  mixed[1].crc64nvme.reset();
  EXPECT_FALSE(*object_checksum({}, mixed, {}, {}));
}

TEST(MultipartChecksum, OfOnePartAsCompleteListsIt) {
  const std::vector<UploadChecksum> uploads = {{},
                                               {ChecksumKind::crc32, ChecksumType::composite},
                                               {ChecksumKind::crc32, ChecksumType::full_object},
                                               {ChecksumKind::sha256, ChecksumType::composite}};
  for (const UploadChecksum& upload : uploads) {
    const PartChecksums stored = parts_with(upload.kind.value_or(ChecksumKind::crc32), !upload.kind)[0];
    const auto listing = [&](std::vector<ChecksumValue> values) {
      return code(check_part({.number = 1, .etag = "e", .checksums = std::move(values)}, stored, upload));
    };
    const bool composite = upload.kind && upload.type == ChecksumType::composite;
    EXPECT_EQ(listing({}), composite ? "InvalidRequest" : "ok");
    const ChecksumKind kind = upload.kind.value_or(ChecksumKind::crc32);
    EXPECT_EQ(listing({sum(kind, kContents[0])}), "ok");
    EXPECT_EQ(listing({sum(kind, "other")}), "InvalidPart");
    EXPECT_EQ(listing({sum(ChecksumKind::sha1, kContents[0])}), upload.kind ? "BadDigest" : "InvalidPart");
    EXPECT_EQ(listing({sum(ChecksumKind::crc64nvme, kContents[0])}), upload.kind ? "BadDigest" : "ok");
    EXPECT_EQ(listing({sum(kind, kContents[0]), sum(ChecksumKind::sha1, kContents[0])}), "InvalidArgument");
  }
}

}  // namespace
}  // namespace fb::s3
