// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "client/cloud_client.h"
#include "io/scope.h"
#include "io/sync.h"
#include "tier/options.h"

namespace fb::tier {

// The memory of one core's uploads. Who waits for it waits for those who hold it, and of these a slow client
// may hold its piece for hours. So while anybody waits, uploads whose source has brought less than
// kClientBytesPerSecondMin since it got its piece are stopped; while nobody does, they may take their time.
class UploadBudget {
 public:
  UploadBudget(Env& env, TierStats& stats, uint64_t bytes)
      : env_(env), stats_(stats), memory_(env, bytes), watch_(env) {}
  UploadBudget(const UploadBudget&) = delete;

  Task<Semaphore::Units> acquire(uint64_t bytes);
  Task<void> close();

  // One piece while it is received. Only the time in which its source is waited for counts.
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
    Instant since_ = Instant::never();  // of the fill under way
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
  Scope watch_;  // one, while anybody waits
};

}  // namespace fb::tier
