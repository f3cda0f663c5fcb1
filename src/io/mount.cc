// SPDX-License-Identifier: Apache-2.0
#include "io/mount.h"

#include <algorithm>

namespace fb {

MountedFile::Place MountedFile::find(uint64_t offset, uint64_t length) const {
  if (offset >= size_) return {};
  const auto behind = std::ranges::upper_bound(runs_, offset, {}, &Run::offset);
  const Run& run = *std::prev(behind);
  const uint64_t into = offset - run.offset;
  return {.place = run.place + into, .length = std::min({length, run.length - into, size_ - offset})};
}

}  // namespace fb
