// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <span>

#include "client/blob_client.h"
#include "client/unnamed_blobs.h"
#include "io/cancel.h"
#include "io/env.h"
#include "io/scope.h"
#include "io/sync.h"

namespace fb {

// Erases blobs that were written and that no record will ever name, in the background. Writers leave them
// here: one instance a core, used on that core only.
//
// The list is in memory. A process that dies leaves its blobs to the sweep of its incarnation, and so does
// one whose close() says that some are left. Blobs of this machine and objects of the cloud are erased side
// by side, and each shard's blobs in calls of their own. So a cloud or a shard that takes no erases holds up
// no other.
class BlobDiscards final : public UnnamedBlobs {
 public:
  // Erases blobs of one shard; as BlobClient::erase(). Called on this core.
  using Erase = std::function<Task<Result<void>>(const CallContext&, std::span<const BlobExtent>)>;

  static constexpr size_t kWaitingMax = size_t{1} << 20;  // further ones are left to the sweep at once
  static constexpr size_t kBatchMax = 256;
  static constexpr Duration kEraseTimeout = Duration::seconds(60);  // per batch
  static constexpr Duration kRetryDelay = Duration::seconds(1);
  static constexpr Duration kRetryDelayMax = Duration::seconds(60);  // while nothing at all can be erased

  BlobDiscards(Env& env, Erase erase, size_t waiting_max = kWaitingMax);
  ~BlobDiscards();

  void discard_blob(BlobId blob, uint32_t block_count) override;
  // Waits for the calls under way, and tries the rest once more if `deadline` leaves time for it. How many
  // blobs are left to the sweep.
  Task<uint64_t> close(Instant deadline);

  uint64_t waiting() const;
  uint64_t erased() const { return erased_; }
  // Blobs that were left to the sweep at once, since too many waited.
  uint64_t overflowed() const { return overflowed_; }

 private:
  struct Queue {
    explicit Queue(Env& env) : wake(env) {}
    std::map<BlobId, uint32_t> blobs;  // and their blocks; by shard
    Notification wake;
  };
  struct Round {
    uint64_t erased = 0;
    uint64_t failed = 0;
    Result<void> first_error;
  };
  static Task<void> run(BlobDiscards* self, Queue* queue);
  Task<Round> erase_round(Queue& queue);
  Queue& queue_of(const BlobId& blob);

  Env& env_;
  Erase erase_;
  const size_t waiting_max_;
  Queue here_;
  Queue cloud_;
  uint64_t erased_ = 0;
  uint64_t overflowed_ = 0;  // left to the sweep because too many waited
  enum class State : uint8_t { open, closing, closed };
  State state_ = State::open;
  Instant deadline_ = Instant::never();  // the deadline of close()
  CancelSource stop_sleeps_;
  Scope scope_;
};

}  // namespace fb
