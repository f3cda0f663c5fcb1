// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include "bss/blob/segment.h"
#include "bss/blob/write_queue.h"
#include "io/buffer.h"

namespace fb::bss {

// A batch on its way to disk. Each writer has one, with memory for its descriptor, and fills it again and
// again.
struct Batch {
  Segment* segment = nullptr;
  uint64_t sequence = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::vector<WriteOp*> ops;
  std::vector<iovec> vectors;
  Buffer descriptor;
  bool withdrawn = false;  // if its write failed: nothing of it is on the medium
};

// The place of a batch that has ended.
struct EndedBatch {
  Segment* segment;
  uint64_t sequence;
  uint64_t offset;
  uint64_t bytes;
};

}  // namespace fb::bss
