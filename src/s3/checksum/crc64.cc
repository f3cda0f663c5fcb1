// SPDX-License-Identifier: Apache-2.0
// Long input is folded: a 128-bit piece A * x^64 + B that stands D bits ahead of another may be replaced by
// A * (x^(64 + D) mod P) + B * (x^D mod P), added onto that other piece, without changing the remainder. Four
// pieces are carried along side by side, 512 bits ahead each, so that the multipliers overlap (eight of them,
// 1024 bits ahead, where a register takes two); then they are folded into one, 128 bits ahead each, and the
// table finishes that one as if its 16 bytes were the message.
//
// With reflected bits the product of two 64-bit words, read as a reflected 128-bit word, is too large by one
// factor of x; the constants are therefore powers smaller by one.
#include "s3/checksum/crc64.h"

#include <array>
#include <cstring>

#include "s3/checksum/crc_math.h"

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
constexpr size_t kAbreast = 4;  // registers that are folded side by side

[[gnu::target("pclmul")]] inline __m128i fold(__m128i piece, __m128i onto, __m128i constants) {
  const __m128i high = _mm_clmulepi64_si128(piece, constants, 0x00);
  const __m128i low = _mm_clmulepi64_si128(piece, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(high, low), onto);
}

// Two pieces to a register.
[[gnu::target("avx2,vpclmulqdq")]] inline __m256i fold(__m256i pieces, __m256i onto, __m256i constants) {
  const __m256i high = _mm256_clmulepi64_epi128(pieces, constants, 0x00);
  const __m256i low = _mm256_clmulepi64_epi128(pieces, constants, 0x11);
  return _mm256_xor_si256(_mm256_xor_si256(high, low), onto);
}

// The low half of a piece holds its first bytes, which have the higher powers.
template <unsigned kDistanceBits>
__m128i fold_constants() {
  constexpr uint64_t kForFirst = Crc64NvmeField::x_to(kDistanceBits + 64 - 1);
  constexpr uint64_t kForSecond = Crc64NvmeField::x_to(kDistanceBits - 1);
  return _mm_set_epi64x(static_cast<long long>(kForSecond), static_cast<long long>(kForFirst));
}

// Folds pieces that stand in a row, and what follows them, into one; the table finishes that one and the
// rest.
template <size_t kPieces>
[[gnu::target("pclmul")]] uint64_t finish(const std::array<__m128i, kPieces>& pieces, Bytes rest) {
  const __m128i by_piece = fold_constants<8 * kPiece>();
  __m128i last = pieces[0];
  for (size_t i = 1; i < kPieces; ++i) last = fold(last, pieces[i], by_piece);
  for (; rest.size() >= kPiece; rest = rest.subspan(kPiece))
    last = fold(last, _mm_loadu_si128(reinterpret_cast<const __m128i*>(rest.data())), by_piece);
  std::array<uint8_t, kPiece> folded;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded.data()), last);
  return update_by_table(update_by_table(0, folded), rest);
}

[[gnu::target("pclmul")]] uint64_t update_by_folding(uint64_t remainder, Bytes bytes) {
  constexpr size_t kStride = kAbreast * kPiece;
  const auto* at = reinterpret_cast<const __m128i*>(bytes.data());
  std::array<__m128i, kAbreast> piece;
  for (size_t i = 0; i < kAbreast; ++i) piece[i] = _mm_loadu_si128(at + i);
  piece[0] = _mm_xor_si128(piece[0], _mm_set_epi64x(0, static_cast<long long>(remainder)));
  const __m128i by_stride = fold_constants<8 * kStride>();
  for (bytes = bytes.subspan(kStride); bytes.size() >= kStride; bytes = bytes.subspan(kStride)) {
    at += kAbreast;
    for (size_t i = 0; i < kAbreast; ++i) piece[i] = fold(piece[i], _mm_loadu_si128(at + i), by_stride);
  }
  return finish(piece, bytes);
}

[[gnu::target("avx2,vpclmulqdq,pclmul")]] uint64_t update_by_wide_folding(uint64_t remainder, Bytes bytes) {
  constexpr size_t kStride = kAbreast * 2 * kPiece;
  const auto* at = reinterpret_cast<const __m256i*>(bytes.data());
  std::array<__m256i, kAbreast> pieces;
  for (size_t i = 0; i < kAbreast; ++i) pieces[i] = _mm256_loadu_si256(at + i);
  pieces[0] = _mm256_xor_si256(pieces[0], _mm256_set_epi64x(0, 0, 0, static_cast<long long>(remainder)));
  const __m256i by_stride = _mm256_broadcastsi128_si256(fold_constants<8 * kStride>());
  for (bytes = bytes.subspan(kStride); bytes.size() >= kStride; bytes = bytes.subspan(kStride)) {
    at += kAbreast;
    for (size_t i = 0; i < kAbreast; ++i) pieces[i] = fold(pieces[i], _mm256_loadu_si256(at + i), by_stride);
  }
  std::array<__m128i, 2 * kAbreast> narrow;
  for (size_t i = 0; i < kAbreast; ++i) {
    narrow[2 * i] = _mm256_castsi256_si128(pieces[i]);
    narrow[2 * i + 1] = _mm256_extracti128_si256(pieces[i], 1);
  }
  return finish(narrow, bytes);
}

// Below, the table or the narrow registers are as fast.
constexpr size_t kFoldingPays = 128;
constexpr size_t kWideFoldingPays = 512;

uint64_t update(uint64_t remainder, Bytes bytes) {
  if (bytes.size() >= kWideFoldingPays && __builtin_cpu_supports("vpclmulqdq"))
    return update_by_wide_folding(remainder, bytes);
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
