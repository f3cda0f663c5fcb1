// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "art/page_op.h"
#include "art/page_source.h"
#include "base/assert.h"

// A page source that keeps every page in memory, for one thread: for tests, benchmarks and tools.

namespace fb::art {

template <bool Swizzles = true>
class MemorySource {
 public:
  static constexpr bool kSwizzles = Swizzles;

  // `ready_pages` are allocated and touched at once, like those of a buffer manager.
  explicit MemorySource(uint32_t page_bytes, size_t ready_pages = 0) : page_bytes_(page_bytes) {
    ready_count_ = ready_pages;
    ready_bytes_ = std::make_unique<std::byte[]>(ready_pages * page_bytes);
    ready_frames_ = std::make_unique<Frame[]>(ready_pages);
    for (size_t i = ready_pages; i-- > 0;) {
      ready_frames_[i].bytes = ready_bytes_.get() + i * page_bytes;
      ready_frames_[i].page_bytes = page_bytes;
      free_.push_back(&ready_frames_[i]);
    }
    root_ = create();
    root_->latch.release();
  }

  Frame* root() { return root_; }
  Frame* find(PageId id) {
    const auto found = frames_.find(id.value);
    return found == frames_.end() ? nullptr : found->second;
  }
  const std::byte* place_of(const Frame* frame) const {
    const size_t i = (reinterpret_cast<uintptr_t>(frame) - reinterpret_cast<uintptr_t>(ready_frames_.get())) /
                     sizeof(Frame);
    return ready_bytes_.get() + (i < ready_count_ ? i : 0) * page_bytes_;
  }
  Frame* create() {
    Frame* frame = nullptr;
    if (free_.empty()) {
      Owned& owned = owned_.emplace_back();
      owned.bytes = std::make_unique<std::byte[]>(page_bytes_);
      owned.frame.bytes = owned.bytes.get();
      owned.frame.page_bytes = page_bytes_;
      frame = &owned.frame;
    } else {
      frame = free_.back();
      free_.pop_back();
    }
    const bool latched = frame->latch.try_exclusive();
    FB_ASSERT(latched);
    const PageId id{++last_id_};
    frame->page_id.store(id, std::memory_order_relaxed);
    frame->parent.store(nullptr, std::memory_order_relaxed);
    PageEditor(*frame).format(id);
    frames_[id.value] = frame;
    return frame;
  }
  void discard(Frame& frame) { retire(frame); }
  void retire(Frame& frame) {
    frames_.erase(frame.page_id.load(std::memory_order_relaxed).value);
    frame.page_id.store(PageId{}, std::memory_order_relaxed);
    free_.push_back(&frame);
  }
  void changed(Frame&) {}
  void pause() {}
  void point(const char*) {}

  size_t pages() const { return frames_.size(); }
  const std::unordered_map<uint64_t, Frame*>& frames() const { return frames_; }

 private:
  struct Owned {
    Frame frame;
    std::unique_ptr<std::byte[]> bytes;
  };
  uint32_t page_bytes_;
  uint64_t last_id_ = 0;
  size_t ready_count_ = 0;
  std::unique_ptr<std::byte[]> ready_bytes_;
  std::unique_ptr<Frame[]> ready_frames_;
  std::deque<Owned> owned_;
  std::vector<Frame*> free_;
  std::unordered_map<uint64_t, Frame*> frames_;
  Frame* root_ = nullptr;
};

// Counts records, and keeps them if asked.
class MemoryJournal {
 public:
  explicit MemoryJournal(bool keep = false) : keep_(keep) {}
  Lsn append(std::string_view record) {
    ++count_;
    bytes_ += record.size();
    if (keep_) records_.emplace_back(record);
    return {1, count_};
  }
  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }
  // Record i has LSN {1, i + 1}.
  const std::vector<std::string>& records() const { return records_; }

 private:
  bool keep_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
  std::vector<std::string> records_;
};

}  // namespace fb::art
