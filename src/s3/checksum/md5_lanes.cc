// SPDX-License-Identifier: Apache-2.0
// MD5 by RFC 1321, in lanes: each vector holds one word of the state, or of the block, of eight messages.
#include "s3/checksum/md5_lanes.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace fb::s3 {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kLanes = 8;  // of one vector
constexpr size_t kTailBytes = 2 * kBlock;
constexpr size_t kLengthBytes = 8;

// floor(2^32 * |sin(i + 1)|)
constexpr std::array<uint32_t, 64> kSines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
constexpr std::array<std::array<int, 4>, 4> kShifts = {
    {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};
constexpr std::array<uint32_t, 4> kInitial = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

constexpr size_t word_of(size_t step) {
  switch (step / 16) {
    case 0:
      return step;
    case 1:
      return (5 * step + 1) % 16;
    case 2:
      return (3 * step + 5) % 16;
    default:
      return 7 * step % 16;
  }
}

// Of each lane: where its next block stands, and by how much it goes on; an idle one stays where it is.
struct Lane {
  const uint8_t* next = nullptr;
  size_t stride = 0;
  size_t blocks = 0;  // that follow one another from `next` on
  Md5Message* message = nullptr;
  bool in_tail = false;
  size_t tail_blocks = 0;
  std::array<uint8_t, kTailBytes> tail;
};
constexpr std::array<uint8_t, kBlock> kNothing{};

template <size_t kGroups>
struct Words {
  __m256i of[16][kGroups];
};

// The first (or second) half of the lanes' blocks: eight words of each.
void load_half(const Lane* lanes, size_t offset, __m256i* out, size_t out_stride) {
  __m256i row[kLanes];
  for (size_t i = 0; i < kLanes; ++i)
    row[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes[i].next + offset));
  __m256i pair[kLanes];
  for (size_t i = 0; i < kLanes; i += 2) {
    pair[i] = _mm256_unpacklo_epi32(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_epi32(row[i], row[i + 1]);
  }
  __m256i four[kLanes];
  for (size_t i = 0; i < kLanes; i += 4) {
    four[i] = _mm256_unpacklo_epi64(pair[i], pair[i + 2]);
    four[i + 1] = _mm256_unpackhi_epi64(pair[i], pair[i + 2]);
    four[i + 2] = _mm256_unpacklo_epi64(pair[i + 1], pair[i + 3]);
    four[i + 3] = _mm256_unpackhi_epi64(pair[i + 1], pair[i + 3]);
  }
  for (size_t i = 0; i < 4; ++i) {
    out[i * out_stride] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x20);
    out[(i + 4) * out_stride] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x31);
  }
}

template <size_t kRound>
__m256i mix(__m256i b, __m256i c, __m256i d) {
  if constexpr (kRound == 0) return _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)));
  if constexpr (kRound == 1) return _mm256_xor_si256(c, _mm256_and_si256(d, _mm256_xor_si256(b, c)));
  if constexpr (kRound == 2) return _mm256_xor_si256(b, _mm256_xor_si256(c, d));
  const __m256i not_d = _mm256_xor_si256(d, _mm256_set1_epi32(-1));
  return _mm256_xor_si256(c, _mm256_or_si256(b, not_d));
}

template <size_t kStep, size_t kGroups>
void step(__m256i (&state)[4][kGroups], const Words<kGroups>& words) {
  constexpr size_t kRound = kStep / 16;
  constexpr int kShift = kShifts[kRound][kStep % 4];
  constexpr size_t a = (64 - kStep) % 4;
  constexpr size_t b = (a + 1) % 4;
  constexpr size_t c = (a + 2) % 4;
  constexpr size_t d = (a + 3) % 4;
  const __m256i sine = _mm256_set1_epi32(static_cast<int>(kSines[kStep]));
  for (size_t group = 0; group < kGroups; ++group) {
    const __m256i added =
        _mm256_add_epi32(state[a][group], _mm256_add_epi32(words.of[word_of(kStep)][group], sine));
    const __m256i sum =
        _mm256_add_epi32(added, mix<kRound>(state[b][group], state[c][group], state[d][group]));
    const __m256i turned =
        _mm256_or_si256(_mm256_slli_epi32(sum, kShift), _mm256_srli_epi32(sum, 32 - kShift));
    state[a][group] = _mm256_add_epi32(turned, state[b][group]);
  }
}

