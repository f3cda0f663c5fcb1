// SPDX-License-Identifier: Apache-2.0
// Long input is folded: a 128-bit piece A * x^64 + B that stands D bits ahead of another may be replaced by
// A * (x^(64 + D) mod P) + B * (x^D mod P), added onto that other piece, without changing the remainder. Four
// pieces are carried along side by side, 512 bits ahead each, so that the multipliers overlap; then they are
// folded into one, 128 bits ahead each, and the table finishes that one as if its 16 bytes were the message.
//
// With reflected bits the product of two 64-bit words, read as a reflected 128-bit word, is too large by one
// factor of x; the constants are therefore powers smaller by one.
#include "s3/crc64.h"

#include <array>
#include <cstring>

#include "s3/crc_math.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fb::s3 {
namespace {

constexpr size_t kSlices = 8;
using Tables = std::array<std::array<uint64_t, 256>, kSlices>;

// tables[k][b]: the remainder of byte b with k zero bytes behind it.
consteval Tables make_tables() {
  Tables tables{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = Crc64NvmeField::times_x(remainder);
    tables[0][byte] = remainder;
  }
  for (size_t k = 1; k < kSlices; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint64_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

// Both work on the bare remainder, without the inversion before and after.
uint64_t update_by_table(uint64_t remainder, Bytes bytes) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= kSlices; left -= kSlices, at += kSlices) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    word ^= remainder;
    remainder = 0;
    for (size_t i = 0; i < kSlices; ++i) remainder ^= kTables[kSlices - 1 - i][word >> (8 * i) & 0xff];
  }
  for (; left > 0; --left, ++at) remainder = (remainder >> 8) ^ kTables[0][(remainder ^ *at) & 0xff];
  return remainder;
}

#if defined(__x86_64__)

constexpr size_t kPiece = 16;
constexpr size_t kStride = 4 * kPiece;
constexpr size_t kFoldingPays = 2 * kStride;

[[gnu::target("pclmul")]] inline __m128i fold(__m128i piece, __m128i onto, __m128i constants) {
  const __m128i high = _mm_clmulepi64_si128(piece, constants, 0x00);
  const __m128i low = _mm_clmulepi64_si128(piece, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(high, low), onto);
}

// The low half of a piece holds its first bytes, which have the higher powers.
template <unsigned kDistanceBits>
__m128i fold_constants() {
  constexpr uint64_t kForFirst = Crc64NvmeField::x_to(kDistanceBits + 64 - 1);
  constexpr uint64_t kForSecond = Crc64NvmeField::x_to(kDistanceBits - 1);
  return _mm_set_epi64x(static_cast<long long>(kForSecond), static_cast<long long>(kForFirst));
}

[[gnu::target("pclmul")]] uint64_t update_by_folding(uint64_t remainder, Bytes bytes) {
  const auto* at = reinterpret_cast<const __m128i*>(bytes.data());
  size_t left = bytes.size() - kStride;
  __m128i piece[4] = {_mm_loadu_si128(at), _mm_loadu_si128(at + 1), _mm_loadu_si128(at + 2),
                      _mm_loadu_si128(at + 3)};
  piece[0] = _mm_xor_si128(piece[0], _mm_set_epi64x(0, static_cast<long long>(remainder)));
  at += 4;
  const __m128i by_stride = fold_constants<8 * kStride>();
  for (; left >= kStride; left -= kStride, at += 4) {
    for (int i = 0; i < 4; ++i) piece[i] = fold(piece[i], _mm_loadu_si128(at + i), by_stride);
  }
  const __m128i by_piece = fold_constants<8 * kPiece>();
  __m128i last = piece[0];
  for (int i = 1; i < 4; ++i) last = fold(last, piece[i], by_piece);
  for (; left >= kPiece; left -= kPiece, ++at) last = fold(last, _mm_loadu_si128(at), by_piece);

  std::array<uint8_t, kPiece> folded;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded.data()), last);
  return update_by_table(update_by_table(0, folded), bytes.last(left));
}

uint64_t update(uint64_t remainder, Bytes bytes) {
  if (bytes.size() >= kFoldingPays && __builtin_cpu_supports("pclmul"))
    return update_by_folding(remainder, bytes);
  return update_by_table(remainder, bytes);
}

#else

uint64_t update(uint64_t remainder, Bytes bytes) { return update_by_table(remainder, bytes); }

#endif

}  // namespace

uint64_t crc64nvme(uint64_t crc, Bytes bytes) { return ~update(~crc, bytes); }
uint64_t crc64nvme_by_table(uint64_t crc, Bytes bytes) { return ~update_by_table(~crc, bytes); }

}  // namespace fb::s3
