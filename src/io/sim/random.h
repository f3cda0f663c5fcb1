// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/assert.h"

namespace fb::sim {

// xoshiro256**, seeded through splitmix64: the only source of chance in a simulation. Each concern
// (scheduler, disks, network, programs) has a stream of its own, so that a change in one leaves the others'
// draws as they were.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) {
    uint64_t state = seed ^ (stream * 0xd1342543de82ef95ULL);
    for (uint64_t& word : state_) {
      state += 0x9e3779b97f4a7c15ULL;
      uint64_t z = state;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound).
  uint64_t below(uint64_t bound) {
    FB_ASSERT(bound > 0);
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // Uniform in [first, last].
  uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
  // True `ppm` times in a million. Draws nothing if the chance is nil, so that a fault switched off leaves no
  // trace.
  bool chance(uint32_t ppm) { return ppm > 0 && below(1'000'000) < ppm; }
  bool coin() { return (next() >> 63) != 0; }
  void fill(std::span<std::byte> out) {
    for (std::byte& byte : out) byte = static_cast<std::byte>(next() >> 56);
  }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace fb::sim
