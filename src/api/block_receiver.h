// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "api/content_source.h"
#include "io/env.h"

namespace fb::api {

// A request waits so long for memory, and answers SlowDown then.
inline constexpr Duration kMemoryWaitMax = Duration::seconds(5);

struct Block {
  Buffer buffer;
  uint32_t length = 0;
};

// Blocks of one source, each in memory that begins small and grows with what comes: docs/admission.md.
class BlockReceiver {
 public:
  BlockReceiver(Env& env, ContentSource& source) : env_(env), source_(source) {}

  // The next `size` bytes; fewer at the end of the content.
  Task<S3Result<Block>> receive(size_t size);

 private:
  size_t first_room(size_t size) const;
  size_t next_room(size_t room, size_t size, bool prompt) const;
  BufferUse use_of(size_t room, size_t length) const;
  void move_to(Buffer larger, Block& block);

  Env& env_;
  ContentSource& source_;
  bool quick_ = false;
};

}  // namespace fb::api
