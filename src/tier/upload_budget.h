// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "client/cloud_client.h"
#include "io/scope.h"
#include "io/sync.h"
#include "tier/options.h"

namespace fb::tier {

// The memory of one core's uploads. An upload that waits for memory waits for the uploads that hold it, and a
// slow client may hold its piece for hours. So while any upload waits, those whose source has brought less
// than kClientBytesPerSecondMin since it got its piece are stopped; while none waits, they may take their
// time.
class UploadBudget {
 public:
  UploadBudget(Env& env, TierStats& stats, uint64_t bytes)
      : env_(env), stats_(stats), memory_(env, bytes), watch_(env) {}
  UploadBudget(const UploadBudget&) = delete;

  Task<Semaphore::Units> acquire(uint64_t bytes);
  Task<void> close();

  // One piece while it is received. Only the time spent waiting for its source counts.
  class Receiving {
   public:
    Receiving(UploadBudget& budget, CloudSource& source);
    ~Receiving();
    Receiving(const Receiving&) = delete;

    Task<Result<size_t>> fill(std::span<std::byte> into);

   private:
    friend class UploadBudget;
    bool too_slow() const;

    Env& env_;
    UploadBudget& budget_;
    CloudSource& source_;
    uint64_t bytes_ = 0;
    Duration waited_;
    Instant since_ = Instant::never();  // start of the fill under way
    bool stopped_ = false;
    Receiving* previous_ = nullptr;
    Receiving* next_ = nullptr;
  };

 private:
  static Task<void> watch(UploadBudget* self);

  Env& env_;
  TierStats& stats_;
  Semaphore memory_;
  size_t waiting_ = 0;
  Receiving* first_ = nullptr;
  CancelSource stop_;
  Scope watch_;  // one watcher, while any upload waits
};

}  // namespace fb::tier
