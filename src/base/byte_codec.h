// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"

// Little-endian integers and varints (LEB128, shortest form only), as used in records, journals and
// snapshots.

namespace fb {

static_assert(std::endian::native == std::endian::little, "formats are little-endian and read in place");

inline constexpr size_t kVarintSizeMax = 10;

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(uint16_t value) { fixed(&value, sizeof(value)); }
  void u32(uint32_t value) { fixed(&value, sizeof(value)); }
  void u64(uint64_t value) { fixed(&value, sizeof(value)); }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  void bytes(std::string_view value) { out_.append(value); }
  void fixed(const void* data, size_t size) { out_.append(static_cast<const char*>(data), size); }
  // A varint length and the bytes.
  void sized(std::string_view value) {
    varint(value.size());
    bytes(value);
  }

 private:
  std::string& out_;
};

constexpr size_t varint_size(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// Reads untrusted bytes. After the first thing that does not fit, everything reads as zero and ok() is false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return next_ == end_; }
  size_t remaining() const { return static_cast<size_t>(end_ - next_); }
  void fail() {
    ok_ = false;
    next_ = end_;
  }

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  uint64_t varint() {
    if (next_ != end_ && static_cast<uint8_t>(*next_) < 0x80) return static_cast<uint8_t>(*next_++);
    return long_varint();
  }
  std::string_view bytes(uint64_t size) {
    if (size > remaining()) {
      fail();
      return {};
    }
    const std::string_view value(next_, size);
    next_ += size;
    return value;
  }
  std::string_view sized() { return bytes(varint()); }
  bool fixed_bytes(void* out, size_t size) {
    const std::string_view value = bytes(size);
    if (!ok_) return false;
    std::memcpy(out, value.data(), size);
    return true;
  }

 private:
  template <class T>
  T fixed() {
    T value{};
    if (remaining() < sizeof(T)) {
      fail();
      return value;
    }
    std::memcpy(&value, next_, sizeof(T));
    next_ += sizeof(T);
    return value;
  }
  uint64_t long_varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = u8();
      if (!ok_) return 0;
      value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) != 0) continue;
      const bool longer_than_needed = byte == 0 && shift != 0;
      const bool overflows = shift == 63 && byte > 1;
      if (longer_than_needed || overflows) break;
      return value;
    }
    fail();
    return 0;
  }
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace fb
