// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "client/record.h"

// What the namespace's benchmark puts, and how it counts.

namespace fb::bench {

inline double wall_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double cpu_now(clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

constexpr uint32_t kFolders = 10;  // imagenet-DD, each with a tenth of the keys
constexpr uint32_t kValueBytes = 200;

// datasets/imagenet-DD/train/class-DDDD/shard-DDD/<16 hex>.jpg, a function of its number.
class Key {
 public:
  explicit Key(uint64_t number) {
    std::copy_n("datasets/imagenet-00/train/class-0000/shard-000/0000000000000000.jpg", kBytes, text_.data());
    uint64_t fields = mix(number);
    digits(18, 2, fields % kFolders);
    fields /= 64;
    digits(33, 4, fields % 1000);
    fields /= 1024;
    digits(44, 3, fields % 100);
    uint64_t name = mix(number ^ 0x5bd1e995'5bd1e995ull);
    for (size_t i = 0; i < 16; ++i, name >>= 4) text_[48 + i] = "0123456789abcdef"[name & 15];
  }
  std::string_view view() const { return {text_.data(), kBytes}; }

  static constexpr size_t kBytes = 68;

 private:
  void digits(size_t at, size_t count, uint64_t value) {
    for (size_t i = count; i-- > 0; value /= 10) text_[at + i] = static_cast<char>('0' + value % 10);
  }
  std::array<char, kBytes> text_;
};

// An object's record of kValueBytes, its content inline. Every side stores the same bytes.
class Value {
 public:
  Value() {
    for (size_t inline_bytes = kValueBytes; bytes_.size() != kValueBytes; --inline_bytes) {
      const std::string content(inline_bytes, 'v');
      ObjectRecord record;
      record.size_bytes = inline_bytes;
      record.content = {
          .kind = Locator::Kind::inline_bytes, .length_bytes = inline_bytes, .inline_data = content};
      bytes_ = record.encode();
      place_ = bytes_.find(content);
      FB_ASSERT(inline_bytes > 64, inline_bytes);
    }
  }
  std::string_view of(uint64_t number) {
    uint64_t word = mix(number);
    for (size_t i = 0; i < 16; ++i, word >>= 4) bytes_[place_ + i] = "0123456789abcdef"[word & 15];
    return bytes_;
  }

 private:
  std::string bytes_;
  size_t place_ = 0;
};

// Keys made before the clock starts.
inline std::vector<Key> random_keys(uint64_t seed, uint64_t count, uint64_t of) {
  std::vector<Key> keys;
  keys.reserve(count);
  for (uint64_t i = 0; i < count; ++i) keys.emplace_back(mix(seed + i) % of);
  return keys;
}

template <class Number>
double percentile(std::vector<Number>& values, double share) {
  if (values.empty()) return 0;
  const auto at =
      std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return static_cast<double>(values[at]);
}
inline double median(std::vector<double> values) { return percentile(values, 0.5); }

// One line a figure: name, ours, and what it stands beside with the ratio.
struct Beside {
  std::string_view name;
  double figure = 0;
};
inline void print_figure(std::string_view what, double ours, std::string_view unit,
                         std::initializer_list<Beside> peers = {}, std::string_view note = {}) {
  fmt::print("{:44} ours {:.5g} {}", what, ours, unit);
  for (const Beside& peer : peers) {
    if (peer.figure == 0) continue;
    fmt::print("  {} {:.5g}  ratio {:.2f}", peer.name, peer.figure, ours / peer.figure);
  }
  if (!note.empty()) fmt::print("  ({})", note);
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace fb::bench
