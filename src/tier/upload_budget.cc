// SPDX-License-Identifier: Apache-2.0
#include "tier/upload_budget.h"

namespace fb::tier {

Task<Semaphore::Units> UploadBudget::acquire(uint64_t bytes) {
  Semaphore::Units units = memory_.try_acquire(bytes);
  if (units) co_return std::move(units);
  ++waiting_;
  if (watch_.size() == 0 && !stop_.cancelled()) watch_.spawn(&UploadBudget::watch, this);
  units = co_await memory_.acquire(bytes);
  --waiting_;
  co_return std::move(units);
}

Task<void> UploadBudget::watch(UploadBudget* self) {
  while (self->waiting_ != 0) {
    if (!co_await sleep_for(self->env_, kSlowClientCheck, &self->stop_)) co_return;
    if (self->waiting_ == 0) co_return;
    for (Receiving* each = self->first_; each != nullptr; each = each->next_) {
      if (each->stopped_ || !each->too_slow()) continue;
      each->stopped_ = true;
      ++self->stats_.slow_clients;
      each->source_.stop();  // stop() only schedules
    }
  }
}

Task<void> UploadBudget::close() {
  stop_.cancel();
  co_await watch_.join();
}

UploadBudget::Receiving::Receiving(UploadBudget& budget, CloudSource& source)
    : env_(budget.env_), budget_(budget), source_(source), next_(budget.first_) {
  if (next_ != nullptr) next_->previous_ = this;
  budget.first_ = this;
}

UploadBudget::Receiving::~Receiving() {
  if (env_.abandoned()) return;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    budget_.first_ = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
}

// All of the fill under way but its last byte may have arrived, so it counts as a whole block.
bool UploadBudget::Receiving::too_slow() const {
  if (since_.is_never()) return false;
  const Duration waited = waited_ + (env_.now() - since_);
  const auto waited_ms = static_cast<uint64_t>(waited.milliseconds());
  return bytes_ + kBlobBlockSizeMax < waited_ms * kClientBytesPerSecondMin / 1000;
}

Task<Result<size_t>> UploadBudget::Receiving::fill(std::span<std::byte> into) {
  since_ = env_.now();
  auto count = co_await source_.fill(into);
  waited_ = waited_ + (env_.now() - std::exchange(since_, Instant::never()));
  if (count) bytes_ += *count;
  co_return count;
}

}  // namespace fb::tier
