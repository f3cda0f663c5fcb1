// SPDX-License-Identifier: Apache-2.0
#include "http/request_memory.h"

namespace fb {

std::unique_ptr<RequestMemory> RequestMemoryPool::take() {
  if (free_.empty()) return std::make_unique<RequestMemory>(limits_);
  auto memory = std::move(free_.back());
  free_.pop_back();
  return memory;
}

void RequestMemoryPool::give_back(std::unique_ptr<RequestMemory> memory) {
  if (free_.size() >= kKeptMax) return;
  free_.push_back(std::move(memory));
}

}  // namespace fb
