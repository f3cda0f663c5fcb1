// SPDX-License-Identifier: Apache-2.0
#include "s3/encoding.h"

#include <array>
#include <cstring>

namespace fb::s3 {
namespace {

constexpr char kBase64Digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kInvalid = 0xff;

consteval std::array<uint8_t, 256> make_hex_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kInvalid);
  for (uint8_t i = 0; i < 10; ++i) values['0' + i] = i;
  for (uint8_t i = 0; i < 6; ++i) values['a' + i] = values['A' + i] = static_cast<uint8_t>(10 + i);
  return values;
}

consteval std::array<uint8_t, 256> make_base64_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kInvalid);
  for (uint8_t i = 0; i < 64; ++i) values[static_cast<uint8_t>(kBase64Digits[i])] = i;
  return values;
}

constexpr std::array<uint8_t, 256> kHexValues = make_hex_values();
constexpr std::array<uint8_t, 256> kBase64Values = make_base64_values();

uint8_t hex_value(char c) { return kHexValues[static_cast<uint8_t>(c)]; }
uint8_t base64_value(char c) { return kBase64Values[static_cast<uint8_t>(c)]; }

}  // namespace

std::string hex_encode(Bytes bytes) {
  std::string text(2 * bytes.size(), '\0');
  hex_encode(bytes, text.data());
  return text;
}

bool hex_decode(std::string_view text, std::span<uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  uint8_t seen = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const uint8_t high = hex_value(text[2 * i]);
    const uint8_t low = hex_value(text[2 * i + 1]);
    seen |= high | low;
    out[i] = static_cast<uint8_t>(high << 4 | (low & 15));
  }
  return seen < 16;
}

bool is_lower_hex(std::string_view text) {
  for (const char c : text) {
    if (hex_value(c) == kInvalid || (c >= 'A' && c <= 'F')) return false;
  }
  return true;
}

char* base64_encode(Bytes bytes, char* out) {
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t group = uint32_t{bytes[i]} << 16 | uint32_t{bytes[i + 1]} << 8 | bytes[i + 2];
    *out++ = kBase64Digits[group >> 18];
    *out++ = kBase64Digits[group >> 12 & 63];
    *out++ = kBase64Digits[group >> 6 & 63];
    *out++ = kBase64Digits[group & 63];
  }
  if (i == bytes.size()) return out;
  const bool two = bytes.size() - i == 2;
  const uint32_t group = uint32_t{bytes[i]} << 16 | (two ? uint32_t{bytes[i + 1]} << 8 : 0);
  *out++ = kBase64Digits[group >> 18];
  *out++ = kBase64Digits[group >> 12 & 63];
  *out++ = two ? kBase64Digits[group >> 6 & 63] : '=';
  *out++ = '=';
  return out;
}

std::string base64_encode(Bytes bytes) {
  std::string text(base64_length(bytes.size()), '\0');
  base64_encode(bytes, text.data());
  return text;
}

std::optional<size_t> base64_decode(std::string_view text, std::span<uint8_t> out) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return 0;
  const size_t padding = !text.ends_with('=') ? 0 : text[text.size() - 2] == '=' ? 2 : 1;
  const size_t size = text.size() / 4 * 3 - padding;
  if (size > out.size()) return std::nullopt;
  uint32_t bits = 0;
  int bit_count = 0;
  size_t written = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const uint8_t value = base64_value(c);
    if (value == kInvalid) return std::nullopt;
    bits = bits << 6 | value;
    bit_count += 6;
    if (bit_count < 8) continue;
    bit_count -= 8;
    out[written++] = static_cast<uint8_t>(bits >> bit_count);
    bits &= (1u << bit_count) - 1;
  }
  if (bits != 0) return std::nullopt;
  return written;
}

std::optional<std::string> base64_decode(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const auto size = base64_decode(text, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  if (!size) return std::nullopt;
  bytes.resize(*size);
  return bytes;
}

bool constant_time_equal(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  // volatile keeps the compiler from leaving the loop at the first difference.
  volatile uint64_t difference = 0;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= a.size(); i += sizeof(uint64_t)) {
    uint64_t word_a = 0;
    uint64_t word_b = 0;
    std::memcpy(&word_a, a.data() + i, sizeof(word_a));
    std::memcpy(&word_b, b.data() + i, sizeof(word_b));
    difference = difference | (word_a ^ word_b);
  }
  for (; i < a.size(); ++i) difference = difference | static_cast<uint64_t>(a[i] ^ b[i]);
  return difference == 0;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return constant_time_equal(as_bytes(a), as_bytes(b));
}

}  // namespace fb::s3
