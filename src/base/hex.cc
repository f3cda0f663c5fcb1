// SPDX-License-Identifier: Apache-2.0
#include "base/hex.h"

#include <immintrin.h>

namespace fb {

char* hex_encode(std::span<const uint8_t> bytes, char* out) {
  const __m128i digits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kHexDigits));
  const __m128i low_half = _mm_set1_epi8(0x0f);
  for (; bytes.size() >= sizeof(__m128i); bytes = bytes.subspan(sizeof(__m128i))) {
    const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data()));
    const __m128i high = _mm_shuffle_epi8(digits, _mm_and_si128(_mm_srli_epi16(values, 4), low_half));
    const __m128i low = _mm_shuffle_epi8(digits, _mm_and_si128(values, low_half));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi8(high, low));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + sizeof(__m128i)), _mm_unpackhi_epi8(high, low));
    out += 2 * sizeof(__m128i);
  }
  for (const uint8_t byte : bytes) {
    *out++ = kHexDigits[byte >> 4];
    *out++ = kHexDigits[byte & 15];
  }
  return out;
}

}  // namespace fb
