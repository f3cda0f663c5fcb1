// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "art/frame.h"
#include "base/ids.h"
#include "io/env.h"

namespace fb {

// A page frame of the buffer manager. What a look-up needs of it stands in one cache line.
struct alignas(64) BufferFrame : art::Frame {
  static constexpr uint32_t kNone = UINT32_MAX;
  std::atomic<uint32_t> next{kNone};  // in its chain of ResidentPages
  std::atomic<uint32_t> pins{0};      // such a page is not evicted
  // 0: the page is as the store has it. Otherwise the position behind the first record that it holds beyond
  // the last copy taken of it (dirty_from), or beyond the stored one while such a copy is being written.
  std::atomic<uint64_t> dirty_from{0};
  std::atomic<uint64_t> writing_from{0};
  // The version of the latch while it was held and no link of the page led to a frame: a link that comes to
  // lead to one moves the version on. Under the latch.
  uint64_t childless_at = 0;
  std::atomic<bool> cooling{false};  // in a core's queue
};
static_assert(sizeof(BufferFrame) <= 128);

// Which frame holds which page: for all cores, look-ups without latching. Chains of frames, one a bucket,
// whose version readers check. A frame is never unmapped, so a reader that follows a chain while it changes
// reads a frame that means nothing and finds out by the version.
class ResidentPages {
 public:
  ResidentPages(BufferFrame* frames, uint32_t frame_count);

  // Null: not resident. The frame may be given to another page at any time: look at its page_id under its
  // latch.
  BufferFrame* find(Env& env, PageId id) const;
  // The frame's page_id is set, and no frame with that id is in. Any core.
  void insert(Env& env, BufferFrame& frame);
  void erase(Env& env, BufferFrame& frame);

 private:
  struct Bucket {
    std::atomic<uint64_t> version{0};  // odd while it changes
    std::atomic<uint32_t> first{BufferFrame::kNone};
  };
  Bucket& bucket_of(PageId id) const;
  static void lock(Env& env, Bucket& bucket);
  static void unlock(Bucket& bucket);
  uint32_t index_of(const BufferFrame& frame) const { return static_cast<uint32_t>(&frame - frames_); }

  BufferFrame* frames_;
  uint32_t frame_count_;
  uint32_t bucket_count_;  // a power of two
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace fb
