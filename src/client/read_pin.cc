// SPDX-License-Identifier: Apache-2.0
#include "client/read_pin.h"

#include "base/assert.h"

namespace fb {

const std::vector<BlobId>& LongRead::narrow() {
  FB_ASSERT(!narrowed_);
  needs_->name_blobs(blobs_);
  narrowed_ = true;
  pin_.reset();
  return blobs_;
}

// A blob that is not listed is not one of those that the read began with: then nothing is dropped.
void LongRead::drop_before(const BlobId& blob) {
  size_t at = first_;
  while (at < blobs_.size() && blobs_[at] != blob) ++at;
  if (at == blobs_.size()) return;
  for (; first_ < at; ++first_) owner_->unname(blobs_[first_]);
}

void LongRead::release() {
  ReadPin::Owner* owner = std::exchange(owner_, nullptr);
  if (owner == nullptr || detail::teardown_in_progress) return;
  owner->end_long(*this);
  for (; first_ < blobs_.size(); ++first_) owner->unname(blobs_[first_]);
  pin_.reset();
}

}  // namespace fb
