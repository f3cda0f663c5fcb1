// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace fb::bss {

inline constexpr size_t kCacheLineBytes = 64;

// Which cores are just looking into what another core, the owner, changes: so that the owner knows when what
// it has taken out can be seen by nobody any more. A reader says since which epoch it looks; the owner takes
// something out, ends the epoch, and waits until nobody is looking since that one or an earlier one: whoever
// begins later does not find it.
//
//     reader: since = epoch; fence; look ...; since = none      owner: take out; ++epoch; fence; all since?
//
// Of the two fences one comes first: the owner sees that the reader is looking, or the reader that the thing
// is gone. A reader looks once at a time and never suspends within.
class ReaderEpochs {
 public:
  explicit ReaderEpochs(unsigned core_count) : lines_(core_count) {}
  ReaderEpochs(const ReaderEpochs&) = delete;
  // The owner's, when nobody can look any more.
  ~ReaderEpochs() = default;

  // For as long as it lives, its core is looking.
  class Looking {
   public:
    Looking(ReaderEpochs& epochs, unsigned core);
    Looking(const Looking&) = delete;
    ~Looking();

   private:
    std::atomic<uint64_t>& since_;
  };

  // The owner's: ends the present epoch and says which that was.
  uint64_t end_epoch();
  // The owner's: nobody looks any more who began in that epoch or before, and what they did meanwhile can be
  // seen.
  bool passed(uint64_t epoch) const;
  // The owner's: memory that was taken out, freed when nobody looks at it any more; with the next that comes,
  // or at the end.
  void retire(std::unique_ptr<std::byte[]> memory);
  size_t retired() const { return retired_.size(); }

 private:
  static constexpr uint64_t kNotLooking = UINT64_MAX;
  struct alignas(kCacheLineBytes) Line {
    std::atomic<uint64_t> since{kNotLooking};
  };
  struct Retired {
    uint64_t epoch;
    std::unique_ptr<std::byte[]> memory;
  };

  alignas(kCacheLineBytes) std::atomic<uint64_t> epoch_{0};
  std::vector<Line> lines_;  // by core
  std::deque<Retired> retired_;
};

}  // namespace fb::bss
