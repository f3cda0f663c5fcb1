// SPDX-License-Identifier: Apache-2.0
#include "http/request_memory.h"

#include <cstring>

#include "base/assert.h"

namespace fb {

bool RequestMemory::reserve_input(size_t capacity, size_t used) {
  FB_ASSERT(used <= input_capacity, used, input_capacity);
  if (capacity <= input_capacity) return false;
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (used != 0) std::memcpy(larger.get(), input.get(), used);
  input = std::move(larger);
  input_capacity = capacity;
  return true;
}

std::unique_ptr<RequestMemory> RequestMemoryPool::take() {
  if (free_.empty()) return std::make_unique<RequestMemory>(limits_);
  auto memory = std::move(free_.back());
  free_.pop_back();
  return memory;
}

void RequestMemoryPool::give_back(std::unique_ptr<RequestMemory> memory) {
  if (free_.size() == kKeptMax) return;
  if (memory->input_capacity > kInputBytesKeptMax) {
    memory->input.reset();
    memory->input_capacity = 0;
  }
  free_.push_back(std::move(memory));
}

}  // namespace fb
