// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/checksum.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "base/assert.h"
#include "s3/checksum/crc64.h"
#include "s3/checksum/crc_math.h"

namespace fb::s3 {
namespace {

struct KindFacts {
  std::string_view name;
  std::string_view header;
  size_t size;
};

constexpr std::array<KindFacts, kChecksumKinds.size()> kFacts = {{
    {"CRC32", "x-amz-checksum-crc32", 4},
    {"CRC32C", "x-amz-checksum-crc32c", 4},
    {"CRC64NVME", "x-amz-checksum-crc64nvme", 8},
    {"SHA1", "x-amz-checksum-sha1", 20},
    {"SHA256", "x-amz-checksum-sha256", 32},
}};

const KindFacts& facts(ChecksumKind kind) { return kFacts[static_cast<size_t>(kind)]; }

template <class Word>
std::array<uint8_t, sizeof(Word)> to_network_order(Word value) {
  std::array<uint8_t, sizeof(Word)> bytes;
  for (size_t i = sizeof(Word); i-- > 0; value >>= 8) bytes[i] = static_cast<uint8_t>(value);
  return bytes;
}

uint64_t from_network_order(Bytes bytes) {
  uint64_t value = 0;
  for (const uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

// ISA-L's crc32_iscsi() leaves the inversions to its caller and takes a pointer to bytes that it does not
// change.
uint32_t crc32c(uint32_t crc, Bytes bytes) {
  constexpr size_t kAtOnce = 1 << 30;
  uint32_t state = ~crc;
  while (!bytes.empty()) {
    const Bytes now = bytes.first(std::min(bytes.size(), kAtOnce));
    state = crc32_iscsi(const_cast<uint8_t*>(now.data()), static_cast<int>(now.size()), state);
    bytes = bytes.subspan(now.size());
  }
  return ~state;
}

std::variant<uint64_t, Sha1, Sha256> initial_state(ChecksumKind kind) {
  if (kind == ChecksumKind::sha1) return Sha1();
  if (kind == ChecksumKind::sha256) return Sha256();
  return uint64_t{0};
}

}  // namespace

std::string_view checksum_name(ChecksumKind kind) { return facts(kind).name; }
std::string_view checksum_header(ChecksumKind kind) { return facts(kind).header; }
size_t checksum_size(ChecksumKind kind) { return facts(kind).size; }

std::optional<ChecksumKind> checksum_kind_of_name(std::string_view name) {
  for (const ChecksumKind kind : kChecksumKinds) {
    if (ascii_iequals(name, checksum_name(kind))) return kind;
  }
  return std::nullopt;
}

std::optional<ChecksumKind> checksum_kind_of_header(std::string_view header) {
  for (const ChecksumKind kind : kChecksumKinds) {
    if (ascii_iequals(header, checksum_header(kind))) return kind;
  }
  return std::nullopt;
}

ChecksumValue::ChecksumValue(ChecksumKind kind, Bytes bytes) : kind_(kind) {
  FB_ASSERT(bytes.size() == checksum_size(kind), bytes.size(), kind);
  std::ranges::copy(bytes, bytes_.begin());
}

std::optional<ChecksumValue> ChecksumValue::parse(ChecksumKind kind, std::string_view text) {
  ChecksumValue value(kind);
  if (base64_decode(text, std::span(value.bytes_).first(checksum_size(kind))) != checksum_size(kind)) {
    return std::nullopt;
  }
  return value;
}

Checksum::Checksum(ChecksumKind kind) : kind_(kind), state_(initial_state(kind)) {}

void Checksum::update(Bytes bytes) {
  switch (kind_) {
    case ChecksumKind::crc32: {
      uint64_t& crc = std::get<uint64_t>(state_);
      crc = crc32_gzip_refl(static_cast<uint32_t>(crc), bytes.data(), bytes.size());
      return;
    }
    case ChecksumKind::crc32c: {
      uint64_t& crc = std::get<uint64_t>(state_);
      crc = crc32c(static_cast<uint32_t>(crc), bytes);
      return;
    }
    case ChecksumKind::crc64nvme: {
      uint64_t& crc = std::get<uint64_t>(state_);
      crc = crc64nvme(crc, bytes);
      return;
    }
    case ChecksumKind::sha1:
      return std::get<Sha1>(state_).update(bytes);
    case ChecksumKind::sha256:
      return std::get<Sha256>(state_).update(bytes);
  }
}

ChecksumValue Checksum::finish() {
  switch (kind_) {
    case ChecksumKind::crc32:
    case ChecksumKind::crc32c:
      return {kind_, to_network_order(static_cast<uint32_t>(std::get<uint64_t>(state_)))};
    case ChecksumKind::crc64nvme:
      return {kind_, to_network_order(std::get<uint64_t>(state_))};
    case ChecksumKind::sha1:
      return {kind_, std::get<Sha1>(state_).finish()};
    case ChecksumKind::sha256:
      return {kind_, std::get<Sha256>(state_).finish()};
  }
  FB_UNREACHABLE();
}

ChecksumValue Checksum::of(ChecksumKind kind, Bytes bytes) {
  Checksum checksum(kind);
  checksum.update(bytes);
  return checksum.finish();
}

// A CRC is the remainder of the message times a power of x, plus terms for the inversions that depend on the
// length only; those of the first part, moved on by the second's length, cancel against the second's own.
ChecksumValue combine(const ChecksumValue& first, const ChecksumValue& second, uint64_t second_size) {
  FB_ASSERT(first.kind() == second.kind(), first.kind(), second.kind());
  FB_ASSERT(can_be_full_object(first.kind()), first.kind());
  const uint64_t a = from_network_order(first.bytes());
  const uint64_t b = from_network_order(second.bytes());
  const auto joined = [&]<class Word, Word kPolynomial>(CrcField<Word, kPolynomial>) {
    using Field = CrcField<Word, kPolynomial>;
    const Word moved = Field::multiply(static_cast<Word>(a), Field::shift_by_bytes(second_size));
    return ChecksumValue(first.kind(), to_network_order(static_cast<Word>(moved ^ static_cast<Word>(b))));
  };
  switch (first.kind()) {
    case ChecksumKind::crc32:
      return joined(Crc32Field());
    case ChecksumKind::crc32c:
      return joined(Crc32cField());
    default:
      return joined(Crc64NvmeField());
  }
}

std::string CompositeValue::to_string() const { return value.to_base64() + "-" + std::to_string(part_count); }

std::optional<CompositeValue> CompositeValue::parse(ChecksumKind kind, std::string_view text) {
  const size_t dash = text.rfind('-');
  if (dash == text.npos) return std::nullopt;
  const auto value = ChecksumValue::parse(kind, text.substr(0, dash));
  const std::string_view digits = text.substr(dash + 1);
  uint32_t part_count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), part_count);
  if (!value || error != std::errc() || end != digits.data() + digits.size() || digits.starts_with('0')) {
    return std::nullopt;
  }
  return CompositeValue{*value, part_count};
}

CompositeChecksum::CompositeChecksum(ChecksumKind kind) : checksum_(kind) {
  FB_ASSERT(can_be_composite(kind), kind);
}

void CompositeChecksum::add(const ChecksumValue& part) {
  FB_ASSERT(part.kind() == checksum_.kind(), part.kind(), checksum_.kind());
  checksum_.update(part.bytes());
  ++part_count_;
}

CompositeValue CompositeChecksum::finish() { return {checksum_.finish(), part_count_}; }

}  // namespace fb::s3
