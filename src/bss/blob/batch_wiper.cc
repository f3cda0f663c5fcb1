// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_wiper.h"

#include <cstring>
#include <vector>

#include "base/assert.h"

namespace fb::bss {
namespace {

constexpr Duration kWipeRetry = Duration::seconds(1);

}  // namespace

// It counts as a writer before it waits for memory: a segment that was recycled meanwhile may hold a batch of
// its next generation there.
Task<bool> BatchWiper::wipe(Segment& segment, uint64_t offset, int attempts) {
  if (segment.state == Segment::State::recycling) co_return false;
  const uint64_t generation = segment.generation;
  ++segment.writers;
  const Buffer zeros = co_await context_.pool().allocate(kBlockBytes);
  std::memset(zeros.data(), 0, kBlockBytes);
  FB_ASSERT(segment.generation == generation && segment.state != Segment::State::recycling, generation,
            segment.generation, segment.state);
  bool wiped = false;
  for (int attempt = 0; attempt < attempts && !wiped; ++attempt)
    wiped = (co_await segment.file.write_all_durable(zeros.span(0, kBlockBytes), offset)).has_value();
  --segment.writers;
  co_return wiped;
}

// A batch whose segment has been recycled meanwhile is gone with its generation.
Task<void> BatchWiper::wipe_doubted(int attempts) {
  const std::vector<EndedBatch> doubted(order_.doubted().begin(), order_.doubted().end());
  for (const EndedBatch& batch : doubted) {
    if (!order_.is_doubted(batch.sequence) || batch.segment->state == Segment::State::recycling) continue;
    if (co_await wipe(*batch.segment, batch.offset, attempts)) order_.wiped(batch.sequence);
  }
}

Task<void> BatchWiper::run(BatchWiper& self) {
  while (!self.context_.stopping()) {
    if (self.order_.doubted().empty()) {
      co_await self.signals_.wipe.wait();
      continue;
    }
    (void)co_await self.context_.sleep(kWipeRetry);
    co_await self.wipe_doubted(1);
  }
}

}  // namespace fb::bss
