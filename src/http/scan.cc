// SPDX-License-Identifier: Apache-2.0
#include "http/scan.h"

#include <array>
#include <bit>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "base/ascii.h"

namespace fb {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (size_t i = 0; i < 128; ++i) {
    const char c = static_cast<char>(i);
    table[i] = ascii_is_alpha(c) || ascii_is_digit(c) ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  }
  return table;
}
constexpr std::array<bool, 256> kToken = make_token_table();

constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> table{};
  for (size_t i = 0; i < 128; ++i) {
    const char c = static_cast<char>(i);
    table[i] = ascii_is_alpha(c) || ascii_is_digit(c) ||
               std::string_view(".-_~:[]%!$&'()*+;=").find(c) != std::string_view::npos;
  }
  return table;
}
constexpr std::array<bool, 256> kHost = make_host_table();

#if defined(__AVX2__)
// A bit for each control character among 32 bytes.
unsigned control_mask(const char* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i below = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
  const __m256i tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t'));
  const __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
  return static_cast<unsigned>(_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, below), del)));
}
#endif

constexpr bool is_target_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f && byte != '#';
}

}  // namespace

size_t find_control(std::string_view text, size_t from) {
  const char* p = text.data() + from;
  const char* const end = text.data() + text.size();
#if defined(__AVX2__)
  for (; end - p >= 32; p += 32) {
    const unsigned mask = control_mask(p);
    if (mask != 0) return static_cast<size_t>(p - text.data() + std::countr_zero(mask));
  }
  if (p != end && text.size() >= 32) {
    // The last 32 bytes; those before `p` are masked out.
    const char* const last = end - 32;
    const unsigned mask = control_mask(last) >> (p - last);
    return mask == 0 ? text.size() : static_cast<size_t>(p - text.data() + std::countr_zero(mask));
  }
#endif
  while (p != end && !http_is_control(*p)) ++p;
  return static_cast<size_t>(p - text.data());
}

bool is_target_text(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
#if defined(__AVX2__)
  const __m256i space = _mm256_set1_epi8(0x20);
  const __m256i hash = _mm256_set1_epi8('#');
  const __m256i del = _mm256_set1_epi8(0x7f);
  for (; end - p >= 32; p += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i visible = _mm256_cmpgt_epi8(bytes, space);  // signed: 0x80 and above compare as negative
    const __m256i bad = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, hash), _mm256_cmpeq_epi8(bytes, del));
    if (_mm256_movemask_epi8(_mm256_andnot_si256(bad, visible)) != -1) return false;
  }
#endif
  for (; p != end; ++p) {
    if (!is_target_char(*p)) return false;
  }
  return true;
}

bool http_is_token_char(char c) { return kToken[static_cast<unsigned char>(c)]; }

bool is_host_text(std::string_view text) {
  for (const char c : text) {
    if (!kHost[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool http_is_token(std::string_view text) {
  for (const char c : text) {
    if (!http_is_token_char(c)) return false;
  }
  return !text.empty();
}

}  // namespace fb
