// SPDX-License-Identifier: Apache-2.0
#include "client/blob_discards.h"

#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "io/log.h"

namespace fb {

BlobDiscards::BlobDiscards(Env& env, Erase erase, size_t waiting_max)
    : env_(env), erase_(std::move(erase)), waiting_max_(waiting_max), here_(env), cloud_(env), scope_(env) {
  scope_.spawn(&BlobDiscards::run, this, &here_);
  scope_.spawn(&BlobDiscards::run, this, &cloud_);
}

BlobDiscards::~BlobDiscards() { FB_ASSERT(state_ == State::closed || env_.abandoned()); }

BlobDiscards::Queue& BlobDiscards::queue_of(const BlobId& blob) { return is_cloud(blob) ? cloud_ : here_; }

uint64_t BlobDiscards::waiting() const { return here_.blobs.size() + cloud_.blobs.size(); }

void BlobDiscards::discard_blob(BlobId blob, uint32_t block_count) {
  FB_ASSERT(state_ == State::open, static_cast<int>(state_));
  FB_ASSERT(block_count != 0);
  Queue& queue = queue_of(blob);
  if (queue.blobs.size() >= waiting_max_) {
    if (overflowed_++ == 0) {
      log(env_, LogLevel::warn,
          "too many blobs of failed uploads wait to be erased: further ones are left to the next start",
          {{"waiting", queue.blobs.size()}});
    }
    return;
  }
  queue.blobs[blob] = block_count;
  queue.wake.notify_all();
}

// All that are there now, one shard after the other. Of a call that failed some may be gone, and are erased
// again.
Task<BlobDiscards::Round> BlobDiscards::erase_round(Queue& queue) {
  std::vector<BlobExtent> all;
  all.reserve(queue.blobs.size());
  for (const auto& [blob, block_count] : queue.blobs) all.push_back({blob, block_count});
  Round round;
  for (size_t begin = 0, end = 0; begin < all.size() && env_.now() < deadline_; begin = end) {
    const BlobId& first = all[begin].id;
    while (end < all.size() && end - begin < kBatchMax && all[end].id.volume == first.volume &&
           all[end].id.shard == first.shard)
      ++end;
    const auto batch = std::span<const BlobExtent>(all).subspan(begin, end - begin);
    const Instant deadline = std::min(env_.now() + kEraseTimeout, deadline_);
    const Result<void> erased = co_await erase_({.deadline = deadline}, batch);
    if (!erased) {
      if (round.failed == 0) round.first_error = erased;
      round.failed += batch.size();
      continue;
    }
    for (const BlobExtent& extent : batch) queue.blobs.erase(extent.id);
    round.erased += batch.size();
  }
  erased_ += round.erased;
  co_return round;
}

Task<void> BlobDiscards::run(BlobDiscards* self, Queue* queue) {
  Duration pause = kRetryDelay;
  bool told = false;
  for (;;) {
    const bool ends = self->state_ != State::open;
    if (ends && (queue->blobs.empty() || self->env_.now() >= self->deadline_)) co_return;
    if (queue->blobs.empty()) {
      co_await queue->wake.wait();
      continue;
    }
    const Round round = co_await self->erase_round(*queue);
    if (ends) co_return;
    if (round.failed == 0) {
      told = false;
      pause = kRetryDelay;
      continue;
    }
    if (!told) {
      log(self->env_, LogLevel::warn, "blobs of failed uploads could not be erased, trying again",
          {{"blobs", round.failed}, {"error", round.first_error.error().to_string()}});
    }
    told = true;
    pause = round.erased != 0 ? kRetryDelay : std::min(pause * 2, kRetryDelayMax);
    (void)co_await sleep_for(self->env_, pause, &self->stop_sleeps_);
  }
}

Task<uint64_t> BlobDiscards::close(Instant deadline) {
  FB_ASSERT(state_ == State::open, static_cast<int>(state_));
  state_ = State::closing;
  deadline_ = deadline;
  stop_sleeps_.cancel();
  here_.wake.notify_all();
  cloud_.wake.notify_all();
  co_await scope_.join();
  state_ = State::closed;
  co_return waiting() + overflowed_;
}

}  // namespace fb
