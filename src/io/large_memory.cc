// SPDX-License-Identifier: Apache-2.0
#include "io/large_memory.h"

#include <sys/mman.h>

#include <new>

#include "base/units.h"

namespace fb {
namespace {

constexpr size_t kHugePage = 2 * kMiB;
constexpr size_t kWorthwhile = 16 * kMiB;  // below, alignment would cost more than it gives

}  // namespace

LargeMemory::LargeMemory(size_t bytes) : alignment_(bytes < kWorthwhile ? kDirectIoAlignment : kHugePage) {
  const size_t whole = align_up(bytes, alignment_);
  bytes_ = static_cast<std::byte*>(::operator new(whole, std::align_val_t{alignment_}));
  if (alignment_ == kHugePage) (void)madvise(bytes_, whole, MADV_HUGEPAGE);
}

LargeMemory::~LargeMemory() { ::operator delete(bytes_, std::align_val_t{alignment_}); }

}  // namespace fb
