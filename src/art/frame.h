// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "art/latch.h"
#include "base/ids.h"

namespace fb::art {

// A page in memory. Its owner (the buffer manager) derives from it. Frames are never unmapped while the tree
// is in use: a reader may still look at a frame that was given to another page, and notices by its version.
struct Frame {
  VersionLatch latch;
  // The page whose link is a pointer to this frame; null if no link is. Changed under the latches of both.
  std::atomic<Frame*> parent{nullptr};
  std::atomic<PageId> page_id{};
  std::byte* bytes = nullptr;
  uint32_t page_bytes = 0;
};

// The eight bytes of a link in a page: a page id, or the frame that holds the page now. Journal and disk only
// ever see page ids.
class LinkWord {
 public:
  LinkWord() = default;
  static LinkWord of(PageId id) { return LinkWord(id.value); }
  static LinkWord of(Frame* frame) { return LinkWord(reinterpret_cast<uint64_t>(frame) | kFrameBit); }
  static LinkWord raw(uint64_t word) { return LinkWord(word); }

  bool is_frame() const { return (word_ & kFrameBit) != 0; }
  Frame* frame() const { return reinterpret_cast<Frame*>(word_ & ~kFrameBit); }
  uint64_t word() const { return word_; }
  // Only for a word that was read under the page's latch, or validated: this may follow the pointer.
  PageId page_id() const {
    return is_frame() ? frame()->page_id.load(std::memory_order_relaxed) : PageId{word_};
  }

  static constexpr uint64_t kFrameBit = uint64_t{1} << 63;
  // Page ids are at most this.
  static constexpr uint64_t kPageIdMax = (uint64_t{1} << 62) - 1;

 private:
  explicit LinkWord(uint64_t word) : word_(word) {}
  uint64_t word_ = 0;
};

}  // namespace fb::art