template <size_t kGroups>
class Hasher {
 public:
  static constexpr size_t kWidth = kLanes * kGroups;

  void run(std::span<Md5Message> messages) {
    messages_ = messages;
    size_t busy = 0;
    for (size_t i = 0; i < kWidth; ++i) busy += begin(i);
    while (busy > 0) {
      size_t blocks = SIZE_MAX;
      for (const Lane& lane : lanes_) {
        if (lane.message != nullptr) blocks = std::min(blocks, lane.blocks);
      }
      for (size_t i = 0; i < blocks; ++i) compress();
      for (size_t i = 0; i < kWidth; ++i) {
        Lane& lane = lanes_[i];
        if (lane.message == nullptr) continue;
        lane.blocks -= blocks;
        if (lane.blocks != 0) continue;
        if (!lane.in_tail) {
          begin_tail(lane);
          continue;
        }
        end(i);
        if (!begin(i)) --busy;
      }
    }
  }

 private:
  // Whether there was another message for the lane.
  bool begin(size_t index) {
    Lane& lane = lanes_[index];
    lane.message = nullptr;
    lane.next = kNothing.data();
    lane.stride = 0;
    if (messages_.empty()) return false;
    lane.message = &messages_.front();
    messages_ = messages_.subspan(1);
    for (size_t word = 0; word < 4; ++word) state_word(word, index) = kInitial[word];
    const Bytes bytes = lane.message->bytes;
    const size_t rest = bytes.size() % kBlock;
    lane.tail.fill(0);
    std::copy_n(bytes.data() + (bytes.size() - rest), rest, lane.tail.data());
    lane.tail[rest] = 0x80;
    lane.tail_blocks = rest + 1 + kLengthBytes <= kBlock ? 1 : 2;
    const uint64_t bits = uint64_t{bytes.size()} * 8;
    std::memcpy(lane.tail.data() + lane.tail_blocks * kBlock - kLengthBytes, &bits, sizeof(bits));
    lane.stride = kBlock;
    lane.next = bytes.data();
    lane.blocks = bytes.size() / kBlock;
    lane.in_tail = false;
    if (lane.blocks == 0) begin_tail(lane);
    return true;
  }
  static void begin_tail(Lane& lane) {
    lane.in_tail = true;
    lane.next = lane.tail.data();
    lane.blocks = lane.tail_blocks;
  }
  void end(size_t index) {
    uint8_t* out = lanes_[index].message->digest.data();
    for (size_t word = 0; word < 4; ++word)
      std::memcpy(out + 4 * word, &state_word(word, index), sizeof(uint32_t));
  }
  uint32_t& state_word(size_t word, size_t lane) { return state_[word][lane]; }

  void compress() {
    Words<kGroups> words;
    for (size_t group = 0; group < kGroups; ++group) {
      load_half(lanes_.data() + group * kLanes, 0, &words.of[0][group], kGroups);
      load_half(lanes_.data() + group * kLanes, kBlock / 2, &words.of[8][group], kGroups);
    }
    __m256i before[4][kGroups];
    __m256i state[4][kGroups];
    for (size_t word = 0; word < 4; ++word) {
      for (size_t group = 0; group < kGroups; ++group) {
        before[word][group] =
            _mm256_load_si256(reinterpret_cast<const __m256i*>(&state_[word][group * kLanes]));
        state[word][group] = before[word][group];
      }
    }
    [&]<size_t... kSteps>(std::index_sequence<kSteps...>) {
      (step<kSteps, kGroups>(state, words), ...);
    }(std::make_index_sequence<64>());
    for (size_t word = 0; word < 4; ++word) {
      for (size_t group = 0; group < kGroups; ++group)
        _mm256_store_si256(reinterpret_cast<__m256i*>(&state_[word][group * kLanes]),
                           _mm256_add_epi32(before[word][group], state[word][group]));
    }
    for (Lane& lane : lanes_) lane.next += lane.stride;
  }

  std::span<Md5Message> messages_;
  std::array<Lane, kWidth> lanes_;
  alignas(32) uint32_t state_[4][kWidth]{};
};

}  // namespace

void md5_together(std::span<Md5Message> messages) {
  if (messages.size() == 1) {
    messages.front().digest = md5(messages.front().bytes);
  } else if (messages.size() <= kLanes) {
    Hasher<1>().run(messages);
  } else {
    Hasher<2>().run(messages);
  }
}

}  // namespace fb::s3
