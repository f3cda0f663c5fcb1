// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/ids.h"

namespace fb::art {

// A rename changes no page beneath the link it moves, so an operation that has already descended below cannot
// tell from its pages that its key lies elsewhere now. Each tree has one gate:
//
//   - any operation notes the counter before it reads the root, and answers only if the counter has not
//   moved;
//   - a writer holds its core's slot from that check until its record is in the journal;
//   - a rename closes the gate (the counter is odd), waits until all slots are free, appends and applies, and
//   opens.
//
// The slot is taken before the counter is checked and the gate is closed before the slots are read, both
// sequentially consistent: so at least one of a writer and a rename sees the other. A section that holds a
// slot never waits for anything.
class RenameGate {
 public:
  explicit RenameGate(uint32_t cores) : cores_(cores), slots_(std::make_unique<Slot[]>(cores)) {}

  uint64_t note() const { return counter_.load(std::memory_order_acquire); }
  static constexpr bool is_closed(uint64_t noted) { return (noted & 1) != 0; }
  // Must be called after everything has been read.
  bool unchanged(uint64_t noted) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return counter_.load(std::memory_order_relaxed) == noted;
  }

  bool enter(uint32_t core, uint64_t noted) {
    return enter(core, noted, [] {});
  }
  // Calls `between` between the two steps.
  template <class Between>
  bool enter(uint32_t core, uint64_t noted, Between&& between) {
    FB_ASSERT(core < cores_, core, cores_);
    slots_[core].taken.store(1, std::memory_order_seq_cst);
    between();
    if (counter_.load(std::memory_order_seq_cst) == noted && !is_closed(noted)) return true;
    leave(core);
    return false;
  }
  void leave(uint32_t core) { slots_[core].taken.store(0, std::memory_order_release); }

  // False if another rename has closed the gate since `noted`, or holds it closed.
  bool try_close(uint64_t noted) {
    return !is_closed(noted) && counter_.compare_exchange_strong(noted, noted + 1, std::memory_order_seq_cst);
  }
  // Called after try_close: calls `pause` while a writer is still in its section.
  template <class Pause>
  void wait_for_writers(Pause&& pause) const {
    for (uint32_t core = 0; core < cores_; ++core) {
      while (slots_[core].taken.load(std::memory_order_seq_cst) != 0) pause();
    }
  }
  // Called between try_close() and open(): the moved keys now begin with `prefix`.
  void moved(Lsn lsn, std::string_view prefix) {
    Moved& moved = moved_[next_moved_++ % moved_.size()];
    const uint64_t before = moved.position.load(std::memory_order_relaxed);
    forgotten_.store(std::max(before, forgotten_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
    moved.position.store(lsn.position, std::memory_order_relaxed);
    moved.hash.store(hash_of(prefix), std::memory_order_relaxed);
    moved.length.store(prefix.size(), std::memory_order_relaxed);
  }
  void open(Lsn lsn) {
    last_epoch_.store(lsn.epoch, std::memory_order_relaxed);
    last_position_.store(lsn.position, std::memory_order_relaxed);
    counter_.fetch_add(1, std::memory_order_release);
  }
  // The LSN of the last rename, on which an answer about any key may depend. This and the next function are
  // called between note() and unchanged().
  Lsn last_rename() const {
    return {last_epoch_.load(std::memory_order_relaxed), last_position_.load(std::memory_order_relaxed)};
  }
  // The LSN of the last rename after `durable` on which an answer about this key depends, or `otherwise` if
  // that is later. It is needed because a rename does not change the pages beneath the link it moves. For a
  // key at the source, the changed page's LSN covers the rename.
  Lsn last_rename_of(std::string_view key, uint64_t durable, Lsn otherwise) const {
    const Lsn last = last_rename();
    if (last.position <= durable || last <= otherwise) return otherwise;
    uint64_t position = forgotten_.load(std::memory_order_relaxed);
    for (const Moved& moved : moved_) {
      const uint64_t at = moved.position.load(std::memory_order_relaxed);
      const uint64_t length = moved.length.load(std::memory_order_relaxed);
      if (at <= std::max(position, durable) || key.size() < length) continue;
      if (hash_of(key.substr(0, length)) == moved.hash.load(std::memory_order_relaxed)) position = at;
    }
    return position <= durable ? otherwise : std::max(otherwise, Lsn{last.epoch, position});
  }

 private:
  struct alignas(64) Slot {
    std::atomic<uint32_t> taken{0};
  };
  // A moved prefix, known by its hash: a key with another prefix of the same hash waits needlessly, once in
  // 2^64.
  struct Moved {
    std::atomic<uint64_t> position{0};
    std::atomic<uint64_t> hash{0};
    std::atomic<uint64_t> length{0};
  };
  static uint64_t hash_of(std::string_view prefix) { return xxh3(std::as_bytes(std::span(prefix))); }

  std::atomic<uint64_t> counter_{0};
  std::atomic<uint64_t> last_epoch_{0};
  std::atomic<uint64_t> last_position_{0};
  std::atomic<uint64_t> forgotten_{0};  // the last rename that is no longer in moved_
  std::array<Moved, 16> moved_;
  uint64_t next_moved_ = 0;  // used only by the rename that has closed the gate
  uint32_t cores_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace fb::art
