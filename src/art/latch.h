// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/assert.h"

// The latch of a page. Readers are optimistic: they note the version, read, and check that it has not
// changed. Writers are exclusive, and never wait: a latch that is not free at once makes the operation start
// again, so there is no order that could deadlock.
//
// ORDER. Several latches are only ever tried (try_upgrade, try_exclusive), from the pages of an operation's
// own path; on failure all are released. The rename gate is closed after the pages are latched. The writers
// it waits for hold a slot only during a section that tries and never waits. Nothing is latched across a
// suspension.
//
// A build with ThreadSanitizer makes optimistic reads shared latches, so that the sanitizer sees their order:
// OptimisticRead then holds a share until it ends.

namespace fb::art {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kSharedReads = true;
#else
inline constexpr bool kSharedReads = false;
#endif
#else
inline constexpr bool kSharedReads = false;
#endif

class VersionLatch {
 public:
  // Odd while someone holds the latch exclusively.
  uint64_t version() const { return word_.load(std::memory_order_acquire); }
  static constexpr bool is_exclusive(uint64_t version) { return (version & 1) != 0; }

  bool validate(uint64_t version) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return word_.load(std::memory_order_relaxed) == version;
  }

  // Exclusive if nothing has changed since `version` was read.
  bool try_upgrade(uint64_t version) {
    if (is_exclusive(version)) return false;
    if (!word_.compare_exchange_strong(version, version | 1, std::memory_order_acquire)) return false;
    // The holder's writes must not be seen before the word is odd.
    std::atomic_thread_fence(std::memory_order_release);
    if constexpr (kSharedReads) {
      if (readers_.load(std::memory_order_seq_cst) != 0) {
        word_.store(version, std::memory_order_seq_cst);
        return false;
      }
    }
    return true;
  }
  bool try_exclusive() { return try_upgrade(version()); }
  bool held_exclusively() const { return is_exclusive(version()); }
  // Ends an exclusive hold; `changed` advances the version. Returns the version that readers see now.
  uint64_t release(bool changed = true) {
    const uint64_t held = word_.load(std::memory_order_relaxed);
    FB_ASSERT(is_exclusive(held), held);
    const uint64_t next = changed ? held + 1 : held - 1;
    word_.store(next, std::memory_order_release);
    return next;
  }

  // For OptimisticRead in a build with shared reads.
  bool try_share(uint64_t version) {
    readers_.fetch_add(1, std::memory_order_seq_cst);
    if (word_.load(std::memory_order_seq_cst) == version) return true;
    readers_.fetch_sub(1, std::memory_order_release);
    return false;
  }
  void release_share() { readers_.fetch_sub(1, std::memory_order_release); }

 private:
  std::atomic<uint64_t> word_{0};
  // Counted only if kSharedReads.
  std::atomic<uint32_t> readers_{0};
};

// One optimistic read of the data that a latch protects. The bytes read count only once `valid()` has
// returned true.
class OptimisticRead {
 public:
  OptimisticRead() = default;
  // Reads whatever is there now; `started()` is false if a writer holds the latch.
  explicit OptimisticRead(VersionLatch& latch) : OptimisticRead(latch, latch.version()) {}
  // Goes on with a read that began at `version`.
  OptimisticRead(VersionLatch& latch, uint64_t version) : version_(version) {
    if (VersionLatch::is_exclusive(version)) return;
    if constexpr (kSharedReads) {
      if (!latch.try_share(version)) return;
    }
    latch_ = &latch;
  }
  OptimisticRead(const OptimisticRead&) = delete;
  OptimisticRead& operator=(const OptimisticRead&) = delete;
  OptimisticRead(OptimisticRead&& other) noexcept : latch_(other.latch_), version_(other.version_) {
    other.latch_ = nullptr;
  }
  OptimisticRead& operator=(OptimisticRead&& other) noexcept {
    if (this != &other) {
      end();
      latch_ = other.latch_;
      version_ = other.version_;
      other.latch_ = nullptr;
    }
    return *this;
  }
  ~OptimisticRead() { end(); }

  bool started() const { return latch_ != nullptr; }
  bool valid() const { return latch_->validate(version_); }
  uint64_t version() const { return version_; }
  void end() {
    if constexpr (kSharedReads) {
      if (latch_ != nullptr) latch_->release_share();
    }
    latch_ = nullptr;
  }

 private:
  VersionLatch* latch_ = nullptr;
  uint64_t version_ = 1;
};

}  // namespace fb::art
