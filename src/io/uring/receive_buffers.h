// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "io/stream.h"

namespace fb {

// Memory for receive_pooled of one core: buffers of kPooledBytesSize that the kernel picks from a provided
// buffer ring when data arrives. If all of them are out, a bounded number of spare ones is made, each for one
// receive. Ids below kRingBuffers are the ring's, the others spare. Buffers of the ring are poisoned while
// they are the kernel's (base/poison.h).
class ReceiveBuffers {
 public:
  static constexpr uint32_t kRingBuffers = 512;  // a power of two
  static constexpr uint32_t kSpareBuffers = 1024;
  static constexpr uint16_t kGroup = 0;

  ReceiveBuffers() = default;
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  ~ReceiveBuffers();

  Result<void> register_with(io_uring& ring);

  std::byte* data(uint32_t id);
  // The kernel filled this buffer of its ring.
  void taken(uint32_t id);
  bool ring_has_buffers() const { return out_ < kRingBuffers; }
  std::optional<uint32_t> take_spare();
  // True if the buffer goes back to the kernel; false for a spare one.
  bool give_back(uint32_t id);

 private:
  std::byte* memory_ = nullptr;
  io_uring_buf_ring* ring_ = nullptr;
  uint32_t out_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> spare_;  // null if not in use
  std::vector<uint32_t> spare_ids_;
};

}  // namespace fb
