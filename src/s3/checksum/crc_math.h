// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <limits>

// Arithmetic on polynomials over GF(2) modulo a CRC's generator, in the reflected order of bits that all CRCs
// here use: the highest bit of a word is the coefficient of x^0.

namespace fb::s3 {

template <class Word, Word kPolynomial>
struct CrcField {
  static constexpr int kBits = std::numeric_limits<Word>::digits;
  static constexpr Word kOne = Word{1} << (kBits - 1);

  static constexpr Word times_x(Word a) { return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0); }

  static constexpr Word multiply(Word a, Word b) {
    Word product = 0;
    for (Word bit = kOne; bit != 0; bit >>= 1) {
      if ((a & bit) != 0) product ^= b;
      b = times_x(b);
    }
    return product;
  }

  static constexpr Word x_to(unsigned exponent) {
    Word power = kOne;
    while (exponent-- > 0) power = times_x(power);
    return power;
  }

  // x^(8 * byte_count): what a message is multiplied by when that many bytes follow it.
  static Word shift_by_bytes(uint64_t byte_count) {
    Word power = kOne;
    for (size_t i = 0; byte_count != 0; ++i, byte_count >>= 1) {
      if ((byte_count & 1) != 0) power = multiply(power, kByteShifts[i]);
    }
    return power;
  }

 private:
  static constexpr std::array<Word, 64> make_byte_shifts() {
    std::array<Word, 64> shifts{};
    shifts[0] = x_to(8);
    for (size_t i = 1; i < shifts.size(); ++i) shifts[i] = multiply(shifts[i - 1], shifts[i - 1]);
    return shifts;
  }
  static const std::array<Word, 64> kByteShifts;
};

template <class Word, Word kPolynomial>
constexpr std::array<Word, 64> CrcField<Word, kPolynomial>::kByteShifts = make_byte_shifts();

using Crc32Field = CrcField<uint32_t, 0xedb88320>;
using Crc32cField = CrcField<uint32_t, 0x82f63b78>;
using Crc64NvmeField = CrcField<uint64_t, 0x9a6c9329ac4bc9b5>;

}  // namespace fb::s3
