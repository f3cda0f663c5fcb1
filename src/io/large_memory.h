// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace fb {

// Memory for a large cache: from the kernel, not touched yet, aligned for direct I/O, and in huge pages if
// the kernel gives them. With small pages, a look-up in gigabytes waits as long again for the page tables.
class LargeMemory {
 public:
  explicit LargeMemory(size_t bytes);
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  std::byte* get() const { return bytes_; }

 private:
  std::byte* bytes_ = nullptr;
  size_t alignment_;
};

}  // namespace fb
