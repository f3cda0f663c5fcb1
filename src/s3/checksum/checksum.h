// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "s3/checksum/hash.h"
#include "s3/encoding.h"

// S3's additional checksums: the five kinds behind one incremental type, their header names and base64
// values, and the two ways in which a multipart object gets one (x-amz-checksum-type).
//   FULL_OBJECT  of all bytes, computed from the parts' values by combine(); CRCs only
//   COMPOSITE    the checksum of the parts' checksums, written with "-N", N parts; not CRC64NVME

namespace fb::s3 {

enum class ChecksumKind : uint8_t { crc32, crc32c, crc64nvme, sha1, sha256 };
constexpr std::array kChecksumKinds = {ChecksumKind::crc32, ChecksumKind::crc32c, ChecksumKind::crc64nvme,
                                       ChecksumKind::sha1, ChecksumKind::sha256};
constexpr size_t kChecksumSizeMax = 32;

std::string_view checksum_name(ChecksumKind kind);    // "CRC32C", as in x-amz-checksum-algorithm
std::string_view checksum_header(ChecksumKind kind);  // "x-amz-checksum-crc32c"
size_t checksum_size(ChecksumKind kind);              // in bytes, before base64
constexpr bool can_be_full_object(ChecksumKind kind) { return kind <= ChecksumKind::crc64nvme; }
constexpr bool can_be_composite(ChecksumKind kind) { return kind != ChecksumKind::crc64nvme; }
// Without regard to letter case; nothing for any other text.
std::optional<ChecksumKind> checksum_kind_of_name(std::string_view name);
std::optional<ChecksumKind> checksum_kind_of_header(std::string_view header);

// A finished checksum. CRCs are in network order, as S3 writes them.
class ChecksumValue {
 public:
  ChecksumValue(ChecksumKind kind, Bytes bytes);
  // Nothing where `text` is not the strict base64 of exactly the kind's size.
  static std::optional<ChecksumValue> parse(ChecksumKind kind, std::string_view text);

  ChecksumKind kind() const { return kind_; }
  Bytes bytes() const { return {bytes_.data(), checksum_size(kind_)}; }
  std::string to_base64() const { return base64_encode(bytes()); }
  bool operator==(const ChecksumValue&) const = default;

 private:
  explicit ChecksumValue(ChecksumKind kind) : kind_(kind) {}

  ChecksumKind kind_;
  std::array<uint8_t, kChecksumSizeMax> bytes_{};
};

// Incremental, a plain value. finish() once.
class Checksum {
 public:
  explicit Checksum(ChecksumKind kind);
  void update(Bytes bytes);
  ChecksumValue finish();
  ChecksumKind kind() const { return kind_; }

  static ChecksumValue of(ChecksumKind kind, Bytes bytes);

 private:
  ChecksumKind kind_;
  std::variant<uint64_t, Sha1, Sha256> state_;
};

// The checksum of two byte strings in a row, from the checksum of each; both of one kind that
// can_be_full_object().
ChecksumValue combine(const ChecksumValue& first, const ChecksumValue& second, uint64_t second_size);

// COMPOSITE: add() the parts' values in order. The kind must satisfy can_be_composite().
struct CompositeValue {
  ChecksumValue value;
  uint32_t part_count = 0;

  std::string to_string() const;  // "base64-N"
  static std::optional<CompositeValue> parse(ChecksumKind kind, std::string_view text);
  bool operator==(const CompositeValue&) const = default;
};

class CompositeChecksum {
 public:
  explicit CompositeChecksum(ChecksumKind kind);
  void add(const ChecksumValue& part);
  CompositeValue finish();

 private:
  Checksum checksum_;
  uint32_t part_count_ = 0;
};

}  // namespace fb::s3
