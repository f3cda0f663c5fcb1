// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bss/blob/reader_epochs.h"

namespace fb::bss {

// How many reads of each segment of one shard are under way on each core. Counts of a core are on lines of
// their own and changed by that core only; the owner of the shard looks at all of them before it gives the
// segment to something else. A count goes up within the look-up that found an entry in the segment
// (reader_epochs.h), so that who saw one is counted when the owner no longer sees it looking.
class SegmentHolds {
 public:
  // Before any other call, by the owner, where no other core sees it yet. The owner counts its own elsewhere.
  void make_room(unsigned core_count, unsigned owner, size_t segment_count) {
    cores_.resize(core_count);
    for (unsigned core = 0; core < core_count; ++core) {
      if (core != owner) cores_[core] = std::vector<Line>(segment_count / kCountsPerLine + 1);
    }
  }
  void take(unsigned core, uint32_t segment) {
    std::atomic<uint32_t>& count = count_of(cores_[core], segment);
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void give_back(unsigned core, uint32_t segment) {
    std::atomic<uint32_t>& count = count_of(cores_[core], segment);
    count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }
  bool none_of(uint32_t segment) const {
    return std::ranges::all_of(cores_, [&](const std::vector<Line>& lines) {
      if (lines.empty()) return true;
      return lines[segment / kCountsPerLine].counts[segment % kCountsPerLine].load(
                 std::memory_order_acquire) == 0;
    });
  }

 private:
  static constexpr size_t kCountsPerLine = kCacheLineBytes / sizeof(std::atomic<uint32_t>);
  struct alignas(kCacheLineBytes) Line {
    std::array<std::atomic<uint32_t>, kCountsPerLine> counts{};
  };
  static std::atomic<uint32_t>& count_of(std::vector<Line>& lines, uint32_t segment) {
    return lines[segment / kCountsPerLine].counts[segment % kCountsPerLine];
  }
  std::vector<std::vector<Line>> cores_;
};

}  // namespace fb::bss
