// SPDX-License-Identifier: Apache-2.0
#include "nss/resident_pages.h"

#include <bit>

#include "base/assert.h"

namespace fb {

ResidentPages::ResidentPages(BufferFrame* frames, uint32_t frame_count)
    : frames_(frames),
      frame_count_(frame_count),
      bucket_count_(std::bit_ceil(frame_count)),
      buckets_(new Bucket[bucket_count_]) {}

ResidentPages::Bucket& ResidentPages::bucket_of(PageId id) const {
  const uint64_t mixed = id.value * 0x9e3779b97f4a7c15ull;
  return buckets_[(mixed >> 32) & (bucket_count_ - 1)];
}

// Held over a few loads and stores.
void ResidentPages::lock(Env& env, Bucket& bucket) {
  for (;;) {
    uint64_t version = bucket.version.load(std::memory_order_relaxed);
    if ((version & 1) == 0 &&
        bucket.version.compare_exchange_weak(version, version + 1, std::memory_order_acquire)) {
      break;
    }
    env.pause();
  }
  std::atomic_thread_fence(std::memory_order_release);
  env.point("resident.locked");
}

void ResidentPages::unlock(Bucket& bucket) { bucket.version.fetch_add(1, std::memory_order_release); }

BufferFrame* ResidentPages::find(Env& env, PageId id) const {
  const Bucket& bucket = bucket_of(id);
  for (;;) {
    const uint64_t version = bucket.version.load(std::memory_order_acquire);
    BufferFrame* found = nullptr;
    if ((version & 1) == 0) {
      uint32_t index = bucket.first.load(std::memory_order_acquire);
      for (uint32_t steps = 0; index != BufferFrame::kNone && steps < frame_count_; ++steps) {
        BufferFrame& frame = frames_[index];
        env.point("resident.look");
        if (frame.page_id.load(std::memory_order_relaxed) == id) {
          found = &frame;
          break;
        }
        index = frame.next.load(std::memory_order_acquire);
      }
      std::atomic_thread_fence(std::memory_order_acquire);
      if (bucket.version.load(std::memory_order_relaxed) == version) return found;
    }
    env.pause();
  }
}

void ResidentPages::insert(Env& env, BufferFrame& frame) {
  Bucket& bucket = bucket_of(frame.page_id.load(std::memory_order_relaxed));
  lock(env, bucket);
  frame.next.store(bucket.first.load(std::memory_order_relaxed), std::memory_order_relaxed);
  env.point("resident.insert");
  bucket.first.store(index_of(frame), std::memory_order_release);
  unlock(bucket);
}

void ResidentPages::erase(Env& env, BufferFrame& frame) {
  Bucket& bucket = bucket_of(frame.page_id.load(std::memory_order_relaxed));
  lock(env, bucket);
  std::atomic<uint32_t>* link = &bucket.first;
  while (link->load(std::memory_order_relaxed) != index_of(frame)) {
    FB_ASSERT(link->load(std::memory_order_relaxed) != BufferFrame::kNone, index_of(frame));
    link = &frames_[link->load(std::memory_order_relaxed)].next;
  }
  env.point("resident.erase");
  link->store(frame.next.load(std::memory_order_relaxed), std::memory_order_release);
  unlock(bucket);
}

}  // namespace fb
